"""Estimate the irreducible loss of a set of runs, by three forms of law and within its bounds.

All forms are L = E + excess(N, D), and differ in how a lack of parameters and one of tokens act
together:

- "sum": A / N^alpha + B / D^beta, the two side by side (Hoffmann et al. 2022);
- "product": A / (N^alpha D^beta), each the worse for the other;
- "coupled": ((A / N^alpha)^(1/gamma) + (B / D^beta)^(1/gamma))^gamma, a sum at gamma 1, and the
  nearer to a product the larger gamma is.

No run falls below the irreducible loss, so E lies between 0 and the lowest loss. It is searched for
as the share of that loss, through a logistic function, so that no step can leave the bounds.
"""

import math
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from course_lib.evaluation import Interval
from course_lib.runtime.checks import BadArgumentError, NotNegativeCount, Positive, Whole, checked
from course_lib.scaling.huber import LogRuns, huber, minimise
from course_lib.scaling.law import Law
from course_lib.scaling.parametric import centred_runs
from course_lib.scaling.resampling import expanded_interval, resample_counts
from course_lib.scaling.validation import Amounts, Column

Form = Literal["sum", "product", "coupled"]
FORMS: tuple[Form, ...] = ("sum", "product", "coupled")
UNKNOWNS = {"sum": 5, "product": 4, "coupled": 6}
DELTA = 1e-3
SCREENING_STEPS = 10
KEPT = 24  # of the starts, at the least, that go on from there
RIVALS = 3  # minima from which each resample is fitted
LARGEST = 6.0  # of log gamma, in size: at 400 the two terms multiply


@dataclass(frozen=True, eq=False)
class FloorFit:
    """A law of one form, and those fitted to bootstrap resamples of the same runs."""

    form: Form
    E: float
    objective: float
    runs: int
    draws: NDArray = field(repr=False)  # E of each resample
    _theta: NDArray = field(repr=False)
    _centre: tuple[float, float, float] = field(repr=False)

    @checked
    def loss(self, params: Amounts, tokens: Amounts) -> NDArray:
        """Predicted loss in nats per token."""
        x, y, _ = self._centre
        logs = np.log(params).ravel() - x, np.log(tokens).ravel() - y
        excess, _ = _log_excess(self.form, self._theta[None, 1:], *logs)
        return self.E + np.exp(excess[0]).reshape(np.shape(params))

    @property
    def law(self) -> Law:
        """The law as A, B, E, alpha, beta and gamma (1 of a sum), for `optimal` say.

        Raises:
            BadArgumentError: a product, which has no two terms.
        """
        if self.form == "product":
            raise BadArgumentError('a product has no A and B apart: fit form="sum" or "coupled".')
        _, a, b, alpha, beta, *coupling = map(float, self._theta)
        gamma = math.exp(min(max(coupling[0], -LARGEST), LARGEST)) if coupling else 1.0
        half = gamma * math.log(2)  # fitted is half of the sum
        x, y, _ = self._centre
        A, B = math.exp(a + alpha * x - half), math.exp(b + beta * y - half)  # noqa: N806
        return Law(A, B, self.E, alpha, beta, gamma=gamma)

    @property
    def interval(self) -> Interval:
        """The 95 % interval of E, widened for the few runs and cut at the lowest loss."""
        return expanded_interval(self.E, self.draws, self.runs, UNKNOWNS[self.form])


