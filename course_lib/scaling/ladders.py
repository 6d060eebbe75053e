"""Ladders: many small runs that differ in parameters and training tokens, as one table."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd

from course_lib.compute import recipe_shape, six_nd
from course_lib.runtime import CourseError
from course_lib.training import Recipe, Record, Run
from course_lib.training.sweep import each_record


def ladder(
    recipes: Sequence[Recipe], measure: Callable[[Run], dict[str, Any]], *, jobs: int = 2
) -> pd.DataFrame:
    """Train and measure the runs of a ladder; return the table that `ladder_table` describes.

    One thread a run, `jobs` processes, or the backend that the caller has chosen with
    `joblib.parallel_config`. A bar shows progress and time left. Runs are cached one by one, so a
    ladder that was interrupted goes on where it stopped, and one that is whole costs nothing. A
    run that fails is left out and named in a warning.

    `measure` gets each finished run and returns at least its `loss`. Processes must be able to
    import it.

    Raises:
        CourseError: every run failed.
    """
    finished, failures = [], []
    for result in each_record(recipes, measure, jobs=jobs, label="ladder"):
        (finished if isinstance(result, Record) else failures).append(result)
    if failures:
        reasons = "; ".join(failure.splitlines()[0] for failure in failures)
        problem = f"{len(failures)} of {len(recipes)} runs failed: {reasons}"
        if not finished:
            raise CourseError(problem)
        warnings.warn(f"{problem}. The table is without them.", stacklevel=2)
    return ladder_table(finished)


def ladder_table(records: Iterable[Record]) -> pd.DataFrame:
    """A row for each run, smallest model and shortest run first; recorded runs fit in, too.

    Columns: `corpus`, `width`, `seed`, `params` (all trainable numbers), `non_embedding` (without
    the tables of tokens and positions: N in Kaplan et al. 2020, section 2.1), `tokens` (seen in
    training), `flop` (6 N D, with all parameters), `loss` (as measured, nats per token), `curve`
    (pairs of tokens and training loss on the way), and what else `measure` returned.
    """
    rows = [_row(record) for record in records]
    order = ["params", "tokens", "seed"]
    return pd.DataFrame(rows).sort_values(order, ignore_index=True)


def _row(record: Record) -> dict[str, Any]:
    recipe = record.recipe
    shape = recipe_shape(recipe)
    a_step = recipe.optimization.batch * recipe.data.length
    row = {
        "corpus": recipe.data.corpus,
        "width": recipe.model.width,
        "seed": recipe.seed,
        "params": shape.parameters,
        "non_embedding": shape.non_embedding_parameters,
        "tokens": recipe.optimization.steps * a_step,
        "flop": six_nd(shape.parameters, recipe.optimization.steps * a_step),
        "curve": [(entry["step"] * a_step, entry["loss"]) for entry in record.history],
    }
    return row | record.measurements
