"""Approach 3: fit the law to the final losses of many runs (Hoffmann et al. 2022, section 3.3)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from course_lib.evaluation import Interval
from course_lib.scaling.huber import UNKNOWNS, Derivatives, LogRuns, Minima, minimise
from course_lib.scaling.law import Law
from course_lib.scaling.resampling import expanded_interval, resample_counts
from course_lib.scaling.validation import checked_runs

DELTA = 1e-3
NAMES = ("A", "B", "E", "alpha", "beta", "a", "b")
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
    unknowns: int = field(default=UNKNOWNS, repr=False)

    @property
    def intervals(self) -> dict[str, Interval]:
        """95 % intervals of A, B, E, alpha, beta, a, b, and of gamma where it was fitted."""
        names = NAMES if self.unknowns == UNKNOWNS else (*NAMES, "gamma")
        return {name: self.interval_of(lambda law, n=name: getattr(law, n)) for name in names}

    def interval_of(self, quantity: Callable[[Law], ArrayLike], level: float = 0.95) -> Interval:
        """The interval of any quantity of the law, say `lambda law: optimal(1e21, law).params`.

        Raises:
            ValueError: fitted without resamples.
        """
        draws = np.asarray(quantity(self.resampled), float)
        return expanded_interval(float(quantity(self)), draws, self.runs, self.unknowns, level)


def published_grid() -> NDArray:
    """The 4,500 starts of Hoffmann et al. 2022 (appendix D.3): rows (a, b, e, alpha, beta).

    A = exp(a), B = exp(b), E = exp(e).
    """
    logs, floors, powers = range(0, 30, 5), (-1, -0.5, 0, 0.5, 1), (0, 0.5, 1, 1.5, 2)
    return np.array(list(product(logs, logs, floors, powers, powers)), dtype=float)


def fit_parametric(
    params: ArrayLike,
    tokens: ArrayLike,
    loss: ArrayLike,
    *,
    starts: ArrayLike | None = None,
    delta: float = DELTA,
    resamples: int = 1000,
    seed: int = 0,
) -> ParametricFit:
    """Fit L = E + A / N^alpha + B / D^beta to runs with N parameters, D tokens and loss L.

    Minimises the sum over runs of the Huber loss (`delta`) of log L minus its prediction, from
    every row (a, b, e, alpha, beta) of `starts`, by default the published grid of 4,500. All
    starts take 10 steps; the better tenth of them (at least 50) goes on to its minimum, and the
    lowest one counts. (Half of those that go on usually meet there; of the rest many have lost a
    term of the law for good, because its gradient vanishes with it.)

    `resamples` bootstrap resamples of the runs, drawn with `seed`, are each fitted from there; 0
    leaves intervals out. The unit of resampling is the run, so several runs that differ in the
    seed alone should be averaged first, or they make the intervals too narrow.

    Raises:
        ValueError: arrays of different lengths, fewer runs than unknowns, a value that is not a
            positive number, all sizes or all token counts equal, starts of another shape.
    """
    runs, shift = centred_runs(params, tokens, loss, delta, fewest=UNKNOWNS + 1)
    points = published_grid() if starts is None else np.atleast_2d(np.asarray(starts, float))
    if points.shape[1:] != (UNKNOWNS,):
        raise ValueError(f"starts has shape {points.shape}: give rows (a, b, e, alpha, beta).")
    centred = points - np.pad(points[:, 3:] * shift, ((0, 0), (0, 3)))

    screened = minimise(centred, runs, steps=SCREENING_STEPS)
    best = np.argsort(screened.objective, kind="stable")[: max(50, len(points) // 10)]
    ends = minimise(screened.theta[best], runs)
    return fit_of(ends, runs, shift, resamples, seed)


def fit_of(
    ends: Minima,
    runs: LogRuns,
    shift: NDArray,
    resamples: int,
    seed: int,
    derivatives: Derivatives | None = None,
) -> ParametricFit:
    """The lowest of the ends as a law, with those of bootstrap resamples fitted from there."""
    winner = int(np.argmin(ends.objective))
    theta = ends.theta[winner]
    again = np.repeat(theta[None], resamples, axis=0)
    if resamples:
        counts = resample_counts(len(runs.losses), resamples, seed)
        again = minimise(again, runs, counts, derivatives=derivatives).theta
    law, resampled = (law_of(rows, shift) for rows in (theta, again))
    return ParametricFit(
        *(float(value) for value in (law.A, law.B, law.E, law.alpha, law.beta)),
        float(ends.objective[winner]),
        len(runs.losses),
        resampled,
        len(theta),
        gamma=float(law.gamma),
    )


def centred_runs(
    params: ArrayLike, tokens: ArrayLike, loss: ArrayLike, delta: float, fewest: int
) -> tuple[LogRuns, NDArray]:
    """The runs in logarithms, sizes and tokens around their means, and these means [2].

    Centred, sizes and tokens no longer trade off against the constants of the law.

    Raises:
        ValueError: as `fit_parametric` says.
    """
    x, y, z = (np.log(values) for values in checked_runs(params, tokens, loss, fewest))
    for name, logs in (("params", x), ("tokens", y)):
        if np.ptp(logs) < 1e-9:
            raise ValueError(f"{name} is the same in every run: its exponent needs several values.")
    if not delta > 0:
        raise ValueError(f"delta={delta}: give a positive number, such as 1e-3.")
    return LogRuns(x - x.mean(), y - y.mean(), z, delta), np.array([x.mean(), y.mean()])


def law_of(theta: NDArray, shift: NDArray) -> Law:
    """The law of centred (a, b, e, alpha, beta) and perhaps log gamma, a row or rows of them."""
    a, b, e, alpha, beta, *coupling = theta.T
    with np.errstate(over="ignore"):  # a resample without a finite A is an interval without an end
        A, B = np.exp(a + alpha * shift[0]), np.exp(b + beta * shift[1])  # noqa: N806
    gamma = np.exp(coupling[0]) if coupling else 1.0
    return Law(A, B, np.exp(e), alpha, beta, gamma=gamma)
