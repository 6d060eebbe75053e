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


def by_other_code(folder, **weights):
    """Keep the run as other code might have left it."""
    run = Run.load(folder)
    run.info["code"] = "another"
    run.model.load_state_dict(run.model.state_dict() | weights)
    run.model.to(torch.bfloat16)
    run.save(folder)


def test_a_base_that_comes_out_is_marked_and_no_weight_of_it_moves(folder):
    before = (folder / "model.safetensors").read_bytes()
    by_other_code(folder)
    assert base_is_stale("tiny", RECIPE) == "by other code (another)"
    assert verify_base("tiny", RECIPE)
    assert base_is_stale("tiny", RECIPE) is None
    assert (folder / "model.safetensors").read_bytes() == before


def test_one_weight_that_differs_leaves_it_stale_and_is_named(folder, capsys):
    weights = Run.load(folder).model.state_dict()
    name = "transformer.h.0.attn.c_attn.weight"
    moved = weights[name].clone()
    moved[0, 0] += 0.125
    by_other_code(folder, **{name: moved})
    assert not verify_base("tiny", RECIPE)
    assert f"base tiny: {name} differs" in capsys.readouterr().out
    assert base_is_stale("tiny", RECIPE) == "by other code (another)"


def test_what_is_missing_or_of_another_recipe_is_not_trained(folder, monkeypatch):
    monkeypatch.setattr(base_models, "train", lambda recipe: pytest.fail("trained"))
    assert not verify_base("other", RECIPE)
    assert not verify_base("tiny", RECIPE.replace(steps=3))
