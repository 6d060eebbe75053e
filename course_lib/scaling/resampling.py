"""Bootstrap resamples of runs, and intervals from what was fitted to them."""

import math

import numpy as np
from numpy.typing import NDArray

from course_lib.evaluation import Interval
from course_lib.runtime import seed_of


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
        ValueError: no draws, or a level outside (0, 1).
    """
    from scipy.special import ndtr, stdtrit

    if not 0 < level < 1:
        raise ValueError(f"level={level}: give a probability such as 0.95.")
    if len(draws) == 0:
        raise ValueError("no bootstrap draws: fit with resamples=1000 to get intervals.")
    freedom = runs - unknowns
    tail = ndtr(stdtrit(freedom, (1 - level) / 2) * math.sqrt(runs / freedom))
    with np.errstate(invalid="ignore"):  # draws may be infinite
        low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(float(estimate), float(low), float(high), runs)
