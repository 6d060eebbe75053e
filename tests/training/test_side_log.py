"""Guards the table beside a run: each entry once, also over a resume; and the accelerators' names.

pytest tests/training/test_side_log.py
"""

import csv
import signal

import pytest
from small_runs import recipe_on

from course_lib.compute.hardware import accelerator_named
from course_lib.training import train
from course_lib.training.side_log import COLUMNS


def lines_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_entry_is_a_line_and_a_resume_goes_on_behind_them(tmp_path):
    recipe, place = recipe_on(tmp_path, steps=8, log_every=2), tmp_path / "run"
    file = tmp_path / "run-log.csv"
    file.write_text("of a run that is no more\n", encoding="utf-8")

    def interrupt(entry):
        if entry["step"] == 4:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(recipe, folder=place, callback=interrupt)
    assert [line["step"] for line in lines_of(file)] == ["2", "4"]
    with file.open("a", encoding="utf-8") as torn:
        torn.write("6,11")
    run = train(recipe, folder=place)
    lines = lines_of(file)
    assert [int(line["step"]) for line in lines] == [2, 4, 6, 8]
    assert tuple(lines[0]) == COLUMNS
    for line, entry in zip(lines, run.history, strict=True):
        assert float(line["loss"]) == entry["loss"]
        assert int(line["tokens"]) == entry["step"] * 8 * 24
        assert float(line["memory_gb"]) > 0.01
        assert float(line["tokens_per_second"]) > 0
    assert float(lines[-1]["validation_loss"]) == run.validation_loss


@pytest.mark.parametrize(
    ("name", "gigabytes", "ours"),
    [
        ("NVIDIA H100 80GB HBM3", 85.0, "H100 SXM"),
        ("NVIDIA H100 PCIe", 85.0, "H100 PCIe"),
        ("NVIDIA A100-SXM4-40GB", 42.3, "A100 40GB SXM"),
        ("NVIDIA A100-SXM4-80GB", 84.9, "A100 80GB SXM"),
        ("Tesla T4", 15.8, "T4"),
        ("NVIDIA L4", 23.6, "L4"),
        ("NVIDIA H200", 150.0, "H200 SXM"),
        ("NVIDIA GeForce RTX 4090", 25.3, "RTX 4090"),
        ("NVIDIA H100 NVL", 100.0, None),
        ("NVIDIA L40S", 47.7, None),
    ],
)
def test_a_driver_s_name_leads_to_the_accelerator(name, gigabytes, ours):
    found = accelerator_named(name, gigabytes * 1e9)
    assert (found and found.name) == ours
