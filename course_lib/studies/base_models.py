"""Base models that notebooks start from, kept in the repository.

Each lies in `data/checkpoints/NAME` in the `transformers` format, in bf16, with `run.json` beside
it: the recipe that makes it again, its history, and what it was made with. `make runs` does.
"""

import copy

import torch

from course_lib.runtime import data_path
from course_lib.training.recipe import Recipe
from course_lib.training.run import Run, code_digest
from course_lib.training.run_recipe import train


def base_is_stale(name: str, recipe: Recipe) -> str | None:
    """Why a base model is not today's, or None."""
    folder = data_path("checkpoints", name)
    if not (folder / "run.json").is_file():
        return "not made yet"
    there = Run.load(folder)
    if there.recipe.digest() != recipe.digest():
        return "of another recipe"
    return None if there.info["code"] == code_digest() else f"by other code ({there.info['code']})"


def make_base(name: str, recipe: Recipe) -> None:
    """Train the recipe and keep the result as a base model, unless that is there and is today's."""
    if base_is_stale(name, recipe) is None:
        return
    run = train(recipe)
    half = copy.deepcopy(run.model).to(torch.bfloat16)
    kept = Run(half, run.tokenizer, run.recipe, run.history[-1:], run.info)
    kept.save(data_path("checkpoints", name))
