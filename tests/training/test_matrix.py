"""Each way to train gives what plain training gives, and goes on bit for bit where it stopped.

Precision, compilation, processes, optimizer, resume, objective: eleven cells hold every pair of
settings; `-m torture` runs all 144. One cell is compiled by inductor, as a reader's would
be; that takes 28 seconds of one core on an empty cache, and 13 for each further graph, so the
other compiled cells of the eleven stop before the C++ compiler (3 seconds), and torture
compiles all. Run with: python -m pytest tests/training/test_matrix.py
"""

import shutil

import pytest
import torch
from cells import MATRIX, VALUES, Cell, distance, pairs_of, part, reference, run_cell, sensitivity

COVER = [
    Cell("no", True, "one", "adamw", True, "masked"),
    Cell("bf16", True, "two", "muon", True, "causal"),
    Cell("fp16", True, "two", "adamw", False, "masked"),
    Cell("no", False, "two", "muon", False, "causal"),
    Cell("bf16", False, "one", "adamw", False, "masked"),
    Cell("fp16", False, "one", "muon", True, "causal"),
    Cell("fp16", False, "two", "adamw", True, "causal"),
    Cell("no", False, "one", "muon", True, "masked"),
    Cell("no", True, "sharded", "muon", False, "causal"),
    Cell("fp16", False, "sharded", "adamw", True, "masked"),
    Cell("bf16", False, "sharded", "muon", True, "causal"),
]
# Two units of roundoff: one for what is computed in that precision, one for what follows from it
# over eight steps. In fp32 sums in another order move the last digits, and Muon, which computes
# in bf16, makes more of them; sharded, its products are sums over processes, in bf16 too. So its
# losses may go four times as far as they go when plain gradients are moved in their last digit.
TOLERANCE = {"no": 1e-5, "fp16": 2 * 2**-11, "bf16": 2 * 2**-8}
MUON = {"one": 1e-4, "two": 1e-4, "sharded": 1e-3}


def test_the_cover_holds_every_pair_of_settings():
    assert len(MATRIX) == 144
    assert set().union(*map(pairs_of, COVER)) == set().union(*map(pairs_of, MATRIX))
    assert list(VALUES) == list(Cell.__dataclass_fields__)


def test_the_last_digit_of_a_gradient_moves_muon_more_than_adamw():
    """Why cells with Muon have a tolerance of their own, and that it stays a small one."""
    for objective in VALUES["objective"]:
        assert sensitivity(objective, "adamw") < 1e-6
        assert 2e-7 < sensitivity(objective, "muon") < 1e-5


def check(cell, folder, backend):
    result = run_cell(cell, folder, backend)
    straight, plain = part(result, "straight"), reference(cell)
    for key in ("loss", "validation_loss", "gradient_norm"):
        far, allowed = distance(straight, plain, key), TOLERANCE[cell.precision]
        if cell.optimizer == "muon":
            own = 4 * sensitivity(cell.objective, "muon")
            allowed = max(allowed, MUON[cell.processes] if key == "gradient_norm" else own)
        assert far < allowed, f"{key}: {far:.1e} away"
        if cell.precision != "no" and key == "gradient_norm":
            assert far > 1e-5, "as exact as fp32: the precision was not used"
    assert (straight["graphs"] > 0) == cell.compile
    assert straight["graphs"] <= 2, "compiled anew for each number of targets"
    if cell.resume:
        for name, weight in part(result, "resumed").items():
            assert name == "graphs" or torch.equal(weight, straight[name]), f"{name} differs"


@pytest.mark.parametrize("cell", COVER, ids=str)
def test_a_cell_trains_as_plain_training_does_and_resumes_exactly(cell, tmp_path):
    compiler = shutil.which("g++") or shutil.which("clang++")
    check(cell, tmp_path, "inductor" if cell == COVER[0] and compiler else "aot_eager")


@pytest.mark.torture
@pytest.mark.parametrize("cell", MATRIX, ids=str)
def test_every_cell_trains_as_plain_training_does_and_resumes_exactly(cell, tmp_path):
    check(cell, tmp_path, "inductor")
