"""Guards the bootstrap: resamples are drawn with replacement, and an interval reaches far enough.

A planted bug must be caught that means and variances do not show: half the runs, each counted
twice.

    pytest tests/scaling/test_resampling.py
"""

import numpy as np
import pytest
import scipy.stats

from course_lib.scaling.resampling import expanded_interval, resample_counts

RUNS, RESAMPLES = 12, 4000


def assert_are_draws_with_replacement(counts: np.ndarray) -> None:
    """Each run is drawn as often as chance has it, each pair of runs as rarely together."""
    resamples, runs = counts.shape
    assert (counts.sum(axis=1) == runs).all(), "a resample has as many runs as the experiment"
    often = scipy.stats.binom(runs, 1 / runs)
    for times in range(5):
        share, expected = (counts == times).mean(axis=0), often.pmf(times)
        five_sigma = 5 * (expected * (1 - expected) / resamples) ** 0.5
        assert np.abs(share - expected).max() < five_sigma, f"runs drawn {times} times"
    covariance = np.cov(counts.T)[~np.eye(runs, dtype=bool)]
    assert np.abs(covariance + 1 / runs).max() < 5 / resamples**0.5
    neighbours = np.corrcoef(counts[:-1].ravel(), counts[1:].ravel())[0, 1]
    assert abs(neighbours) < 5 / counts.size**0.5, "one resample says nothing of the next"


@pytest.mark.parametrize("seed", range(3))
def test_resamples_are_drawn_with_replacement(seed):
    assert_are_draws_with_replacement(resample_counts(RUNS, RESAMPLES, seed))


def half_of_them_twice(random: np.random.Generator) -> np.ndarray:
    """Mean and variance of each count are 1, as they nearly are in a bootstrap."""
    order = random.permuted(np.tile(np.arange(RUNS), (RESAMPLES, 1)), axis=1)
    return 2.0 * (order < RUNS // 2)


def one_for_all(random: np.random.Generator) -> np.ndarray:
    return np.repeat(random.multinomial(RUNS, np.full(RUNS, 1 / RUNS), size=1), RESAMPLES, axis=0)


def never_the_last(random: np.random.Generator) -> np.ndarray:
    shares = np.append(np.full(RUNS - 1, 1 / (RUNS - 1)), 0)
    return random.multinomial(RUNS, shares, size=RESAMPLES)


@pytest.mark.parametrize("bug", [half_of_them_twice, one_for_all, never_the_last])
def test_planted_bugs_in_resamples_are_caught(bug):
    with pytest.raises(AssertionError):
        assert_are_draws_with_replacement(bug(np.random.default_rng(0)))


@pytest.mark.parametrize(("runs", "unknowns"), [(12, 5), (26, 6), (240, 5)])
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_of_a_normal_estimate_the_interval_is_students(runs, unknowns, level):
    """Resamples vary as the estimate does by its plug-in variance: (n - p) / n of the unbiased."""
    error, freedom = 0.3, runs - unknowns
    normal = scipy.stats.norm.ppf((np.arange(10**5) + 0.5) / 10**5)
    found = expanded_interval(
        2.0, 2 + error * (freedom / runs) ** 0.5 * normal, runs, unknowns, level
    )
    half = scipy.stats.t.ppf((1 + level) / 2, freedom) * error
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), rel=5e-3)
    assert (found.mean, found.n) == (2.0, runs)


def test_where_resamples_have_no_end_the_interval_has_none():
    draws = np.append(np.arange(80.0), np.full(20, np.inf))
    found = expanded_interval(40.0, draws, runs=60, unknowns=5)
    assert 0 < found.low < 5
    assert found.high == np.inf
    assert expanded_interval(np.inf, np.full(9, np.inf), 60, 5).low == np.inf
