"""Recorded runs: evidence that takes longer than a reader can wait, kept as data.

`data/runs/NAME.jsonl` holds a line a run: the recipe, the history, what was measured, and what
the numbers depend on. `make runs` makes them; a test retrains a random few and compares.
"""

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from course_lib.runtime import data_path
from course_lib.runtime.errors import CourseError
from course_lib.training import Recipe, Record, Run, each_record
from course_lib.training.run import code_digest


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
        if all(record.recipe[key] == value for key, value in where.items())
    ]
    if not chosen:
        raise CourseError(f"{path.name} has no run with {where}.")
    return sorted(chosen, key=lambda record: record.seed)


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
