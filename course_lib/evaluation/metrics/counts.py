"""A score in two steps: numbers that each item adds, and a function of their sums.

BLEU, ROUGE, F1 and the others look at each text or label once, count, and turn the counts of the
whole test set into a score. Whoever keeps the counts can ask what the score would have been on
other items like these (`course_lib.evaluation.metrics.significance`) without looking again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator

from course_lib.runtime.checks import Text, checked
from course_lib.runtime.errors import CourseError


def _as_numbers(value: Any) -> np.ndarray:
    try:
        numbers = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError("give a list of numbers, one an item") from None
    if numbers.ndim != 1:
        raise ValueError("give a list of numbers, one an item")
    return numbers


Numbers = Annotated[np.ndarray, BeforeValidator(_as_numbers)]  # given as any list of numbers


@dataclass(frozen=True)
class Counts:
    """What each item adds, `rows` [items, numbers], and the score of a sum of such rows.

    `name` says which score it is, with what distinguishes it from others of the kind: only counts
    of one name can be compared.

    Raises:
        CourseError: no items, or numbers that are not finite.
    """

    name: str
    rows: np.ndarray
    score_of: Callable[[np.ndarray], float]

    def __post_init__(self) -> None:
        shape = np.shape(self.rows)
        if not isinstance(self.rows, np.ndarray) or len(shape) != 2 or not len(self.rows):
            raise CourseError(
                f"rows={shape}: counts are an array with a row for each item, and at least one."
            )
        if not np.isfinite(self.rows).all():
            raise CourseError(f"{self.name}: some items have a value that is not a finite number.")

    @cached_property
    def score(self) -> float:
        """The score of all items."""
        return float(self.score_of(self.rows.sum(axis=0)))

    @property
    def each(self) -> np.ndarray:
        """The score of each item alone [items]."""
        return np.array([self.score_of(row) for row in self.rows])


@checked
def mean_of(name: Text, values: Numbers) -> Counts:
    """The counts of a score that is the mean of one value for each item.

    Raises:
        BadArgumentError: not a list of numbers.
        CourseError: no items, or numbers that are not finite.
    """
    return Counts(name, np.column_stack([values, np.ones(len(values))]), _mean)


def _mean(sums: np.ndarray) -> float:
    total, count = sums
    return float(total / count)
