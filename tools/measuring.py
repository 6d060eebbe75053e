"""How `make bench` measures: turns, blocks of steps, a ratio with its interval, a bar.

Two sides take turns step by step, so that a machine that slows down slows both. Seconds are those
of the processor, of which other programs take nothing away; on one thread there are no others. Ten
steps are a block, which has everything in it that a loop does now and then; a block gives one
ratio, the median of all is the value, and a bootstrap over blocks its 95 % interval; where whole
processes are held against each other, they are started several times, and the interval is over
those rounds. A bar is
missed where all of the interval is on the wrong side: what noise alone has done, fails nothing.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain

import torch

from course_lib.evaluation import interval
from course_lib.runtime import generator

BLOCK = 10  # steps, of which each loop logs one
RESAMPLES = 2000


@dataclass(frozen=True)
class Measure:
    """One line of the table. Without a bar it is there for information; nan passes no bar."""

    name: str
    value: float
    bar: float | None = None
    at_least: bool = True
    form: str = ".3f"
    note: str = ""
    interval: tuple[float, float] | None = None

    @property
    def failed(self) -> bool:
        """Whether the bar is missed, and not by noise alone."""
        if self.bar is None:
            return False
        low, high = self.interval or (self.value, self.value)
        return not (high >= self.bar if self.at_least else low < self.bar)

    def __str__(self) -> str:
        verdict = "FAIL" if self.failed else "pass"
        bar = f"{'>=' if self.at_least else '<'} {self.bar:{self.form}}" if self.bar else "-"
        between = " to ".join(f"{end:{self.form}}" for end in self.interval or ())
        shown = f"{self.name:<42}{self.value:>10{self.form}}{between:>18}{bar:>13}"
        return f"{shown}  {verdict if self.bar else '':<6}{self.note}"


def compare(name: str, ours: list[float], theirs: list[float], bar: float | None = None) -> Measure:
    """How many times as fast as theirs our steps are, from the seconds of each, in turns."""
    value, interval = ratio(theirs, ours)
    note = f"{statistics.median(ours) * 1e3:.2f} and {statistics.median(theirs) * 1e3:.2f} ms"
    return Measure(name, value, bar, note=note, interval=interval)


def compare_rounds(
    name: str, rounds: list[tuple[list[float], list[float]]], bar: float | None = None
) -> Measure:
    """The same from several rounds, ours and theirs in each: mean of their ratios, t interval."""
    found = interval([ratio(theirs, ours)[0] for ours, theirs in rounds])
    ours, theirs = (statistics.median(chain(*side)) for side in zip(*rounds, strict=True))
    note = f"{ours * 1e3:.2f} and {theirs * 1e3:.2f} ms"
    return Measure(name, found.mean, bar, note=note, interval=(found.low, found.high))


def ratio(above: list[float], below: list[float]) -> tuple[float, tuple[float, float]]:
    """The median over blocks of the first steps' seconds over the second ones', and its interval.

    What is left over after the last whole block does not count.
    """
    blocks = torch.tensor([above, below], dtype=torch.float64).unfold(1, BLOCK, BLOCK).sum(dim=2)
    ratios = blocks[0] / blocks[1]
    draws = torch.randint(
        len(ratios), (RESAMPLES, len(ratios)), generator=generator("bench", len(ratios))
    )
    medians = ratios[draws].quantile(0.5, dim=1)
    low, high = medians.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return float(ratios.quantile(0.5)), (low, high)


def take_turns(sides: dict[str, Callable[[], float]], steps: int) -> dict[str, list[float]]:
    """Let each side take one step, in turn, `steps` times over, and say how long it took.

    Each second time they go in the other order, so that none always follows the same one. The first
    block is not counted: memory is allocated in it.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for step in range(steps + BLOCK):
        for name in list(sides)[:: 1 if step % 2 else -1]:
            taken = sides[name]()
            if step >= BLOCK:
                seconds[name].append(taken)
    return seconds


def alternate(contestants: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Let each contestant measure itself once, in turn, `repeats` times over."""
    results: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, measure in contestants.items():
            gc.collect()  # the models of the turn before are not this one's to clear away
            results[name].append(measure())
    return results


def timed(step: Callable[[], object]) -> Callable[[], float]:
    """A step as a side takes it: done, and its seconds said."""

    def side() -> float:
        start = time.process_time()
        step()
        return time.process_time() - start

    return side


def report(sections: dict[str, Iterable[Measure]]) -> int:
    """Print each measure as it is made; 1 if a bar was missed."""
    missed = 0
    for title, measures in sections.items():
        print(f"\n{title:<42}{'value':>10}{'95 % interval':>18}{'bar':>13}", flush=True)
        for measure in measures:
            print(measure, flush=True)
            missed += measure.failed
    print(f"\nBars missed: {missed}." if missed else "\nEvery bar is met.")
    return 1 if missed else 0
