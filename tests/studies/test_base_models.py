"""Base models: made once, held against what today's code trains, and marked only if it comes out.

Run with: python -m pytest tests/studies/test_base_models.py
"""

import pytest
import torch
from tiny import tiny_recipe

from course_lib.studies import base_is_stale, base_models, make_base, verify_base
from course_lib.training import Run

RECIPE = tiny_recipe("gpt2", steps=2, warmup=1)


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(base_models, "data_path", lambda *parts: tmp_path.joinpath(*parts))
    assert base_is_stale("tiny", RECIPE) == "not made yet"
    make_base("tiny", RECIPE)
    assert base_is_stale("tiny", RECIPE) is None
    return tmp_path / "checkpoints" / "tiny"


def by_other_code(folder, off=0.0):
    """Keep the run as other code might have left it, its loss a little off."""
    run = Run.load(folder)
    run.info["code"] = "another"
    run.history[-1]["loss"] *= 1 + off
    run.model.to(torch.bfloat16)
    run.save(folder)


@pytest.mark.parametrize("off", [0.0, 5e-6])
def test_a_base_that_comes_out_is_marked_and_no_weight_of_it_moves(off, folder):
    before = (folder / "model.safetensors").read_bytes()
    by_other_code(folder, off)
    assert base_is_stale("tiny", RECIPE) == "by other code (another)"
    assert verify_base("tiny", RECIPE)
    assert base_is_stale("tiny", RECIPE) is None
    assert (folder / "model.safetensors").read_bytes() == before


def test_one_whose_loss_differs_stays_stale_and_says_so(folder, capsys):
    by_other_code(folder, 1e-4)
    assert not verify_base("tiny", RECIPE)
    assert "base tiny: loss was" in capsys.readouterr().out
    assert base_is_stale("tiny", RECIPE) == "by other code (another)"


def test_what_is_missing_or_of_another_recipe_is_not_trained(folder, monkeypatch):
    monkeypatch.setattr(base_models, "train", lambda recipe: pytest.fail("trained"))
    assert not verify_base("other", RECIPE)
    assert not verify_base("tiny", RECIPE.replace(steps=3))
