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


def make_base(name: str, recipe: Recipe, *, again: bool = False) -> None:
    """Train the recipe and keep the result as a base model, unless that is already there.

    `again` makes it anew where the code has changed since.
    """
    folder = data_path("checkpoints", name)
    if (folder / "run.json").is_file():
        there = Run.load(folder)
        same_code = there.info["code"] == code_digest()
        if there.recipe.digest() == recipe.digest() and (same_code or not again):
            return
    run = train(recipe)
    half = copy.deepcopy(run.model).to(torch.bfloat16)
    Run(half, run.tokenizer, run.recipe, run.history[-1:], run.info).save(folder)
