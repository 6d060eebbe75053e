"""Intervals over seeds: what a mean of a few runs is worth.

The unit is the run. Batches or documents of one run share its weights, and an interval over them
says nothing of what another seed would give.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit


@dataclass(frozen=True)
class Interval:
    """A mean with the bounds of its confidence interval, over n values."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        half = (self.high - self.low) / 2
        # Two digits of the half width; more would be noise.
        decimals = max(0, 1 - math.floor(math.log10(half))) if half > 0 else 3
        mean, low, high = (f"{x:.{decimals}f}" for x in (self.mean, self.low, self.high))
        return f"{mean} ({low} to {high}, n={self.n})"


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's t interval of the mean of independent, roughly normal values, one a seed.

    Student 1908, The Probable Error of a Mean, Biometrika 6(1).

    Raises:
        ValueError: fewer than two values, one that is not finite, or a level outside (0, 1).
    """
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or array.size < 2:
        raise ValueError(f"{array.size} value(s): an interval needs at least two, one a seed.")
    if not np.isfinite(array).all():
        raise ValueError("Some values are nan or infinite: look at those runs before averaging.")
    if not 0 < level < 1:
        raise ValueError(f"level={level}: give a probability such as 0.95.")
    mean = float(array.mean())
    error = float(array.std(ddof=1)) / math.sqrt(array.size)
    half = float(stdtrit(array.size - 1, (1 + level) / 2)) * error
    return Interval(mean, mean - half, mean + half, int(array.size))


def paired_interval(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Interval:
    """Interval of the mean of `a - b`, where entries of the same place share a seed.

    What the seed does to both cancels, so this is narrower than two intervals side by side.

    Raises:
        ValueError: as `interval`, or unequal lengths.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} values: pair them seed by seed.")
    return interval(np.asarray(a, dtype=float) - np.asarray(b, dtype=float), level)
