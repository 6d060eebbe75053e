"""What the studies share: the seeds, the reader's own run, and how a study is put together."""

import math
from collections.abc import Callable, Iterable

import torch

from course_lib.runtime import data_path
from course_lib.studies import Study
from course_lib.training import Recipe, Run

SEEDS = range(5)
LIVE_SEED = 100  # of the reader's own runs: not among the recorded ones
TOKENS_A_DOCUMENT = 50  # of the world, at the least
TEST_EXAMPLES = 1000  # of labelled tasks and cloze sentences; drawn with seed 1, training with 0


def recipe(name: str) -> Recipe:
    """The recipe `data/recipes/NAME.toml`."""
    return Recipe.load(data_path("recipes", f"{name}.toml"))


def study(
    name: str, recipes: list[Recipe], measure: Callable[[Run], dict], tolerance: float
) -> Study:
    """A study of these recipes, each with every seed."""
    seeded = [one.replace(seed=seed) for one in recipes for seed in SEEDS]
    return Study(name, tuple(seeded), measure, tolerance)


def live(recipe: Recipe, steps: int, seed: int = LIVE_SEED) -> Recipe:
    """The recipe with the reader's seed and budget, logged as often as the recorded runs.

    A short run reads little of the world, so it is not made to wait for more.
    """
    if recipe.data.corpus == "world":
        tokens = steps * recipe.optimization.batch * recipe.data.length
        readable = max(300, tokens // TOKENS_A_DOCUMENT)
        if readable < (recipe.data.documents or 20_000):
            recipe = recipe.replace(documents=readable)
    return recipe.replace(
        seed=seed,
        steps=steps,
        warmup=min(recipe.optimization.warmup, steps),
        evaluate_every=max(1, steps // 20),
    )


def top_margin(log_probs: torch.Tensor, answer: int) -> float:
    """Log-probability of a token minus that of the likeliest other: above 0 if it comes first."""
    others = log_probs.clone()
    others[answer] = -math.inf
    return float(log_probs[answer] - others.max())


def as_digits(values: Iterable[bool]) -> str:
    """A digit an item: a list of booleans takes six times the room in a record."""
    return "".join(str(int(value)) for value in values)


def measure_nothing_more(run: Run) -> dict[str, float]:
    """Only what training logs: the validation loss at the end."""
    return {"validation_loss": run.validation_loss}
