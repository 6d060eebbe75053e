"""Recorded runs: evidence that takes longer than a reader can wait, kept as data.

`data/runs/NAME.jsonl` holds a line a run: the recipe, the history, what was measured, and what
the numbers depend on. `make runs` makes them; a test retrains a random few and compares.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from course_lib.compute import recipe_flops
from course_lib.runtime import data_path, progress, set_threads
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


def run_and_measure(recipe: Recipe, measure: Callable[[Run], dict[str, Any]]) -> Record:
    """Train one recipe, or find its run in the cache, and measure it."""
    run = train(recipe)
    return Record(recipe, _thin(run.history), measure(run), run.info)


def record(study: Study, *, jobs: int = 2, again: bool = False) -> list[Record]:
    """Make the runs of a study that are not on record yet, and write the file anew.

    A study that is whole stays as it is, unless `again` asks for it anew where the code has
    changed since. One that is not whole is completed with runs of today's code alone, so all runs
    of a study come from one code. They are made as `each_record` makes them. The file is rewritten
    after every run, so an interruption loses at most the runs under way; a run that fails is
    reported at once and does not take the others with it.

    Raises:
        CourseError: names the recipes that failed, after all others are recorded.
    """
    path = data_path("runs", f"{study.name}.jsonl")
    lines = path.read_text().splitlines() if path.is_file() else []
    wanted = [recipe.digest() for recipe in study.recipes]
    kept = {r.recipe.digest(): r for r in map(_parse, lines)}
    if again or not kept.keys() >= set(wanted):
        kept = {digest: r for digest, r in kept.items() if r.info["code"] == code_digest()}
    kept = {digest: r for digest, r in kept.items() if digest in wanted}
    missing = [recipe for recipe in study.recipes if recipe.digest() not in kept]

    failures = []
    for result in each_record(missing, study.measure, jobs=jobs, label=study.name):
        if isinstance(result, Record):
            kept[result.recipe.digest()] = result
            _write(path, [kept[digest] for digest in wanted if digest in kept])
        else:
            print(f"failed: {result}", file=sys.stderr, flush=True)  # at once: others take hours
            failures.append(result)
    if not missing:  # recipes that left the study leave the record too
        _write(path, [kept[digest] for digest in wanted])
    if failures:
        raise CourseError(f"{study.name}: {len(failures)} runs failed: {'; '.join(failures)}")
    return [kept[recipe.digest()] for recipe in study.recipes]


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
    and the bar counts FLOPs, so that its time left means something. In place of a run that
    failed comes a line that says which it was and why.
    """
    from joblib import Parallel, delayed

    cost = {recipe: recipe_flops(recipe) for recipe in recipes}
    ordered = sorted(recipes, key=cost.get, reverse=True)
    tasks = (delayed(_attempt)(recipe, measure) for recipe in ordered)
    bar = progress(total=sum(cost.values()), desc=label, unit="FLOP", unit_scale=True)
    with bar:
        for recipe, result in Parallel(n_jobs=jobs, return_as="generator_unordered")(tasks):
            bar.update(cost[recipe])
            yield result


def _attempt(recipe: Recipe, measure: Callable[[Run], dict]) -> tuple[Recipe, Record | str]:
    import torch

    threads = torch.get_num_threads()
    set_threads(1)
    try:
        return recipe, run_and_measure(recipe, measure)
    except Exception as error:
        return recipe, f"{recipe.name} seed {recipe.seed}: {type(error).__name__}: {error}"
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
