"""Bootstrap resamples of runs, and intervals from what was fitted to them."""

import math

import numpy as np
from numpy.typing import NDArray

from course_lib.evaluation import Interval
from course_lib.runtime import seed_of
from course_lib.runtime.checks import BadArgumentError


def resample_counts(runs: int, resamples: int, seed: int) -> NDArray:
    """How often each run is drawn in each resample with replacement, [resamples, runs]."""
    random = np.random.default_rng(seed_of(seed, "bootstrap"))
    return random.multinomial(runs, np.full(runs, 1 / runs), size=resamples).astype(float)


def expanded_interval(
    estimate: float, draws: NDArray, runs: int, unknowns: int, level: float = 0.95
) -> Interval:
    """The expanded percentile interval of an estimate from its bootstrap draws.

    Percentiles of bootstrap draws are too narrow for few runs, by what turns a normal interval
    with a plug-in variance into Student's: the factor sqrt(n / (n - p)) and the t quantile. So the
    percentiles are taken as far out as that interval reaches (Hesterberg 2015, What Teachers Should
    Know About the Bootstrap, The American Statistician 69(4), for n - 1; here p unknowns are
    fitted). The interval of a monotone function is the function of the interval.

    `n` of the result counts runs.

    Raises:
        BadArgumentError: no draws.
    """
    from scipy.special import ndtr, stdtrit

    if len(draws) == 0:
        raise BadArgumentError("no bootstrap draws: fit with resamples=1000 to get intervals.")
    freedom = runs - unknowns
    tail = ndtr(stdtrit(freedom, (1 - level) / 2) * math.sqrt(runs / freedom))
    shares = [tail, 1 - tail]
    with np.errstate(invalid="ignore"):  # nan between two draws that are infinite: take one of them
        ends = np.quantile(draws, shares)
    low, high = np.where(np.isnan(ends), np.quantile(draws, shares, method="nearest"), ends)
    return Interval(float(estimate), float(low), float(high), runs)
