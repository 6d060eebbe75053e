"""The law with six numbers: how lack of parameters and lack of tokens act together is fitted, too.

Kaplan et al. 2020 (equation 1.5) couple the two; Hoffmann et al. 2022 add them. Here gamma says
which, and 1 is the sum.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from course_lib.runtime.checks import NotNegativeCount, Positive, Whole, checked
from course_lib.scaling.huber import LogRuns, huber, minimise
from course_lib.scaling.parametric import DELTA, LARGEST, ParametricFit, centred_runs, fit_of
from course_lib.scaling.validation import Column

UNKNOWNS = 6


@checked
def fit_coupled(
    params: Column,
    tokens: Column,
    loss: Column,
    *,
    delta: Positive = DELTA,
    resamples: NotNegativeCount = 1000,
    seed: Whole = 0,
) -> ParametricFit:
    """Fit L = E + ((A / N^alpha)^(1/gamma) + (B / D^beta)^(1/gamma))^gamma to runs.

    Same objective, resamples, intervals and warning as `fit_parametric`; 486 starts, with gamma 1,
    2 and 4.

    Raises:
        BadArgumentError: as `fit_parametric`, with seven runs at least.
    """
    runs, shift = centred_runs(params, tokens, loss, delta, fewest=UNKNOWNS + 1)
    ends = minimise(_starts(runs), runs, derivatives=_derivatives)
    return fit_of(ends, runs, shift, resamples, seed, _derivatives)


def _starts(runs: LogRuns) -> NDArray:
    """Rows (a, b, e, alpha, beta, log gamma) around the losses of the runs."""
    lowest = runs.losses.min()
    terms, floors = lowest + np.array([-3, -1, 1]), lowest + np.array([-1, -0.1])
    powers, couplings = (0.3, 0.8, 2.0), np.log([1, 2, 4])
    return np.array(list(product(terms, terms, floors, powers, powers, couplings)))


def _derivatives(
    theta: NDArray, runs: LogRuns, weights: NDArray | None
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Objective [s], gradient [s, 6], and the matrix of reweighted least squares [s, 6, 6].

    With s and t the logarithms of the two terms alone, their joint one is
    r = gamma LSE(s / gamma, t / gamma). Its derivatives in s and t are the softmax of the two, and
    that in gamma is the entropy of this softmax.
    """
    a, b, e, alpha, beta, log_gamma = (column[:, None] for column in theta.T)
    gamma = np.exp(np.clip(log_gamma, -LARGEST, LARGEST))
    x, y = runs.sizes, runs.tokens
    u, v = (a - alpha * x) / gamma, (b - beta * y) / gamma
    both = np.logaddexp(u, v)
    share = np.exp(u - both)
    entropy = both - share * u - (1 - share) * v
    predicted = np.logaddexp(gamma * both, e)
    above = np.exp(gamma * both - predicted)  # the share of the loss that is not floor
    p, q = above * share, above * (1 - share)
    free = np.abs(log_gamma) < LARGEST
    jacobian = np.stack([p, q, 1 - above, -p * x, -q * y, above * gamma * entropy * free], axis=1)

    value, pull, weight, _ = huber(runs.losses - predicted, runs.delta, weights)
    slope = -(jacobian @ pull[:, :, None])[:, :, 0]
    bound = (jacobian * weight[:, None]) @ jacobian.swapaxes(1, 2)
    return value.sum(axis=1), slope, bound, bound
