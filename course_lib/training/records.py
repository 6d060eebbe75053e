"""Recorded runs: evidence that takes longer than a reader can wait, kept as data.

`data/runs/NAME.jsonl` holds a line a run: the recipe, the history, what was measured, and what
the numbers depend on. `make runs` makes them; a test retrains a random few and compares.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from course_lib.runtime import data_path, progress
from course_lib.runtime.errors import CourseError
from course_lib.training.pretraining import train
from course_lib.training.recipe import Recipe
from course_lib.training.run import Run, code_digest

HISTORY_POINTS = 40  # entries kept of a history: enough to draw, a few kB a line


@dataclass(frozen=True)
class Study:
    """An experiment: recipes, and a function that turns a finished run into measurements.

    `tolerance` says how far a repetition on another machine may be from the record, in the unit
    of each measurement.
    """

    name: str
    recipes: tuple[Recipe, ...]
    measure: Callable[[Run], dict[str, float]]
    tolerance: float


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


def load_records(name: str, **where: Any) -> list[Record]:
    """The recorded runs of a study whose recipes have these fields, in order of seed.

    `load_records("masked-static-dynamic", objective="masked")` gives the dynamic ones.

    Raises:
        CourseError: no such study, or no run with these fields.
    """
    path = data_path("runs", f"{name}.jsonl")
    if not path.is_file():
        raise CourseError(f"No recorded runs in {path}: make them with `make runs`.")
    records = [_parse(line) for line in path.read_text().splitlines()]
    chosen = [
        record
        for record in records
        if all(getattr(record.recipe, key) == value for key, value in where.items())
    ]
    if not chosen:
        raise CourseError(f"{path.name} has no run with {where}.")
    return sorted(chosen, key=lambda record: record.seed)


def run_and_measure(study: Study, recipe: Recipe) -> Record:
    """Train one recipe of a study and measure it."""
    run = train(recipe)
    return Record(recipe, _thin(run.history), study.measure(run), run.info)


def record(study: Study, *, jobs: int = 2) -> list[Record]:
    """Make the runs of a study that are not on record yet, and write the file anew.

    A run counts as recorded if its recipe is and the code that made it has not changed since.
    Each run has one thread; `joblib` spreads them over `jobs` processes, or over whatever backend
    the caller has chosen with `joblib.parallel_config`. The file is rewritten after every run, so
    an interruption loses at most the runs under way; a run that fails is reported at the end and
    does not take the others with it.

    Raises:
        CourseError: names the recipes that failed, after all others are recorded.
    """
    from joblib import Parallel, delayed

    path = data_path("runs", f"{study.name}.jsonl")
    lines = path.read_text().splitlines() if path.is_file() else []
    wanted = [recipe.digest() for recipe in study.recipes]
    kept = {r.recipe.digest(): r for r in map(_parse, lines) if r.info["code"] == code_digest()}
    kept = {digest: r for digest, r in kept.items() if digest in wanted}
    missing = [recipe for recipe in study.recipes if recipe.digest() not in kept]

    jobs_to_do = (delayed(_attempt)(study, recipe) for recipe in missing)
    results = Parallel(n_jobs=jobs, return_as="generator_unordered")(jobs_to_do)
    failures = []
    for result in progress(results, total=len(missing), desc=study.name):
        if isinstance(result, Record):
            kept[result.recipe.digest()] = result
            _write(path, [kept[digest] for digest in wanted if digest in kept])
        else:
            failures.append(result)
    if not missing:  # recipes that left the study leave the record too
        _write(path, [kept[digest] for digest in wanted])
    if failures:
        raise CourseError(f"{study.name}: {len(failures)} runs failed: {'; '.join(failures)}")
    return [kept[recipe.digest()] for recipe in study.recipes]


def _attempt(study: Study, recipe: Recipe) -> Record | str:
    from course_lib.runtime import set_threads

    set_threads(1)
    try:
        return run_and_measure(study, recipe)
    except Exception as error:
        return f"{recipe.name} seed {recipe.seed}: {type(error).__name__}: {error}"


def _thin(history: list[dict[str, float]]) -> list[dict[str, float]]:
    """Evenly chosen entries, all with a validation loss among them, rounded to be readable."""
    stride = max(1, len(history) // HISTORY_POINTS)
    kept = [e for i, e in enumerate(history) if (i + 1) % stride == 0 or "validation_loss" in e]
    return [
        {k: v if isinstance(v, int) else float(f"{v:.6g}") for k, v in entry.items()}
        for entry in kept
    ]


def _parse(line: str) -> Record:
    fields = json.loads(line)
    return Record(**fields | {"recipe": Recipe.from_dict(fields["recipe"])})


def _write(path: Any, records: Iterable[Record]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps(asdict(record) | {"recipe": record.recipe.to_dict()}, separators=(",", ":"))
        for record in records
    ]
    partial = path.with_suffix(".partial")
    partial.write_text("".join(line + "\n" for line in lines))
    partial.replace(path)
