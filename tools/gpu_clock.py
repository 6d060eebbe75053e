"""Seconds and gigabytes of steps on a device: what `make gpu` reads off."""

import time

import torch

from course_lib.runtime import choose_device

EVERY = 10  # steps between two looks at the clock


def finish() -> None:
    if choose_device().type == "cuda":
        torch.cuda.synchronize()


def fresh_memory() -> None:
    if choose_device().type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def most_memory() -> float | None:
    """Gigabytes that tensors have had at most since `fresh_memory`."""
    if choose_device().type == "cuda":
        return round(torch.cuda.max_memory_allocated() / 1e9, 2)
    return None


class Clock:
    """Seconds of a step, over each ten; what comes before the third look is not counted.

    Compiling and the first allocations are in it.
    """

    def __init__(self) -> None:
        self.looks: list[float] = []

    def __call__(self, entry: object = None) -> None:
        finish()
        self.looks.append(time.perf_counter())

    @property
    def steps(self) -> list[float]:
        pairs = zip(self.looks[1:], self.looks[2:], strict=False)
        return [(after - before) / EVERY for before, after in pairs]
