"""Recorded runs: evidence that takes longer than a reader can wait, kept as data.

`data/runs/NAME.jsonl` holds a line a run: the recipe, the history, what was measured, and what
the numbers depend on. `make runs` makes them; a test retrains a random few and compares.
"""

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from course_lib.runtime import data_path
from course_lib.runtime.digest import digest_of, modules_behind
from course_lib.runtime.errors import CourseError
from course_lib.training import Recipe, Record, Run, each_record
from course_lib.training.run import (
    WITHOUT_EFFECT,
    code_digest,
    files_behind,
    training_modules,
)


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
    chosen = [
        record
        for record in _on_record(name).values()
        if all(record.recipe[key] == value for key, value in where.items())
    ]
    if not chosen:
        raise CourseError(f"{path.name} has no run with {where}.")
    return sorted(chosen, key=lambda record: record.seed)


def measure_digest(study: Study) -> str:
    """Names the code that measures a study's runs, apart from what trains them."""
    module = study.measure.__module__
    if not module.startswith("course_lib."):
        return ""
    return digest_of(
        files_behind(modules_behind(module, without=WITHOUT_EFFECT) - training_modules())
    )


def stale(study: Study) -> dict[str, str]:
    """The recipes of a study whose record is not today's, by digest, and why."""
    there, measured = _on_record(study.name), measure_digest(study)
    reasons = {}
    for recipe in study.recipes:
        found = there.get(recipe.digest())
        if found is None:
            reasons[recipe.digest()] = "not on record"
        elif found.info["code"] != code_digest():
            reasons[recipe.digest()] = f"trained by other code ({found.info['code']})"
        elif found.info.get("measured") != measured:
            reasons[recipe.digest()] = f"measured by other code ({found.info.get('measured')})"
    return reasons


def record(study: Study, *, jobs: int = 2) -> list[Record]:
    """Make the runs of a study that are missing or stale, and write the file anew.

    They are made as `each_record` makes them. The file is rewritten after every run, so an
    interruption loses at most the runs under way; a run that fails is reported at once and does not
    take the others with it. Recipes that left the study leave the record.

    Raises:
        CourseError: names the recipes that failed, after all others are recorded.
    """
    wanted = [recipe.digest() for recipe in study.recipes]
    kept = {digest: r for digest, r in _on_record(study.name).items() if digest in wanted}
    why, measured, failures = stale(study), measure_digest(study), []
    due = [recipe for recipe in study.recipes if recipe.digest() in why]
    for result in each_record(due, study.measure, jobs=jobs, label=study.name):
        if isinstance(result, Record):
            kept[result.recipe.digest()] = replace(
                result, info=result.info | {"measured": measured}
            )
            write_records(study.name, [kept[digest] for digest in wanted if digest in kept])
        else:
            print(f"failed: {result}", file=sys.stderr, flush=True)  # at once: others take hours
            failures.append(result.splitlines()[0])
    if not due:
        write_records(study.name, [kept[digest] for digest in wanted])
    if failures:
        raise CourseError(f"{study.name}: {len(failures)} runs failed: {'; '.join(failures)}")
    return [kept[recipe.digest()] for recipe in study.recipes]


def write_records(name: str, records: Iterable[Record]) -> None:
    """Write the record of a study, a line a run; a kill leaves the old file or the new one."""
    path = data_path("runs", f"{name}.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps(asdict(record) | {"recipe": record.recipe.to_dict()}, separators=(",", ":"))
        for record in records
    ]
    partial = path.with_suffix(".partial")
    partial.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    partial.replace(path)


def _on_record(name: str) -> dict[str, Record]:
    path = data_path("runs", f"{name}.jsonl")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {record.recipe.digest(): record for record in map(_parse, lines)}


def _parse(line: str) -> Record:
    fields = json.loads(line)
    return Record(**fields | {"recipe": Recipe.from_dict(fields["recipe"])})
