"""Whether what is on record still comes out: runs are made again and held against their lines.

Code changes more often than what it computes. Where a run of each recipe of a study, made again by
today's code, meets its record digit for digit, the other seeds of that recipe are taken for today's
too. Where one does not, all of its recipe stay stale, and `make runs` makes them anew.
"""

import sys
from dataclasses import replace

from course_lib.studies.records import (
    Study,
    load_records,
    measure_digest,
    stale,
    write_records,
)
from course_lib.training import Record, each_record
from course_lib.training.run import code_digest

DIGITS = 1e-5  # relative; histories are kept with six digits


def verify(study: Study, *, jobs: int = 2) -> dict[str, bool]:
    """Make one run of each stale recipe again and mark the recipe current where it comes out.

    Returns for each recipe, by its name and what sets it apart, whether it did.
    """
    there = {record.recipe.digest(): record for record in load_records(study.name)}
    why = stale(study)
    groups: dict[object, list[Record]] = {}
    for digest in why:
        if digest in there:
            record = there[digest]
            groups.setdefault(record.recipe.replace(seed=0), []).append(record)
    outcome = {}
    first = {records[0].recipe.digest(): key for key, records in groups.items()}
    recipes = [records[0].recipe for records in groups.values()]
    for result in each_record(recipes, study.measure, jobs=jobs, label=study.name):
        if not isinstance(result, Record):
            print(f"failed: {result}", file=sys.stderr, flush=True)
            continue
        key = first[result.recipe.digest()]
        same = differing(there[result.recipe.digest()], result)
        for line in same:
            print(f"{study.name} {result.recipe.name}: {line}", flush=True)
        outcome[f"{result.recipe.name} {key.digest()}"] = not same
        if not same:
            for record in groups[key]:
                about = {"code": code_digest(), "measured": measure_digest(study)}
                there[record.recipe.digest()] = replace(record, info=record.info | about)
            write_records(study.name, _in_order(study, there))
    return outcome


def differing(then: Record, now: Record) -> list[str]:
    """What does not come out: losses of the history and measurements, one line each."""
    pairs = {
        f"loss at step {a['step']}": (a["loss"], b["loss"])
        for a, b in zip(then.history, now.history, strict=True)
    }
    pairs["last loss"] = tuple(
        record.history[-1].get("validation_loss", record.history[-1]["loss"])
        for record in (then, now)
    )
    for name in sorted(then.measurements.keys() | now.measurements.keys()):
        pairs[name] = (then.measurements.get(name), now.measurements.get(name))
    return [f"{name} was {a}, is {b}" for name, (a, b) in pairs.items() if not _same(a, b)][:5]


def _same(a: object, b: object) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return abs(a - b) <= DIGITS * max(abs(a), abs(b), 1e-3)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    return a == b


def _in_order(study: Study, there: dict[str, Record]) -> list[Record]:
    wanted = [recipe.digest() for recipe in study.recipes]
    return [there[digest] for digest in wanted if digest in there]
