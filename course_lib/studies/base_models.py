"""Base models that notebooks start from, kept in the repository.

Each lies in `data/checkpoints/NAME` in the `transformers` format, in bf16, with `run.json` beside
it: the recipe that makes it again, its history, and what it was made with. `make runs` does.
"""

import copy

import torch

from course_lib.runtime import data_path
from course_lib.studies.verification import DIGITS
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


def verify_base(name: str, recipe: Recipe) -> bool:
    """Train a base model of other code again; it is today's where its last losses come out.

    As with records, to five digits: sums in another order change the last bits of a weight, so the
    weights stay as they are kept. What does not come out is printed, and the base left for
    `make runs`. One that is missing, or of another recipe, has nothing to be held against.
    """
    if not (base_is_stale(name, recipe) or "").startswith("by other code"):
        return False
    there, again = Run.load(data_path("checkpoints", name)), train(recipe)
    then, now = there.history[-1], again.history[-1]
    differing = [
        key for key in ("loss", "validation_loss") if abs(then[key] - now[key]) > DIGITS * then[key]
    ]
    for key in differing:
        print(f"base {name}: {key} was {then[key]}, is {now[key]}", flush=True)
    if not differing:
        there.info |= {"code": code_digest()}
        _in_half(there).save(data_path("checkpoints", name))
    return not differing


def make_base(name: str, recipe: Recipe) -> None:
    """Train the recipe and keep the result as a base model, unless that is there and is today's."""
    if base_is_stale(name, recipe) is None:
        return
    _in_half(train(recipe)).save(data_path("checkpoints", name))


def _in_half(run: Run) -> Run:
    """The run as it is kept: weights in bf16, and the end of the history."""
    half = copy.deepcopy(run.model).to(torch.bfloat16)
    return Run(half, run.tokenizer, run.recipe, run.history[-1:], run.info)