@checked
def fit_floor(
    params: Column,
    tokens: Column,
    loss: Column,
    *,
    form: Form = "coupled",
    delta: Positive = DELTA,
    resamples: NotNegativeCount = 1000,
    seed: Whole = 0,
) -> FloorFit:
    """Fit a law of this form to runs with N parameters, D tokens and loss L, E below the lowest.

    Minimises the sum over runs of the Huber loss (`delta`) of log L minus its prediction, from a
    grid of starts. Each of the `resamples` resamples of the runs, drawn with `seed`, is fitted
    again from the lowest three minima.

    Raises:
        BadArgumentError: columns of different lengths, no more runs than the form has numbers, a
            value that is not a finite number above 0, fewer than three sizes or token counts, or
            tokens that follow from size.
    """
    runs, shift = centred_runs(params, tokens, loss, delta, fewest=UNKNOWNS[form] + 1)
    centre = float(shift[0]), float(shift[1]), float(runs.losses.min())
    derivatives = _derivatives_of(form, centre[2])

    starts = _starts(form, runs)
    first = minimise(starts, runs, steps=SCREENING_STEPS, derivatives=derivatives)
    kept = np.argsort(first.objective, kind="stable")[: max(KEPT, len(starts) // 10)]
    ends = minimise(first.theta[kept], runs, derivatives=derivatives)
    order = np.argsort(ends.objective, kind="stable")
    best = ends.theta[order[0]]
    draws = np.empty(0)
    if resamples:
        weights = resample_counts(len(loss), resamples, seed)
        again = [
            minimise(np.repeat(theta[None], resamples, 0), runs, weights, derivatives=derivatives)
            for theta in ends.theta[order[:RIVALS]]
        ]
        lowest = np.argmin([end.objective for end in again], axis=0)
        chosen = np.stack([end.theta for end in again])[lowest, np.arange(resamples)]
        draws = np.exp(centre[2]) * _logistic(chosen[:, 0])
    floor = float(np.exp(centre[2]) * _logistic(best[0]))
    return FloorFit(form, floor, float(ends.objective[order[0]]), len(loss), draws, best, centre)


def _logistic(value: NDArray) -> NDArray:
    return 1 / (1 + np.exp(-np.clip(value, -30, 30)))


def _starts(form: Form, runs: LogRuns) -> NDArray:
    """Rows (logit of the share of E, a, b, alpha, beta, log gamma), as far as the form has them."""
    middle = np.median(runs.losses)
    shares, powers = (-1.5, 1.5), (0.4, 1.0, 2.0)
    terms = middle + np.array([-1.5, 0])
    if form == "product":
        return np.array(list(product(shares, terms, powers, powers)))
    grid = shares, terms, terms, powers, powers
    couplings = (np.log([1, 3, 20]),) if form == "coupled" else ()
    return np.array(list(product(*grid, *couplings)))


def _log_excess(form: Form, theta: NDArray, x: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
    """Logarithm of the excess [s, n] and its Jacobian [s, k - 1, n] in all numbers but E's."""
    if form == "product":
        a, alpha, beta = (column[:, None] for column in theta.T)
        excess = a - alpha * x - beta * y
        one = np.ones_like(excess)
        return excess, np.stack([one, -x * one, -y * one], axis=1)
    a, b, alpha, beta, *coupling = (column[:, None] for column in theta.T)
    log_gamma = np.clip(coupling[0], -LARGEST, LARGEST) if coupling else np.zeros_like(a)
    gamma = np.exp(log_gamma)
    u, v = (a - alpha * x) / gamma, (b - beta * y) / gamma
    # Half of the sum: with growing gamma it has a limit, the mean of the two in logarithms.
    both = np.logaddexp(u, v)
    share, mean = np.exp(u - both), both - np.log(2)
    parts = [share, 1 - share, -share * x, -(1 - share) * y]
    if coupling:
        inside = np.abs(coupling[0]) < LARGEST
        parts.append(gamma * (mean - share * u - (1 - share) * v) * inside)
    return gamma * mean, np.stack(parts, axis=1)


def _derivatives_of(form: Form, top: float):
    """The derivatives that `minimise` asks for; `top` is the logarithm of the lowest loss."""

    def derivatives(theta: NDArray, runs: LogRuns, weights: NDArray | None) -> tuple[NDArray, ...]:
        share = _logistic(theta[:, :1])
        floor = top + np.log(share)
        excess, slopes = _log_excess(form, theta[:, 1:], runs.sizes, runs.tokens)
        predicted = np.logaddexp(excess, floor)
        above = np.exp(excess - predicted)
        jacobian = np.concatenate(
            [((1 - above) * (1 - share))[:, None], above[:, None] * slopes], axis=1
        )
        value, pull, weight, _ = huber(runs.losses - predicted, runs.delta, weights)
        slope = -(jacobian @ pull[:, :, None])[:, :, 0]
        bound = (jacobian * weight[:, None]) @ jacobian.swapaxes(1, 2)
        return value.sum(axis=1), slope, bound, bound

    return derivatives
