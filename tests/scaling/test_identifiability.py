"""Guards the look at a design: what no fit can tell apart is refused, what it hardly can warned of.

How often intervals miss on such designs, `tools/bench_scaling.py` measures.

    pytest tests/scaling/test_identifiability.py
"""

import warnings

import numpy as np
import pytest
from known_law import LAW
from refusals import assert_refused

from course_lib.scaling import (
    WeakDesignWarning,
    fit_floor,
    fit_parametric,
    isoflop_design,
    ladder_table,
    published_grid,
    random_law,
    simulate_runs,
)
from course_lib.scaling.huber import Minima, minimise, normal_matrix, objective
from course_lib.scaling.identifiability import WEAK, _condition, rivals
from course_lib.scaling.parametric import _resampled, centred_runs
from course_lib.scaling.resampling import resample_counts
from course_lib.studies.records import load_records

FEW = published_grid()[::20]
SIZES = np.geomspace(1e8, 1e10, 24)
BOTH = pytest.mark.parametrize("fit", [fit_parametric, fit_floor])


def near_a_line(spread: float, noise: float = 0.02, law: int = 0) -> tuple:
    """24 runs near 20 tokens a parameter, tokens off by a factor of about 1 + spread."""
    off = np.exp(spread * np.random.default_rng(law).standard_normal(24))
    return simulate_runs(random_law(law), SIZES, 20 * SIZES * off, noise=noise, seed=law)


# Refused.


@BOTH
@pytest.mark.parametrize("noise", [0, 0.005])
@pytest.mark.parametrize(
    ("params", "tokens"),
    [
        (SIZES, 20 * SIZES),
        (SIZES, 20 * SIZES**0.7),
        (SIZES, 1e21 / (6 * SIZES)),
        (SIZES, np.round(20 * SIZES / 2**24) * 2**24),  # whole batches of 16 million tokens
    ],
    ids=["one ratio", "one power", "one compute budget", "rounded"],
)
def test_tokens_that_follow_from_size_are_refused(fit, params, tokens, noise):
    runs = simulate_runs(LAW, params, tokens, noise=noise)
    assert_refused(lambda: fit(*runs), "tokens follow from params", "Vary the tokens at each size")


def test_for_there_the_terms_trade_places():
    """What a fit answered: alpha for beta, at the same loss in every run."""
    runs = simulate_runs(LAW, SIZES, 20 * SIZES, noise=0)
    B, A = LAW.A * 20**LAW.alpha, LAW.B * 20**-LAW.beta  # noqa: N806
    swapped = type(LAW)(A, B, LAW.E, LAW.beta, LAW.alpha)
    assert swapped.loss(runs.params, runs.tokens) == pytest.approx(runs.loss, rel=1e-12)
    assert abs(swapped.loss(1e8, 2e11) - LAW.loss(1e8, 2e11)) > 0.005


def test_many_runs_at_few_points_are_refused():
    """Seeds are no new points: of four, no five numbers."""
    params, tokens = np.array([[1e8, 1e9, 1e10, 1e9], [1e10, 3e10, 1e11, 1e12]])
    runs = simulate_runs(LAW, np.tile(params, 5), np.tile(tokens, 5))
    assert_refused(lambda: fit_parametric(*runs), "do not tell", "apart")


def test_a_loss_that_does_not_depend_on_size_says_nothing_of_its_exponent():
    params, tokens = (c.ravel() for c in np.meshgrid(SIZES[::6], 20 * SIZES[::6]))
    loss = LAW.E + LAW.B * tokens**-LAW.beta
    for column, named in ((loss, "A"), (np.full(16, 2.5), "apart")):
        assert_refused(lambda c=column: fit_parametric(params, tokens, c), "do not tell", named)


# Warned of.


