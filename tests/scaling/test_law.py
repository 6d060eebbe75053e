"""Guards the law, its optimum and the simulator that everything else is tested with.

pytest tests/scaling/test_law.py
"""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from known_law import LAW

import course_lib.scaling
from course_lib.scaling import (
    Law,
    isoflop_design,
    optimal,
    random_law,
    simulate_curves,
    simulate_runs,
)

SIZES = isoflop_design([1e19, 1e20, 1e21], sizes=400)


GAMMAS = st.sampled_from([0.6, 1.0, 2.0, 5.0])


@given(st.integers(0, 50), GAMMAS, st.floats(1e17, 1e27))
def test_the_optimum_is_where_scipy_finds_it(seed, gamma, compute):
    law = replace(random_law(seed), gamma=gamma)
    best = optimal(compute, law)
    found = scipy.optimize.minimize_scalar(
        lambda log: law.loss(np.exp(log), compute / 6 / np.exp(log)),
        bracket=(np.log(best.params) - 2, np.log(best.params) + 1),
        tol=1e-12,
    )
    assert np.log(best.params) == pytest.approx(found.x, abs=1e-4)
    assert 6 * best.params * best.tokens == pytest.approx(compute)


@given(st.floats(1e17, 1e27), st.floats(1.5, 1000))
def test_exponents_say_how_the_optimum_grows(compute, more):
    one, other = optimal(compute, LAW), optimal(compute * more, LAW)
    assert other.params / one.params == pytest.approx(more**LAW.a)
    assert other.tokens / one.tokens == pytest.approx(more**LAW.b)
    assert LAW.a + LAW.b == pytest.approx(1)


@given(st.integers(0, 50), GAMMAS, st.floats(1e17, 1e27))
def test_the_least_compute_for_a_loss_is_the_optimums(seed, gamma, compute):
    law = replace(random_law(seed), gamma=gamma)
    loss = law.loss(*optimal(compute, law))
    assert law.compute_for(loss) == pytest.approx(compute, rel=1e-6)
    for factor in (0.5, 3):  # any other size needs more
        params = factor * optimal(compute, law).params
        tokens = law.tokens_for(loss, params)
        if np.isfinite(tokens):
            assert law.loss(params, tokens) == pytest.approx(loss)
            assert 6 * params * tokens > compute


@given(st.integers(0, 50), GAMMAS)
def test_what_a_term_is_alone_does_not_depend_on_how_the_two_join(seed, gamma):
    law = random_law(seed)
    coupled = replace(law, gamma=gamma)
    for lone in ((1e9, 1e300), (1e300, 2e10)):
        assert coupled.loss(*lone) == pytest.approx(law.loss(*lone), rel=1e-3)


def test_coupled_terms_cost_more_together_than_their_sum():
    both = LAW.loss(1e9, 2e10)
    assert replace(LAW, gamma=2).loss(1e9, 2e10) > both > replace(LAW, gamma=0.5).loss(1e9, 2e10)


def test_no_data_is_enough_for_a_loss_below_what_the_size_allows():
    assert LAW.tokens_for(LAW.E + 0.1, [1e6, 1e12])[0] == np.inf
    assert np.isfinite(LAW.tokens_for(LAW.E + 0.1, [1e6, 1e12])[1])
    assert LAW.compute_for(LAW.E - 0.1) == np.inf


def test_arrays_of_compute_and_of_laws():
    many = Law(*(np.array([value, value * 1.1]) for value in (480.0, 2100.0, 1.82, 0.35, 0.37)))
    assert optimal([1e20, 1e21, 1e22], LAW).params.shape == (3,)
    assert optimal(1e21, many).params[0] == pytest.approx(optimal(1e21, LAW).params)


def test_a_design_spends_each_budget_on_sizes_around_its_ratio():
    params, tokens = isoflop_design([1e20, 1e21], sizes=5, spread=3, ratio=20)
    assert 6 * params * tokens == pytest.approx(np.repeat([1e20, 1e21], 5))
    assert (tokens / params)[[2, 7]] == pytest.approx([20, 20])
    assert params[4] / params[0] == pytest.approx(9)


def test_noise_is_as_large_as_asked_for_and_around_the_law():
    runs = simulate_runs(LAW, *SIZES, noise=0.02, seed=4)
    error = np.log(runs.loss / LAW.loss(*SIZES))
    assert scipy.stats.kstest(error, "norm", (0, 0.02)).pvalue > 1e-3
    assert (simulate_runs(LAW, *SIZES, noise=0).loss == LAW.loss(*SIZES)).all()


def test_outliers_are_as_many_as_asked_for_and_never_too_good():
    runs = simulate_runs(LAW, *SIZES, noise=0, outliers=0.05, seed=4)
    ratio = runs.loss / LAW.loss(*SIZES)
    wrong = ratio > 1
    assert abs(wrong.mean() - 0.05) < 4 * (0.05 * 0.95 / len(ratio)) ** 0.5
    assert (ratio[~wrong] == 1).all()
    assert ratio[wrong].min() > 1.05
    assert ratio[wrong].max() < 1.23


def test_a_seed_fixes_runs_curves_and_laws():
    one, same, other = (simulate_runs(LAW, *SIZES, seed=seed).loss for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()
    curves = [simulate_curves(LAW, [1e8, 1e9], 1e10, seed=seed) for seed in (1, 1, 2)]
    assert (curves[0][1].loss == curves[1][1].loss).all()
    assert (curves[0][1].loss != curves[2][1].loss).any()
    assert random_law(1).A == random_law(1).A != random_law(2).A


def test_curves_follow_the_law_to_the_last_token():
    small, large = simulate_curves(LAW, [1e8, 1e9], 1e10, points=50, noise=0)
    assert (small.params, large.params) == (1e8, 1e9)
    assert small.tokens[-1] == pytest.approx(1e10)
    assert small.loss == pytest.approx(LAW.loss(1e8, small.tokens))


def test_every_export_exists():
    for name in course_lib.scaling.__all__:
        assert getattr(course_lib.scaling, name) is not None


def test_fits_are_light():
    """No torch for a fit, nor pandas."""
    code = (
        "import sys; from course_lib.scaling import *; import course_lib.scaling as s;"
        "s.fit_parametric, s.fit_isoflop, s.simulate_runs;"
        "assert not {'torch', 'transformers', 'pandas', 'matplotlib'} & set(sys.modules)"
    ).replace("from course_lib.scaling import *; ", "")
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
