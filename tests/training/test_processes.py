"""Two processes train the model that one process trains.

Run with: python -m pytest tests/training/test_processes.py
"""

import pytest
from safetensors.torch import load_file
from small_runs import free_port, in_child, train_as_one_of


def trained_by(processes, folder, objective, **changes):
    file, port = folder / f"{objective}-{processes}.safetensors", free_port()
    children = [
        in_child(train_as_one_of, processes, rank, port, file, objective, changes)
        for rank in range(processes)
    ]
    for child in children:
        child.join(180)
    assert [child.exitcode for child in children] == [0] * processes
    return load_file(file)


@pytest.mark.parametrize("objective", ["masked", "causal"])
def test_two_processes_give_what_one_gives(objective, tmp_path):
    # Masked: the two halves of a batch have unequal numbers of targets.
    one = trained_by(1, tmp_path, objective)
    two = trained_by(2, tmp_path, objective, micro_batches=2)
    assert one.keys() == two.keys()
    for name in one:
        assert float((one[name] - two[name]).abs().max()) < 1e-5, name
