"""Guards the objective and its minimiser: scipy's numbers, exact derivatives, no start lost.

pytest tests/scaling/test_huber.py
"""

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.scaling import huber
from course_lib.scaling.huber import LogRuns, gradient, minimise, objective

THETA = st.tuples(
    st.floats(-3, 3), st.floats(-3, 3), st.floats(-1, 1), st.floats(0, 2), st.floats(0, 2)
)


def log_runs(seed: int, count: int = 20, delta: float = 0.05) -> LogRuns:
    random = np.random.default_rng(seed)
    return LogRuns(*random.normal(0, [[1.5], [1.5], [0.3]], (3, count)), delta)


def plain(theta: np.ndarray, runs: LogRuns, weights: np.ndarray | float = 1.0) -> float:
    """The objective by scipy's functions, for one theta."""
    a, b, e, alpha, beta = theta
    terms = [a - alpha * runs.sizes, b - beta * runs.tokens, np.full_like(runs.sizes, e)]
    residual = runs.losses - scipy.special.logsumexp(terms, axis=0)
    return float((weights * scipy.special.huber(runs.delta, residual)).sum())


@settings(max_examples=50, deadline=None)
@given(THETA, st.integers(0, 99))
def test_the_objective_is_scipys_huber_of_scipys_logsumexp(theta, seed):
    runs, weights = log_runs(seed), np.random.default_rng(seed).integers(0, 4, 20)
    theta = np.array(theta)
    assert objective(theta[None], runs)[0] == pytest.approx(plain(theta, runs), rel=1e-9)
    found = objective(theta[None], runs, weights[None].astype(float))[0]
    assert found == pytest.approx(plain(theta, runs, weights), rel=1e-9)


@settings(max_examples=50, deadline=None)
@given(THETA, st.integers(0, 99))
def test_the_gradient_agrees_with_finite_differences(theta, seed):
    runs = log_runs(seed)
    theta = np.array(theta)
    differences = scipy.optimize.approx_fprime(theta, plain, 1e-7, runs)
    assert gradient(theta[None], runs)[0] == pytest.approx(differences, abs=2e-5)


@settings(max_examples=50, deadline=None)
@given(THETA, st.integers(0, 99))
def test_the_hessian_is_the_gradients_derivative(theta, seed):
    runs = log_runs(
        seed, delta=5.0
    )  # no residual near the kink, where there is no second derivative
    theta = np.array(theta)
    hessian = huber._derivatives(theta[None], runs, None)[3][0]
    step = 1e-6 * np.eye(5)
    ahead, behind = gradient(theta + step, runs), gradient(theta - step, runs)
    assert hessian == pytest.approx((ahead - behind) / 2e-6, abs=1e-4 * np.abs(hessian).max())


@settings(max_examples=50, deadline=None)
@given(THETA, st.integers(0, 99))
def test_the_bound_lies_above_the_objective(theta, seed):
    """Which makes a step with much damping safe: reweighted least squares majorise Huber."""
    runs, theta = log_runs(seed), np.array(theta)
    value, slope, bound, _ = (part[0] for part in huber._derivatives(theta[None], runs, None))
    assert np.linalg.eigvalsh(bound).min() > -1e-9
    step = -1e-4 * slope / (np.linalg.norm(slope) + 1e-12)
    model = value + slope @ step + 0.5 * step @ bound @ step
    assert objective((theta + step)[None], runs)[0] <= model + 1e-7


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 99))
def test_no_start_ends_higher_than_it_began_and_batches_do_not_mix(seed):
    runs = log_runs(seed)
    starts = np.random.default_rng(seed).uniform([-3, -3, -1, 0, 0], [3, 3, 1, 2, 2], (7, 5))
    ends = minimise(starts, runs, steps=40)
    assert (ends.objective <= objective(starts, runs)).all()
    assert ends.objective == pytest.approx(objective(ends.theta, runs))
    alone = minimise(starts[3:4], runs, steps=40)
    assert ends.theta[3] == pytest.approx(alone.theta[0], rel=1e-6, abs=1e-9)


def test_each_start_has_its_own_weights(runs):
    logs = LogRuns(*(np.log(column) for column in runs), delta=1e-3)
    weights = np.random.default_rng(0).integers(0, 3, (4, len(runs.loss))).astype(float)
    start = np.array([[6.0, 7.5, 0.6, 0.35, 0.37]])
    together = minimise(np.repeat(start, 4, axis=0), logs, weights)
    for k in range(4):
        alone = minimise(start, logs, weights[k : k + 1])
        assert together.objective[k] == pytest.approx(alone.objective[0], rel=1e-9)


def test_chunks_change_nothing(runs, monkeypatch):
    logs = LogRuns(*(np.log(column) for column in runs), delta=1e-3)
    starts = np.tile([6.0, 7.5, 0.6, 0.35, 0.37], (9, 1)) + np.arange(9)[:, None] * 0.01
    whole = minimise(starts, logs)
    monkeypatch.setattr(huber, "CHUNK", 2 * len(runs.loss))
    assert minimise(starts, logs).objective == pytest.approx(whole.objective, rel=1e-9)


def test_a_start_from_which_a_term_has_vanished_still_returns_numbers():
    runs = log_runs(0)
    wild = np.array([[25.0, 0, 1, 0, 2], [0, 0, -1, 900, 900], [0, 700, 0, 0, 2], [0, 0, 0, 0, 0]])
    ends = minimise(wild, runs)
    assert np.isfinite(ends.theta).all()
    assert np.isfinite(ends.objective).all()
