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


def verify_base(name: str, recipe: Recipe) -> bool:
    """Train a base model of other code again; it is today's where every weight and loss comes out.

    Prints what does not, and then leaves the base as it is, for `make runs` to make anew. One that
    is missing, or of another recipe, has nothing to be held against.
    """
    if not (base_is_stale(name, recipe) or "").startswith("by other code"):
        return False
    there, again = Run.load(data_path("checkpoints", name)), _in_half(train(recipe))
    weights = again.model.state_dict()
    found = [
        f"{key} differs"
        for key, tensor in there.model.state_dict().items()
        if not torch.equal(tensor.to(torch.bfloat16), weights[key])
    ]
    if there.history != again.history:
        found.append(f"the history ended with {there.history[-1]}, does with {again.history[-1]}")
    for line in found[:4]:
        print(f"base {name}: {line}", flush=True)
    if not found:
        again.save(data_path("checkpoints", name))
    return not found


def make_base(name: str, recipe: Recipe) -> None:
    """Train the recipe and keep the result as a base model, unless that is there and is today's."""
    if base_is_stale(name, recipe) is None:
        return
    _in_half(train(recipe)).save(data_path("checkpoints", name))


def _in_half(run: Run) -> Run:
    """The run as it is kept: weights in bf16, and the end of the history."""
    half = copy.deepcopy(run.model).to(torch.bfloat16)
    return Run(half, run.tokenizer, run.recipe, run.history[-1:], run.info)
