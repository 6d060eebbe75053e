"""Whether what is on record still comes out: runs are made again and held against their lines.

Code changes more often than what it computes. One run of each recipe of a study is made again by
today's code. If its losses are those on record, digit for digit, and its measurements within a
hundredth of the study's tolerance (where sums are taken in another order, one decision in a
thousand may fall the other way), the other seeds of that recipe are taken for today's too. If not,
all of the recipe stay stale, and `make runs` makes them anew.
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
        differences = differing(there[result.recipe.digest()], result, study.tolerance / 100)
        for line in differences:
            print(f"{study.name} {result.recipe.name}: {line}", flush=True)
        outcome[f"{result.recipe.name} {key.digest()}"] = not differences
        if not differences:
            for record in groups[key]:
                about = {"code": code_digest(), "measured": measure_digest(study)}
                there[record.recipe.digest()] = replace(record, info=record.info | about)
            write_records(study.name, _in_order(study, there))
    return outcome


def differing(then: Record, now: Record, tolerance: float) -> list[str]:
    """What does not come out: losses of the history, and measurements, a line each."""
    if len(then.history) != len(now.history):
        return [
            f"{len(then.history)} entries of the history were on record, {len(now.history)} are"
        ]
    losses = {
        f"{key} at step {a['step']}": (a[key], b.get(key))
        for a, b in zip(then.history, now.history, strict=True)
        for key in ("loss", "validation_loss")
        if key in a
    }
    measured = {
        name: (then.measurements.get(name), now.measurements.get(name))
        for name in sorted(then.measurements.keys() | now.measurements.keys())
    }
    found = [(name, a, b) for name, (a, b) in losses.items() if not _close(a, b, DIGITS * abs(a))]
    found += [(name, a, b) for name, (a, b) in measured.items() if not _close(a, b, tolerance)]
    return [f"{name} was {a}, is {b}" for name, a, b in found]


def _close(a: object, b: object, tolerance: float) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return abs(a - b) <= tolerance * max(1.0, abs(a))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_close(x, y, tolerance) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_close(a[key], b[key], tolerance) for key in a)
    return a == b


def _in_order(study: Study, there: dict[str, Record]) -> list[Record]:
    wanted = [recipe.digest() for recipe in study.recipes]
    return [there[digest] for digest in wanted if digest in there]
