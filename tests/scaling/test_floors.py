"""Guards the estimate of the irreducible loss: three forms, its bounds, its interval.

pytest tests/scaling/test_floors.py
"""

import numpy as np
import pytest
from refusals import assert_refused
from scipy.optimize import minimize

from course_lib.runtime.checks import BadArgumentError
from course_lib.scaling import Law, fit_floor, ladder_table, simulate_runs
from course_lib.scaling.floors import FORMS, _derivatives_of, _starts
from course_lib.scaling.huber import LogRuns
from course_lib.studies import load_records
from course_lib.studies.laws import WORLDS

BUDGETS, SIZES = np.geomspace(1.5e10, 1.2e11, 4), np.geomspace(1e4, 2e5, 7)
PARAMS = np.tile(SIZES, 4)
TOKENS = np.repeat(BUDGETS, 7) / 6 / PARAMS
LAWS = {
    "sum": Law(0.5 * 5e4, 0.6 * 2e5, 0.4, 1.0, 1.0),
    "coupled": Law(0.15 * 5e4, 0.15 * 2e5**1.2, 0.4, 1.0, 1.2, gamma=2),
}


@pytest.mark.parametrize("form", LAWS)
def test_it_finds_the_floor_of_a_law_of_its_form(form):
    runs = simulate_runs(LAWS[form], PARAMS, TOKENS, noise=0)
    found = fit_floor(*runs, form=form, resamples=0)
    assert abs(found.E - 0.4) < 0.008
    assert found.loss(PARAMS, TOKENS) == pytest.approx(runs.loss, rel=1e-2)


def test_a_product_is_found_and_a_coupled_law_comes_near_it():
    loss = 0.4 + 0.3 * (PARAMS / 5e4) ** -0.8 * (TOKENS / 2e5) ** -0.9
    for form, near in (("product", 1e-4), ("coupled", 0.04)):
        found = fit_floor(PARAMS, TOKENS, loss, form=form, resamples=0)
        assert abs(found.E - 0.4) < near


@pytest.mark.parametrize("form", FORMS)
def test_the_floor_stays_below_the_lowest_loss_and_above_nothing(form):
    runs = simulate_runs(Law(50, 50, 1.5, 0.9, 0.9), PARAMS, TOKENS, noise=0.05, seed=3)
    found = fit_floor(*runs, form=form, resamples=40)
    assert 0 <= found.E <= runs.loss.min()
    assert found.draws.min() >= 0
    assert found.draws.max() <= runs.loss.min()
    assert found.interval.low <= found.interval.high <= runs.loss.min()


@pytest.mark.parametrize("form", FORMS)
def test_derivatives_are_those_of_differences(form):
    x, y = np.log(PARAMS), np.log(TOKENS)
    z = np.log(simulate_runs(LAWS["sum"], PARAMS, TOKENS, noise=0.01).loss)
    runs = LogRuns(x - x.mean(), y - y.mean(), z, 0.1)
    derivatives = _derivatives_of(form, z.min())
    theta = _starts(form, runs)[[7]] + 0.05
    slope = derivatives(theta, runs, None)[1][0]
    for k in range(theta.shape[1]):
        step = np.zeros_like(theta)
        step[0, k] = 1e-5
        up, down = (derivatives(theta + s, runs, None)[0][0] for s in (step, -step))
        assert slope[k] == pytest.approx((up - down) / 2e-5, rel=1e-3, abs=1e-8)


def test_no_other_optimizer_finds_a_lower_minimum():
    runs = simulate_runs(LAWS["coupled"], PARAMS, TOKENS, noise=0.02, seed=1)
    ours = fit_floor(*runs, resamples=0)
    x, y, z = np.log(PARAMS / 5e4), np.log(TOKENS / 2e5), np.log(runs.loss)

    def objective(theta):
        a, b, e, alpha, beta, log_gamma = theta
        gamma = np.exp(log_gamma)
        both = gamma * np.logaddexp((a - alpha * x) / gamma, (b - beta * y) / gamma)
        off = abs(z - np.logaddexp(both, e))
        return np.where(off < 1e-3, off**2 / 2, 1e-3 * (off - 5e-4)).sum()

    for start in ([-1, -1, -1, 1, 1, 0.5], [-2, -2, -1.5, 1, 1, 1], [0, 0, -2, 0.5, 0.5, 0]):
        options = {"maxiter": 6000, "maxfev": 6000, "adaptive": True}
        theirs = minimize(objective, start, method="Nelder-Mead", options=options)
        assert ours.objective <= theirs.fun * 1.001 or theirs.x[2] > z.min()


def test_the_interval_holds_the_truth_most_of_the_time():
    held = 0
    for seed in range(12):
        runs = simulate_runs(LAWS["coupled"], PARAMS, TOKENS, noise=0.02, seed=seed)
        e = fit_floor(*runs, resamples=100).interval
        held += e.low <= 0.4 <= e.high
    assert held >= 10


@pytest.mark.parametrize("form", LAWS)
def test_the_law_that_is_handed_out_is_the_one_that_was_drawn_from(form):
    drawn = LAWS[form]
    found = fit_floor(*simulate_runs(drawn, PARAMS, TOKENS, noise=0), form=form, resamples=0)
    assert found.law.loss(PARAMS, TOKENS) == pytest.approx(found.loss(PARAMS, TOKENS), rel=1e-9)
    for name in ("alpha", "beta", "gamma"):
        assert getattr(found.law, name) == pytest.approx(getattr(drawn, name), rel=0.05), name
    assert found.law.a == pytest.approx(drawn.a, abs=0.01)


def test_a_product_has_no_two_terms_to_hand_out():
    found = fit_floor(*simulate_runs(LAWS["sum"], PARAMS, TOKENS), form="product", resamples=0)
    assert_refused(lambda: found.law, "no A and B apart", "coupled")


# The lowest objective that a search from 486 starts, without bounds on E, found in each world.
LOWEST = (6.31416682848e-4, 1.20757588301e-3, 1.17216597631e-3, 1.19071128634e-3)


def test_the_coupled_minimum_of_the_recorded_worlds():
    runs = ladder_table(load_records("laws"))
    runs = runs[runs.width < 112]
    for world, lowest in zip(list(WORLDS)[: len(LOWEST)], LOWEST, strict=True):
        one = runs[runs.corpus == world]
        found = fit_floor(one.params, one.tokens, one.loss, resamples=0)
        assert found.objective <= lowest * (1 + 1e-6), world


def test_too_few_runs_are_refused():
    with pytest.raises(BadArgumentError, match="at least 7"):
        fit_floor(PARAMS[:6], TOKENS[:6], np.ones(6))
