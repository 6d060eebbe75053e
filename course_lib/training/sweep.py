"""Many runs at once: train each recipe, measure it, and keep what can be written down."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from course_lib.compute import recipe_flops
from course_lib.runtime import progress, set_threads
from course_lib.training.recipe import Recipe
from course_lib.training.run import Run
from course_lib.training.run_recipe import train

HISTORY_POINTS = 40  # entries kept of a history: enough to draw, a few kB a line


@dataclass(frozen=True)
class Record:
    """One recorded run."""

    recipe: Recipe
    history: list[dict[str, float]]
    measurements: dict[str, Any]
    info: dict[str, Any]

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.recipe.seed


def run_and_measure(recipe: Recipe, measure: Callable[[Run], dict[str, Any]]) -> Record:
    """Train one recipe, or find its run in the cache, and measure it."""
    run = train(recipe)
    return Record(recipe, _thin(run.history), measure(run), run.info)


def each_record(
    recipes: Sequence[Recipe],
    measure: Callable[[Run], dict[str, Any]],
    *,
    jobs: int = 2,
    label: str = "runs",
) -> Iterator[Record | str]:
    """Train and measure many recipes, one thread each, and give each as soon as it is finished.

    `joblib` spreads the runs over `jobs` processes, or over whatever backend the caller has chosen
    with `joblib.parallel_config`. The longest start first, so that none is left over at the end,
    and the bar counts work, so that its time left means something. In place of a run that failed
    comes a text: a line that says which it was and why, and the traceback below it. A process that
    is killed, for want of memory say, costs no run but its own: what was under way is made again,
    one at a time.
    """
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    cost = {recipe: _cost(recipe, recipes) for recipe in recipes}
    left = sorted(recipes, key=cost.get, reverse=True)
    with progress(total=sum(cost.values()), desc=label, unit_scale=True) as bar:
        tasks = (delayed(_attempt)(recipe, measure) for recipe in tuple(left))
        try:
            for recipe, result in Parallel(n_jobs=jobs, return_as="generator_unordered")(tasks):
                left.remove(recipe)
                bar.update(cost[recipe])
                yield result
        except TerminatedWorkerError:
            for recipe in left:
                yield _alone(recipe, measure)
                bar.update(cost[recipe])


def _cost(recipe: Recipe, among: Sequence[Recipe]) -> float:
    """FLOPs, or tokens where some start from models whose shape their recipes do not say."""
    if all(one.model is not None and one.model.published is None for one in among):
        return recipe_flops(recipe)
    return recipe.optimization.steps * recipe.optimization.batch * recipe.data.length


def _alone(recipe: Recipe, measure: Callable[[Run], dict]) -> Record | str:
    """One run in a process of its own, so that only it is lost if the process is killed."""
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    try:
        return get_reusable_executor(max_workers=1).submit(_attempt, recipe, measure).result()[1]
    except TerminatedWorkerError:
        return (
            f"{recipe.name} seed {recipe.seed}: its process was killed, for want of memory perhaps:"
            " run fewer jobs at a time"
        )


def _attempt(recipe: Recipe, measure: Callable[[Run], dict]) -> tuple[Recipe, Record | str]:
    import torch

    threads = torch.get_num_threads()
    set_threads(1)
    try:
        return recipe, run_and_measure(recipe, measure)
    except Exception as error:
        said = f"{recipe.name} seed {recipe.seed}: {type(error).__name__}: {error}"
        return recipe, f"{said}\n{traceback.format_exc()}"
    finally:
        set_threads(threads)


def _thin(history: list[dict[str, float]]) -> list[dict[str, float]]:
    """Evenly chosen entries, all with a validation loss among them, rounded to be readable."""
    stride = max(1, len(history) // HISTORY_POINTS)
    kept = [e for i, e in enumerate(history) if (i + 1) % stride == 0 or "validation_loss" in e]
    return [
        {k: v if isinstance(v, int) else float(f"{v:.6g}") for k, v in entry.items()}
        for entry in kept
    ]
