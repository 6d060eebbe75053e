"""Is a score, or a difference of two, more than the luck of the test set?

The unit is the item: the test texts are a sample, and another sample would have given another
score. (What another *seed* of training would have given is a different question:
`course_lib.evaluation.interval`.)
"""

from collections.abc import Iterator

import numpy as np
import torch

from course_lib.evaluation.intervals import Interval
from course_lib.evaluation.metrics.counts import Counts
from course_lib.runtime import generator
from course_lib.runtime.checks import Count, Share, Whole, checked
from course_lib.runtime.errors import CourseError


@checked
def bootstrap_interval(
    counts: Counts, *, level: Share = 0.95, resamples: Count = 1000, seed: Whole = 0
) -> Interval:
    """The score of a test set, and between which bounds it lies on test sets like it.

    Draws as many items as there are, with replacement, again and again (Efron 1979; for BLEU Koehn
    2004), and takes the percentiles of the scores.
    """
    scores = [counts.score_of(sums) for (sums,) in _resampled([counts], resamples, seed)]
    return _interval(counts.score, scores, level, len(counts.rows))


@checked
def paired_bootstrap(
    a: Counts, b: Counts, *, level: Share = 0.95, resamples: Count = 1000, seed: Whole = 0
) -> Interval:
    """The score of system `a` minus that of `b` on the same items, with its interval.

    Both are scored on the *same* resamples (Koehn 2004, section 4), so that what makes an item hard
    for both cancels. If the interval excludes 0, the difference would not go away with other items.

    Raises:
        CourseError: not the same number of items, or two different scores.
    """
    _require_pair(a, b)
    scores = [a.score_of(x) - b.score_of(y) for x, y in _resampled([a, b], resamples, seed)]
    return _interval(a.score - b.score, scores, level, len(a.rows))


@checked
def paired_randomization(
    a: Counts, b: Counts, *, resamples: Count = 10_000, seed: Whole = 0
) -> float:
    """How often chance alone makes a difference at least as large, either way: a p-value.

    If it did not matter which system wrote which text, outputs could be exchanged item by item. So
    they are, by the toss of a coin for each item, and the difference is taken anew (Noreen 1989;
    Riezler and Maxwell 2005). One is added to both counts, so that the value is never 0.

    Raises:
        CourseError: not the same number of items, or two different scores.
    """
    _require_pair(a, b)
    draw = generator(seed, "paired randomization")
    observed, extreme = abs(a.score - b.score), 0
    both, swapped = a.rows.sum(axis=0) + b.rows.sum(axis=0), b.rows - a.rows
    for _ in range(resamples):
        coins = torch.randint(2, (len(a.rows),), generator=draw).numpy()
        one = a.rows.sum(axis=0) + coins @ swapped
        difference = abs(a.score_of(one) - a.score_of(both - one))
        extreme += difference >= observed - 1e-12 * max(1.0, observed)
    return (extreme + 1) / (resamples + 1)


def _resampled(each: list[Counts], resamples: int, seed: int) -> Iterator[list[np.ndarray]]:
    """The sums of each system's rows over the same draws of items."""
    draw, items = generator(seed, "bootstrap"), len(each[0].rows)
    for _ in range(resamples):
        chosen = torch.randint(items, (items,), generator=draw).numpy()
        times = np.bincount(chosen, minlength=items)
        yield [times @ counts.rows for counts in each]


def _interval(score: float, scores: list[float], level: float, items: int) -> Interval:
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return Interval(score, float(low), float(high), items)


def _require_pair(a: Counts, b: Counts) -> None:
    if a.name != b.name:
        raise CourseError(f"One score is {a.name}, the other {b.name}: compare by the same one.")
    if len(a.rows) != len(b.rows):
        raise CourseError(
            f"Scores of {len(a.rows)} and {len(b.rows)} items: compare two systems on the same "
            "items, in the same order."
        )
