"""Whether runs can tell the numbers of a law apart: refused where never, warned of where hardly.

Where tokens follow from size (all runs at 20 tokens a parameter, all at one compute budget), the
two terms of the law can trade places, and no loss says which is which. With two sizes, any alpha
has an A and an E to go with it. Where the runs leave such a direction nearly free, resamples fill
only a part of it, and intervals miss the truth. `tools/bench_scaling.py` measures how often, and
the limits below are where that begins.
"""

import math
import warnings

import numpy as np
from numpy.typing import NDArray

from course_lib.runtime.checks import BadArgumentError
from course_lib.scaling.huber import LogRuns, Minima, normal_matrix

NUMBERS = ("A", "B", "E", "alpha", "beta")
FEWEST_LEVELS = 3
ON_A_LINE, NEAR_A_LINE = 0.02, 0.1  # spread of log tokens at a size, or of log size at given tokens
WEAK, SINGULAR = 500, 1e6  # condition of the Jacobian
CLOSE = 10.0  # in log-likelihood: no resample prefers what is further off
APART = 0.05  # in an exponent
MOST_RIVALS = 4


class WeakDesignWarning(UserWarning):
    """Runs that hardly tell the numbers of a law apart: intervals may be too narrow."""


def require_design(runs: LogRuns) -> None:
    """Refuse runs in which tokens follow from size, or of fewer than three sizes or lengths.

    Raises:
        BadArgumentError: such runs.
    """
    for name, logs in (("params", runs.sizes), ("tokens", runs.tokens)):
        levels = 1 + int((np.diff(np.sort(logs)) > 1e-9).sum())
        if levels < FEWEST_LEVELS:
            have = "is the same" if levels == 1 else f"has {levels} values"
            raise BadArgumentError(
                f"{name} {have} in all runs: its exponent needs at least {FEWEST_LEVELS}."
            )
    if (spread := _spread(runs)) < ON_A_LINE:
        raise BadArgumentError(
            "tokens follow from params in all runs (as at one ratio of the two, or one compute "
            f"budget), but for {spread:.1%}: the terms of the law can trade places. Vary the "
            "tokens at each size."
        )


def _spread(runs: LogRuns) -> float:
    """Of log tokens around their line in log size, or the other way round where that is less."""
    x, y = runs.sizes, runs.tokens
    apart = 1 - np.corrcoef(x, y)[0, 1] ** 2
    return math.sqrt(max(apart, 0)) * min(x.std(), y.std())


def inspect_fit(theta: NDArray, runs: LogRuns) -> None:
    """Warn of runs that hardly tell the numbers of the law theta [k] apart.

    Judged by the condition of the Jacobian of the predicted log losses, its columns brought to
    one length (Belsley, Kuh and Welsch 1980, Regression Diagnostics, section 3.2).

    Raises:
        BadArgumentError: the Jacobian is singular.
    """
    condition, names = _condition(theta, runs)
    if condition > SINGULAR:
        raise BadArgumentError(
            f"these runs do not tell {names} apart: any of many laws fits them as well. Vary "
            "params and tokens, each at fixed values of the other."
        )
    if (spread := _spread(runs)) < NEAR_A_LINE:
        why = f"at a given size, tokens vary by {spread:.0%}"
    elif condition > WEAK:
        why = f"condition of the Jacobian {condition:,.0f}, of at most {WEAK}"
    else:
        return
    warnings.warn(
        f"these runs hardly tell {names} apart ({why}): intervals may leave out the truth. Vary "
        "params and tokens more, each at fixed values of the other.",
        WeakDesignWarning,
        stacklevel=5,
    )


def _condition(theta: NDArray, runs: LogRuns) -> tuple[float, str]:
    """The condition of the Jacobian, and the numbers that trade off along its weakest direction."""
    gram = normal_matrix(theta, runs)
    size = np.sqrt(np.diag(gram))
    there = size > 1e-10 * size.max()
    for number, exponent in ((0, 3), (1, 4)):
        if not there[[number, exponent]].all():  # the loss does not depend on that side at all
            return math.inf, f"{NUMBERS[number]} and {NUMBERS[exponent]}"
    kept = np.flatnonzero(there)  # E may be 0
    scaled = gram[np.ix_(kept, kept)] / np.outer(size[kept], size[kept])
    values, vectors = np.linalg.eigh(scaled)
    names = [NUMBERS[k] for k, part in zip(kept, vectors[:, 0], strict=True) if abs(part) > 0.25]
    condition = math.sqrt(values[-1] / values[0]) if values[0] > 0 else math.inf
    return condition, f"{', '.join(names[:-1])} and {names[-1]}"


def rivals(ends: Minima, runs: int) -> NDArray:
    """Laws [r, k] that fit nearly as well as the best, which comes first, and differ from it.

    A resample of the runs may fit one of them better, and no descent from the best law leads there.
    The objective of runs whose noise is larger than delta is nearly their absolute error, and
    `runs` times its logarithm a Laplace likelihood. Of all that are close the farthest apart
    are taken.
    """
    best = ends.objective.min()
    theta = ends.theta[ends.objective <= best * math.exp(CLOSE / runs)]
    chosen = [ends.theta[np.argmin(ends.objective)]]
    gap = np.full(len(theta), np.inf)
    while len(chosen) < MOST_RIVALS:
        gap = np.minimum(gap, np.abs(theta[:, 3:5] - chosen[-1][3:5]).max(axis=1))
        if gap.max() <= APART:
            break
        chosen.append(theta[np.argmax(gap)])
    return np.array(chosen)