def test_a_narrow_design_is_warned_of_and_its_weak_numbers_are_named():
    params, tokens = (c.ravel() for c in np.meshgrid([8e8, 1e9, 1.2e9], [1e10, 2e10, 4e10]))
    runs = simulate_runs(LAW, params, tokens, noise=1e-4)
    with pytest.warns(WeakDesignWarning, match="tell .*A.* and .*apart .condition of the Jacobian"):
        fit_parametric(*runs, starts=FEW, resamples=0)


def test_a_design_near_a_line_is_warned_of_in_the_callers_own_line():
    with pytest.warns(WeakDesignWarning, match="tokens vary by 4%") as caught:
        fit_parametric(*near_a_line(0.05), resamples=0)
    assert caught[0].filename == __file__


def test_designs_that_measure_well_pass_in_silence(runs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_parametric(*runs, starts=FEW, resamples=0)
        for law in range(2):
            design = isoflop_design(np.geomspace(6e18, 3e21, 9))
            simulated = simulate_runs(random_law(law), *design, noise=0.02, seed=law)
            fit_parametric(*simulated, starts=FEW, resamples=0)


def test_the_real_runs_pass_in_silence(points):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_parametric(*points, starts=FEW, resamples=0)


@BOTH
def test_the_courses_own_ladder_passes_in_silence(fit):
    table = ladder_table(load_records("ladder-naive"))
    cells = table.groupby(["params", "tokens"], as_index=False).loss.mean()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(cells.params, cells.tokens, cells.loss, resamples=0)


def test_the_condition_is_that_of_the_jacobian_with_columns_of_length_one(runs):
    logs, _ = centred_runs(*runs, delta=1e-3, fewest=6)
    theta = np.array([-0.8, -0.9, 0.6, 0.35, 0.37])

    def predicted(theta):
        a, b, e, alpha, beta = theta
        return np.log(np.exp(a - alpha * logs.sizes) + np.exp(b - beta * logs.tokens) + np.exp(e))

    steps = 1e-6 * np.eye(5)
    jacobian = np.array([predicted(theta + s) - predicted(theta - s) for s in steps]).T / 2e-6
    assert normal_matrix(theta, logs) == pytest.approx(jacobian.T @ jacobian, rel=1e-4)
    scaled = jacobian / np.linalg.norm(jacobian, axis=0)
    condition, names = _condition(theta, logs)
    assert condition == pytest.approx(np.linalg.cond(scaled), rel=1e-3)
    weakest = np.abs(np.linalg.svd(scaled)[2][-1])
    assert {"A", "B", "E", "alpha", "beta"}.intersection(names.replace(",", "").split()) == {
        name
        for name, part in zip(("A", "B", "E", "alpha", "beta"), weakest, strict=True)
        if part > 0.25
    }
    assert condition < WEAK


# Resamples start from every law that fits as well.


def test_rivals_are_close_in_objective_and_far_apart_in_exponents():
    theta = np.zeros((6, 5))
    theta[:, 3] = [0.30, 0.31, 0.9, 0.6, 2.0, 0.32]
    ends = Minima(theta, np.array([1.0, 1.001, 1.1, 1.05, 9.0, 1.0]))
    assert rivals(ends, runs=20)[:, 3].tolist() == [0.30, 0.9, 0.6], "the best, then the farthest"
    assert rivals(ends, runs=2000)[:, 3].tolist() == [0.30], "with many runs few are close"


def test_resamples_that_prefer_another_law_find_it():
    """Near a line, the two terms trade places in about every third resample."""
    preferred = 0
    for law in range(3):
        runs, shift = centred_runs(*near_a_line(0.05, law=law), delta=1e-3, fewest=6)
        ends = minimise(FEW[::2] - np.pad(FEW[::2, 3:] * shift, ((0, 0), (0, 3))), runs)
        weights = resample_counts(24, 40, seed=0)
        laws = rivals(ends, 24)
        alone, among_all = (
            objective(_resampled(some, runs, weights), runs, weights) for some in (laws[:1], laws)
        )
        assert (among_all <= alone * (1 + 1e-9)).all()
        preferred += int((among_all < 0.99 * alone).sum())
    assert preferred > 12, f"{preferred} of 120"
