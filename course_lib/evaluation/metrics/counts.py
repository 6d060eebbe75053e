"""A score in two steps: numbers that each item adds, and a function of their sums.

BLEU, ROUGE, F1 and the others look at each text or label once, count, and turn the counts of the
whole test set into a score. Whoever keeps the counts can ask what the score would have been on
other items like these (`course_lib.evaluation.metrics.significance`) without looking again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from course_lib.runtime.errors import CourseError


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
        if self.rows.ndim != 2 or not len(self.rows):
            raise CourseError(
                f"rows={self.rows.shape}: counts have a row for each item, and at least one."
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


def mean_of(name: str, values: Sequence[float]) -> Counts:
    """The counts of a score that is the mean of one value for each item."""
    ones = np.ones(len(values))
    return Counts(name, np.column_stack([np.asarray(values, dtype=float), ones]), _mean)


def _mean(sums: np.ndarray) -> float:
    total, count = sums
    return float(total / count)
