"""How fast a machine is: the reader's where someone watches, one on record in what is stored.

A time differs at every run, so it has no place in a committed notebook. A notebook measures all the
same, and hands what it found to `measured_or_recorded`: a reader sees the own machine, and a stored
output, the book, or CI (`COURSE_QUIET=1`) sees the machine of `data/machine.json`. That file is
written by

    python -m course_lib.classroom.machine "two cores of ..."

on a machine that does nothing else.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch

from course_lib.classroom.live import watched
from course_lib.compute import recipe_flops
from course_lib.runtime import choose_device, data_path
from course_lib.training import Data, Model, Optimization, Recipe, fit, fresh_model, prepare

MATRICES = (16, 32, 64, 128, 256, 512, 1024, 2048)
WIDTHS = (32, 64, 128, 256, 512)


def matmul_rate(size: int, seconds: float = 0.15) -> float:
    """FLOP/s of multiplying two fp32 matrices [size, size]: the fastest of several attempts.

    Other programs can only slow a machine down, so the fastest attempt says most about it.
    """
    device = choose_device()
    a, b = torch.rand(2, size, size, device=device)
    once = _seconds(lambda: a @ b, 1)
    # Many small products at a time, so that reading the clock is a small part of each attempt.
    times = max(1, round(seconds / 10 / once))
    return 2 * size**3 / min(_seconds(lambda: a @ b, times) for _ in range(10))


def step_recipe(width: int, steps: int = 8) -> Recipe:
    """A GPT of two layers on a little text of the world, to be timed and thrown away."""
    return Recipe(
        name=f"timing-{width}",
        data=Data(corpus="world", documents=400),
        model=Model(family="gpt2", width=width, heads=width // 16),
        optimization=Optimization(steps=steps, batch=16, warmup=0, log_every=1, precision="no"),
    )


def training_rate(recipe: Recipe) -> float:
    """FLOP/s of a training run, by the median of its steps; never taken from the cache of runs.

    The first steps are left out: memory is allocated in them.
    """
    prepared = prepare(recipe)
    marks: list[float] = []
    model = fresh_model(recipe, prepared.tokenizer)
    fit(
        model,
        prepared.train,
        recipe.optimization,
        callback=lambda entry: marks.append(time.perf_counter()),
    )
    steps = [after - before for before, after in pairwise(marks[1:])]
    return recipe_flops(recipe) / recipe.optimization.steps / statistics.median(steps)


def measured_or_recorded(name: str, measured: dict[int, float]) -> tuple[dict[int, float], str]:
    """The measurement and "your machine" where someone watches; else the record, and whose it is.

    `name` is "matmul" or "training"; keys are sizes, values FLOP/s.
    """
    if watched():
        return measured, "your machine"
    record = json.loads(data_path("machine.json").read_text(encoding="utf-8"))
    return {int(size): rate for size, rate in record[name].items()}, record["machine"]


def _seconds(call: Callable[[], Any], times: int) -> float:
    """Mean seconds of a call; on a GPU, until the device has finished."""
    _finish()
    start = time.perf_counter()
    for _ in range(times):
        call()
    _finish()
    return (time.perf_counter() - start) / times


def _finish() -> None:
    device = choose_device().type
    if device in ("cuda", "mps"):
        getattr(torch, device).synchronize()


def main(machine: str) -> None:
    """Measure this machine and put it on record."""
    record = {
        "machine": machine,
        "torch": torch.__version__.partition("+")[0],
        "threads": torch.get_num_threads(),
        "matmul": {size: float(f"{matmul_rate(size, 1.0):.3g}") for size in MATRICES},
        "training": {
            width: float(f"{training_rate(step_recipe(width, 60)):.3g}") for width in WIDTHS
        },
    }
    data_path("machine.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
