"""Guards approaches 1 and 2: the known exponent found, optima only where they were measured.

pytest tests/scaling/test_frontier.py
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_law import LAW

from course_lib.scaling import (
    fit_envelope,
    fit_isoflop,
    fit_parametric,
    isoflop_design,
    optimal,
    published_laws,
    random_law,
    simulate_curves,
    simulate_runs,
)

BUDGETS = np.geomspace(6e18, 3e21, 9)  # the range of Hoffmann et al. 2022, section 3.2


def three_exponents(law, noise: float, sizes: int, models: int, seed: int) -> list[float]:
    """a by each approach, on runs at fixed compute and on training curves to 3e11 tokens."""
    runs = simulate_runs(law, *isoflop_design(BUDGETS, sizes), noise=noise, seed=seed)
    curves = simulate_curves(law, np.geomspace(3e7, 3e10, models), 3e11, noise=noise, seed=seed)
    start = [[*np.log([law.A, law.B, law.E]), law.alpha, law.beta]]
    parametric = fit_parametric(*runs, starts=start, resamples=0)
    return [fit_envelope(curves).a, fit_isoflop(*runs).a, parametric.a]


@pytest.mark.parametrize("seed", range(4))
def test_all_three_approaches_agree_with_the_known_exponent(seed):
    """The law of the replication, runs as many and as noisy as one would have (0.5 %)."""
    law = published_laws()["besiroglu"]
    assert three_exponents(law, 0.005, 12, 24, seed) == pytest.approx([law.a] * 3, abs=0.02)


@pytest.mark.parametrize("seed", range(0, 20, 3))
def test_they_agree_on_random_laws_too(seed):
    """With less noise (0.2 %) and more runs: 27 sizes at each budget, 50 training curves."""
    law = random_law(seed)
    assert three_exponents(law, 0.002, 27, 50, seed) == pytest.approx([law.a] * 3, abs=0.02)


def test_intervals_hold_the_truth():
    """20 random laws, 1 % of noise. A share of 0.95 falls so low with one chance in thousands."""
    hits = {"isoflop": [], "envelope": []}
    for number in range(20):
        law = random_law(number)
        for turn in range(10):
            seed = 100 * number + turn
            runs = simulate_runs(law, *isoflop_design(BUDGETS, 15), noise=0.01, seed=seed)
            hits["isoflop"].append(holds(fit_isoflop(*runs), law))
        curves = simulate_curves(law, np.geomspace(3e7, 3e10, 30), 3e11, noise=0.01, seed=number)
        hits["envelope"].append(holds(fit_envelope(curves), law))
    assert np.mean(hits["isoflop"]) >= 0.88
    assert np.mean(hits["envelope"]) >= 0.75


def holds(fit, law) -> bool:
    a, b = fit.intervals["a"], fit.intervals["b"]
    assert b.low == pytest.approx(1 - a.high)
    assert a.n == fit.optima
    return a.low <= law.a <= a.high


# Iso-FLOP profiles.


def test_each_valley_is_numpys_parabola_and_its_lowest_point_is_the_laws():
    runs = simulate_runs(LAW, *isoflop_design(BUDGETS, 9, spread=2), noise=0)
    fit = fit_isoflop(*runs)
    assert [valley.compute for valley in fit.valleys] == pytest.approx(BUDGETS)
    for budget, valley in enumerate(fit.valleys):
        here = slice(9 * budget, 9 * budget + 9)
        parabola = np.polyfit(np.log(runs.params[here]), runs.loss[here], 2)
        assert valley.loss(runs.params[here]) == pytest.approx(
            np.polyval(parabola, np.log(runs.params[here])), abs=1e-6
        )
        assert valley.best == pytest.approx(optimal(valley.compute, LAW).params, rel=0.05)
        assert valley.inside
    assert fit.params == pytest.approx([valley.best for valley in fit.valleys])
    assert optimal(1e20, fit).tokens == pytest.approx(optimal(1e20, LAW).tokens, rel=0.05)


def test_a_budget_whose_lowest_point_nobody_passed_is_left_out():
    params, tokens = isoflop_design(BUDGETS[:4], 15)
    best = optimal(BUDGETS[3], LAW).params
    beyond = (np.arange(60) >= 45) & (params > 0.6 * best)  # the fourth budget stops short
    runs = simulate_runs(LAW, params[~beyond], tokens[~beyond], noise=0)
    fit = fit_isoflop(*runs)
    assert [valley.inside for valley in fit.valleys] == [True, True, True, False]
    assert fit.optima == len(fit.params) == 3
    assert fit.compute == pytest.approx(BUDGETS[:3])


def test_budgets_read_off_a_figure_need_not_be_equal_to_the_last_digit():
    runs = simulate_runs(LAW, *isoflop_design(BUDGETS, 9), noise=0)
    shaken = runs.tokens * np.exp(np.random.default_rng(0).uniform(-0.02, 0.02, len(runs.tokens)))
    assert len(fit_isoflop(runs.params, shaken, runs.loss).valleys) == 9


@settings(max_examples=10, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(0.1, 10), st.permutations(range(45)))
def test_units_and_order_do_not_change_the_exponent(sizes, nats, order):
    runs = simulate_runs(LAW, *isoflop_design(BUDGETS[::2], 9), seed=3)
    moved = runs.params * sizes, runs.tokens, runs.loss * nats
    again = fit_isoflop(*(column[order] for column in moved))
    assert again.a == pytest.approx(fit_isoflop(*runs).a, rel=1e-6)
    assert again.error == pytest.approx(fit_isoflop(*runs).error, rel=1e-4)


# The envelope.


def test_without_noise_the_envelope_is_within_a_step_of_the_optimum():
    sizes = np.geomspace(3e7, 3e10, 40)
    fit = fit_envelope(simulate_curves(LAW, sizes, 3e11, noise=0))
    step = np.log(sizes[1] / sizes[0])
    gaps = np.log(fit.params / optimal(fit.compute, LAW).params)
    assert np.abs(gaps).max() < step
    assert fit.a == pytest.approx(LAW.a, abs=0.005)
    assert fit.optima <= len(sizes)


def test_the_smallest_and_the_largest_model_at_a_budget_never_count():
    """All curves end at the same tokens, so at high compute only large models are left."""
    sizes = np.geomspace(1e8, 3e9, 12)
    fit = fit_envelope(simulate_curves(LAW, sizes, 3e11, noise=0))
    assert {sizes[0], sizes[-1]}.isdisjoint(fit.params)
    reach = 6 * sizes * 3e11
    for params, compute in zip(fit.params, fit.compute, strict=True):
        assert ((sizes < params) & (reach >= compute * 0.99)).any()


def test_the_order_of_curves_does_not_matter():
    curves = simulate_curves(LAW, np.geomspace(1e8, 3e9, 12), 3e11)
    assert fit_envelope(curves[::-1]).a == pytest.approx(fit_envelope(curves).a)
