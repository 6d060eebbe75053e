"""Intervals: what a mean of a few runs is worth, and what a share of right answers is.

Mind the unit. Over seeds it is the run: batches or documents of one run share its weights, and an
interval over them says nothing of what another seed would give. Over items (`exact_interval`) it is
the item: others of the same kind would have given another share.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator
from scipy.special import betaincinv, stdtrit

from course_lib.runtime.checks import BadArgumentError, NotNegativeCount, Share, checked
from course_lib.runtime.errors import CourseError


def _as_values(value: Any) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError("give a list of numbers, one a seed") from None
    if array.ndim != 1 or array.size < 2:
        raise ValueError(f"{array.size} value(s): an interval needs at least two, one a seed")
    if not np.isfinite(array).all():
        raise ValueError("some are nan or infinite: look at those runs before averaging")
    return array


Values = Annotated[np.ndarray, BeforeValidator(_as_values)]  # given as any list of numbers


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


@checked
def interval(values: Values, level: Share = 0.95) -> Interval:
    """Student's t interval of the mean of independent, roughly normal values, one a seed.

    Student 1908, The Probable Error of a Mean, Biometrika 6(1).

    Raises:
        BadArgumentError: fewer than two values, one that is not finite, or a level outside (0, 1).
    """
    mean = float(values.mean())
    error = float(values.std(ddof=1)) / math.sqrt(values.size)
    half = float(stdtrit(values.size - 1, (1 + level) / 2)) * error
    return Interval(mean, mean - half, mean + half, int(values.size))


@checked
def paired_interval(a: Values, b: Values, level: Share = 0.95) -> Interval:
    """Interval of the mean of `a - b`, where entries of the same place share a seed.

    What the seed does to both cancels, so this is narrower than two intervals side by side.

    Raises:
        BadArgumentError: as `interval`, or unequal lengths.
    """
    if a.size != b.size:
        raise BadArgumentError(f"{a.size} and {b.size} values: pair them seed by seed.")
    return interval(a - b, level)


@checked
def exact_interval(
    right: NotNegativeCount, items: NotNegativeCount, level: Share = 0.95
) -> Interval:
    """The share of right answers with the interval of Clopper and Pearson 1934, Biometrika 26.

    Exact for any number of items, also where all or none are right.

    Raises:
        CourseError: more right answers than items, or no items.
    """
    if not 0 < items >= right:
        raise CourseError(f"{right} right of {items}: give at least one item, and no more right.")
    tail = (1 - level) / 2
    low = betaincinv(right, items - right + 1, tail) if right else 0.0
    high = betaincinv(right + 1, items - right, 1 - tail) if right < items else 1.0
    return Interval(right / items, float(low), float(high), items)
