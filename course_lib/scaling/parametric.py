"""Approach 3: fit the law to the final losses of many runs (Hoffmann et al. 2022, section 3.3)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from course_lib.evaluation import Interval
from course_lib.runtime.checks import (
    BadArgumentError,
    NotNegativeCount,
    Positive,
    Share,
    Whole,
    checked,
)
from course_lib.scaling.huber import UNKNOWNS, LogRuns, Minima, minimise
from course_lib.scaling.identifiability import inspect_fit, require_design, rivals
from course_lib.scaling.law import Law
from course_lib.scaling.resampling import expanded_interval, resample_counts
from course_lib.scaling.validation import Column, Rows, require_runs

DELTA = 1e-3
NAMES = ("A", "B", "E", "alpha", "beta", "a", "b")
STEEPEST = 690.0  # of log A, so that A is a number
SCREENING_STEPS = 10  # after which only the better tenth of the starts goes on


@dataclass(frozen=True, eq=False)
class ParametricFit(Law):
    """The law that fits best, its objective, and the laws fitted to bootstrap resamples.

    `objective` is the summed Huber loss of the log residuals, so that others can try to beat it.
    `resampled` is a `Law` whose fields are arrays, one entry a resample.
    """

    objective: float
    runs: int
    resampled: Law = field(repr=False)

    @property
    def intervals(self) -> dict[str, Interval]:
        """95 % intervals of A, B, E, alpha, beta, a, b."""
        return {name: self.interval_of(lambda law, n=name: getattr(law, n)) for name in NAMES}

    @checked
    def interval_of(self, quantity: Callable, level: Share = 0.95) -> Interval:
        """The interval of any quantity of the law, say `lambda law: optimal(1e21, law).params`.

        Raises:
            BadArgumentError: fitted without resamples, or a quantity that is not a number of each
                law.
        """
        draws = np.asarray(quantity(self.resampled), float)
        if draws.shape != self.resampled.E.shape or (undefined := np.isnan(draws)).any():
            wrong = f"is nan for {undefined.sum()} of" if draws.ndim else "is one number for all"
            raise BadArgumentError(
                f"quantity {wrong} {len(self.resampled.E)} resamples: give a number of each law."
            )
        return expanded_interval(float(quantity(self)), draws, self.runs, UNKNOWNS, level)


def published_grid() -> NDArray:
    """The 4,500 starts of Hoffmann et al. 2022 (appendix D.3): rows (a, b, e, alpha, beta).

    A = exp(a), B = exp(b), E = exp(e).
    """
    logs, floors, powers = range(0, 30, 5), (-1, -0.5, 0, 0.5, 1), (0, 0.5, 1, 1.5, 2)
    return np.array(list(product(logs, logs, floors, powers, powers)), dtype=float)


@checked
def fit_parametric(
    params: Column,
    tokens: Column,
    loss: Column,
    *,
    starts: Rows | None = None,
    delta: Positive = DELTA,
    resamples: NotNegativeCount = 1000,
    seed: Whole = 0,
) -> ParametricFit:
    """Fit L = E + A / N^alpha + B / D^beta to runs with N parameters, D tokens and loss L.

    Minimises the sum over runs of the Huber loss (`delta`) of log L minus its prediction, from
    every row (a, b, e, alpha, beta) of `starts`, by default the published grid of 4,500. All
    starts take 10 steps; the better tenth of them (at least 50) goes on to its minimum, and the
    lowest one counts. (Half of those that go on usually meet there; of the rest many have lost a
    term of the law for good, because its gradient vanishes with it.)

    `resamples` bootstrap resamples of the runs, drawn with `seed`, are each fitted from there and
    from up to three other minima that are nearly as low; 0 leaves intervals out. The unit of
    resampling is the run, so several runs that differ in the seed alone should be averaged first,
    or they make the intervals too narrow.

    Warns (`WeakDesignWarning`) where the runs hardly tell the numbers apart.

    Raises:
        BadArgumentError: columns of different lengths, fewer runs than unknowns, a value that is
            not a finite number above 0, starts of another shape; runs that cannot tell the numbers
            apart: fewer than three sizes or token counts, or tokens that follow from size.
    """
    runs, shift = centred_runs(params, tokens, loss, delta, fewest=UNKNOWNS + 1)
    points = published_grid() if starts is None else starts
    centred = points - np.pad(points[:, 3:] * shift, ((0, 0), (0, 3)))

    screened = minimise(centred, runs, steps=SCREENING_STEPS)
    best = np.argsort(screened.objective, kind="stable")[: max(50, len(points) // 10)]
    ends = minimise(screened.theta[best], runs)
    return _fit_of(ends, runs, shift, resamples, seed)


def _fit_of(
    ends: Minima, runs: LogRuns, shift: NDArray, resamples: int, seed: int
) -> ParametricFit:
    """The lowest of the ends as a law, and those of resamples, fitted from all ends close to it."""
    count = len(runs.losses)
    close = rivals(ends, count)
    inspect_fit(close[0], runs)
    rows = close[:1]
    if resamples:
        weights = resample_counts(count, resamples, seed)
        rows = np.concatenate([rows, _resampled(close, runs, weights)])
    five = _law_numbers(rows, shift)
    return ParametricFit(
        *(float(column[0]) for column in five),
        float(ends.objective.min()),
        count,
        Law(*(column[1:] for column in five)),
    )


def _resampled(laws: NDArray, runs: LogRuns, weights: NDArray) -> NDArray:
    """For each resample the lowest end of all laws [k], as rows [s, k]."""
    ends = [minimise(np.repeat(law[None], len(weights), axis=0), runs, weights) for law in laws]
    lowest = np.argmin([end.objective for end in ends], axis=0)
    return np.stack([end.theta for end in ends])[lowest, np.arange(len(weights))]


def centred_runs(
    params: NDArray, tokens: NDArray, loss: NDArray, delta: float, fewest: int
) -> tuple[LogRuns, NDArray]:
    """The runs in logarithms, sizes and tokens around their means, and these means [2].

    Centred, sizes and tokens no longer trade off against the constants of the law.

    Raises:
        BadArgumentError: columns of different lengths, too few runs, or as `require_design`.
    """
    require_runs(fewest, params=params, tokens=tokens, loss=loss)
    x, y, z = (np.log(values) for values in (params, tokens, loss))
    runs = LogRuns(x - x.mean(), y - y.mean(), z, delta)
    require_design(runs)
    return runs, np.array([x.mean(), y.mean()])


def _law_numbers(theta: NDArray, shift: NDArray) -> tuple[NDArray, ...]:
    """A, B, E, alpha, beta [s] of centred rows (a, b, e, alpha, beta)."""
    a, b, e, alpha, beta = theta.T
    # An exponent that runs away in a resample makes its term a step: steep enough is enough.
    alpha, beta = (
        np.minimum(power, np.maximum(STEEPEST - term, 0) / np.maximum(mean, 1))
        for power, term, mean in zip((alpha, beta), (a, b), shift, strict=True)
    )
    A, B = np.exp(a + alpha * shift[0]), np.exp(b + beta * shift[1])  # noqa: N806
    return A, B, np.exp(e), alpha, beta
