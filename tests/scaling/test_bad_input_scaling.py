"""Guards what comes into `scaling`: every argument of every public function, wrong in each way.

pytest tests/scaling/test_bad_input_scaling.py
"""

import inspect
import math
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from known_law import LAW
from refusals import assert_refused

import course_lib.scaling
from course_lib.scaling import (
    Law,
    Runs,
    TrainingCurve,
    fit_envelope,
    fit_floor,
    fit_isoflop,
    fit_parametric,
    isoflop_design,
    load_chinchilla_points,
    optimal,
    published_grid,
    random_law,
    simulate_curves,
    simulate_runs,
)

RUNS = simulate_runs(LAW, *isoflop_design(np.geomspace(1e19, 1e21, 5), 7))
TABLE = pd.DataFrame(RUNS._asdict())
CURVES = simulate_curves(LAW, np.geomspace(1e8, 3e9, 12), 3e11)
CURVE = CURVES[0]
STARTS = published_grid()[::100]
FIT = fit_parametric(*RUNS, starts=STARTS, resamples=20)
NOT_RESAMPLED = fit_parametric(*RUNS, starts=STARTS, resamples=0)
ISOFLOP = fit_isoflop(*RUNS)

# A call that is right, for each public function and method.
FITTED = {**RUNS._asdict(), "delta": 1e-3, "resamples": 2, "seed": 0}
RIGHT = {
    Law: {"A": 480.0, "B": 2100.0, "E": 1.8, "alpha": 0.35, "beta": 0.37, "gamma": 1.0},
    LAW.loss: {"params": 1e9, "tokens": 2e10},
    LAW.optimal_params: {"compute": 1e21},
    LAW.tokens_for: {"loss": 2.5, "params": 1e9},
    LAW.compute_for: {"loss": 2.5},
    FIT.interval_of: {"quantity": lambda law: law.E, "level": 0.9},
    ISOFLOP.optimal_params: {"compute": 1e21},
    ISOFLOP.valleys[0].loss: {"params": 1e9},
    fit_envelope: {"curves": CURVES},
    fit_floor: {**FITTED, "form": "coupled"},
    fit_isoflop: RUNS._asdict(),
    fit_parametric: {**FITTED, "starts": STARTS},
    isoflop_design: {"compute": [1e19, 1e20], "sizes": 5, "spread": 4.0, "ratio": 20.0},
    load_chinchilla_points: {"drop_worst": 5},
    optimal: {"compute": 1e21, "fit": LAW},
    random_law: {"seed": 0},
    simulate_curves: {
        "law": LAW, "params": [1e8, 1e9], "tokens": 1e10, "points": 5, "noise": 0.01, "seed": 0,
    },
    simulate_runs: {
        "law": LAW, "params": [1e8, 1e9], "tokens": [1e9, 1e10], "noise": 0.01, "outliers": 0.1,
        "seed": 0,
    },
}  # fmt: skip
# What the library hands out or packs columns into, what takes nothing, and what takes recipes.
NOT_CALLED = {
    "FloorFit", "FrontierFit", "Optimum", "ParametricFit", "PublishedLaw", "Runs", "TrainingCurve",
    "WeakDesignWarning", "ladder", "ladder_table",
}  # fmt: skip
WRONG = (math.nan, -math.inf, "3", None, True, {})


def name_of(function) -> str:
    return getattr(function, "__name__", type(function).__name__)


def rows() -> list:
    """(function, argument, value): each argument wrong in each way."""
    return [
        pytest.param(function, name, value, id=f"{name_of(function)}-{name}-{value}")
        for function, right in RIGHT.items()
        for name in right
        for value in (*WRONG, *(() if name == "seed" else (-1,)))
        if value is not None or type(None) not in get_args(annotation(function, name))
    ]


def annotation(function, name: str):
    return inspect.signature(function).parameters[name].annotation


def test_every_public_function_is_in_the_table():
    public = {
        name
        for name in set(course_lib.scaling.__all__) - NOT_CALLED
        if inspect.signature(getattr(course_lib.scaling, name)).parameters
    }
    assert public <= {name_of(function) for function in RIGHT}
    for function, right in RIGHT.items():
        assert set(right) == set(inspect.signature(function).parameters)


@pytest.mark.parametrize("function", [f for f in RIGHT if f is not load_chinchilla_points])
def test_what_is_right_passes(function):
    function(**RIGHT[function])


@pytest.mark.parametrize(("function", "name", "value"), rows())
def test_no_argument_may_be_nonsense(function, name, value):
    assert_refused(lambda: function(**RIGHT[function] | {name: value}), name_of(function), name)


FITS = [fit_parametric, fit_floor, fit_isoflop]


def spoiled(column: str, value) -> dict:
    """The runs with one entry of a column replaced."""
    array = getattr(RUNS, column).astype(object)
    array[4] = value
    return RUNS._asdict() | {column: array}


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("column", Runs._fields)
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, "2.5", None, pd.NA, True, 1j])
def test_a_run_that_cannot_be_is_named(fit, column, value):
    assert_refused(lambda: fit(**spoiled(column, value)), f"{column}=", "entry 4", str(value))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: {"loss": RUNS.loss[:-1]}, ("params has 35", "loss has 34", "one length")),
        (lambda: {"params": RUNS.params.reshape(5, 7)}, ("params=<ndarray (5, 7)>", "flat column")),
        (lambda: {"params": TABLE}, ("params=<DataFrame (35, 3)>", "flat column")),
        (lambda: {"params": TABLE[["params"]]}, ("params=<DataFrame (35, 1)>", "flat column")),
        (lambda: {"params": "params"}, ("params='params'", "numbers")),
        (lambda: {"tokens": TABLE.tokens.astype(str)}, ("tokens=", "entry 0", "numbers")),
        (lambda: {"tokens": 2e10}, ("tokens=", "flat column")),
        (lambda: {"loss": [[2.5], [2.4, 2.3]]}, ("loss=", "array of numbers")),
        (lambda: {"loss": torch.ones(35, requires_grad=True)}, ("loss=", "array of numbers")),
    ],
)  # fmt: skip
def test_columns_that_are_none_are_one_line(fit, change, words):
    assert_refused(lambda: fit(**RUNS._asdict() | change()), *words)


@pytest.mark.parametrize(("fit", "fewest"), [(fit_parametric, 6), (fit_floor, 7)])
@pytest.mark.parametrize("runs", [0, 1, 5])
def test_too_few_runs(fit, fewest, runs):
    few = (column[:runs] for column in RUNS)
    assert_refused(lambda: fit(*few), f"{runs} runs", f"at least {fewest}")


@pytest.mark.parametrize("fit", [fit_parametric, fit_floor])
@pytest.mark.parametrize("column", ["params", "tokens"])
@pytest.mark.parametrize(
    ("values", "found"), [([1e9], "is the same"), ([1e9, 2e9], "has 2 values")]
)
def test_an_exponent_needs_three_values(fit, column, values, found):
    runs = RUNS._asdict() | {column: np.resize(values, 35)}
    assert_refused(lambda: fit(**runs), f"{column} {found}", "at least 3")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        # Settings of the fits.
        (lambda: fit_parametric(*RUNS, delta=0), ("delta=0", "0")),
        (lambda: fit_parametric(*RUNS, delta=math.inf), ("delta=inf", "finite")),
        (lambda: fit_floor(*RUNS, delta=math.inf), ("delta=inf", "finite")),
        (lambda: fit_parametric(*RUNS, resamples=2.5), ("resamples=2.5", "whole")),
        (lambda: fit_parametric(*RUNS, starts=STARTS * math.nan), ("starts=", "entry 0", "nan")),
        (lambda: fit_parametric(*RUNS, starts=STARTS[:, :4]), ("starts=", "(a, b, e, alpha")),
        (lambda: fit_parametric(*RUNS, starts=STARTS[:0]), ("starts=", "(a, b, e, alpha")),
        (lambda: fit_parametric(*RUNS, starts=[[0, 0, math.inf, 1, 1]]), ("starts=", "entry 2")),
        (lambda: fit_parametric(*RUNS, starts=[[480, 410, 2, 0.3, 0.3]]), ("480", "logarithms")),
        # All runs equal, or no budget or size common to several.
        (lambda: fit_parametric(*np.full((3, 35), 1e9)), ("params is the same",)),
        (lambda: fit_floor(*np.full((3, 35), 1e9)), ("params is the same",)),
        (lambda: fit_isoflop(*np.full((3, 35), 1e9)), ("0 compute budget", "of 0 with 3 sizes")),
        (lambda: fit_isoflop(*(c[:14] for c in RUNS)), ("2 compute budget", "3 are needed")),
        (lambda: fit_isoflop([], [], []), ("0 runs", "at least 1")),
        # Curves.
        (lambda: fit_envelope([]), ("curves=[]", "TrainingCurve")),
        (lambda: fit_envelope(CURVES[:3]), ("are ahead", "more sizes")),
        (lambda: fit_envelope(CURVE), ("curves=", "list of TrainingCurve")),
        (lambda: fit_envelope([tuple(CURVE)]), ("entry 0", "tuple", "TrainingCurve")),
        (lambda: fit_envelope([CURVE._replace(params=-1e8)]), ("curve 0", "-1")),
        (lambda: fit_envelope([CURVE._replace(params=CURVE.tokens)]), ("curve 0", "flat")),
        (lambda: fit_envelope([CURVE._replace(loss=CURVE.loss * math.nan)]), ("curve 0", "nan")),
        (lambda: fit_envelope([CURVE._replace(loss=CURVE.loss[:-1])]), ("curve 0", "one length")),
        (lambda: fit_envelope([CURVE._replace(tokens=CURVE.tokens[::-1])]), ("curve 0", "grow")),
        (lambda: fit_envelope([TrainingCurve(1e8, [1e9], [3.0])]), ("curve 0", "two points")),
        # Laws and what is asked of them.
        (lambda: Law(480, 2100, 1.8, -0.35, 0.37), ("alpha=-0.35", "above 0")),
        (lambda: Law(0, 2100, 1.8, 0.35, 0.37), ("A=0", "above 0")),
        (lambda: Law(480, 2100, 1.8, 0.35, 0.37, gamma=0), ("gamma=0", "above 0")),
        (lambda: Law([480, math.nan], 2100, 1.8, 0.35, 0.37), ("A=[480, nan]", "entry 1")),
        (lambda: LAW.loss(0, 1e9), ("params=0", "above 0")),
        (lambda: LAW.loss([1e9, -1e9], 1e9), ("params=", "entry 1 is -1")),
        (lambda: LAW.tokens_for(math.inf, 1e9), ("loss=inf", "finite")),
        (lambda: optimal(0, LAW), ("compute=0", "above 0")),
        (lambda: optimal([1e20, math.inf], LAW), ("compute=", "entry 1 is inf")),
        (lambda: optimal(1e20, RUNS), ("fit=Runs", "Frontier")),
        (lambda: optimal(LAW, 1e20), ("compute=Law", "numbers")),
        (lambda: FIT.interval_of("E"), ("quantity='E'", "callable")),
        (lambda: FIT.interval_of(lambda law: 3.0), ("quantity", "20 resamples", "each law")),
        (lambda: FIT.interval_of(lambda law: math.nan * law.E), ("nan for 20 of 20", "each law")),
        (lambda: FIT.interval_of(lambda law: law.E, 95), ("level=95", "1")),
        (lambda: NOT_RESAMPLED.intervals, ("no bootstrap draws", "resamples=1000")),
        # Simulated experiments.
        (lambda: isoflop_design(1e20), ("compute=1e+20", "flat column")),
        (lambda: isoflop_design([1e20, 0]), ("compute=", "entry 1 is 0")),
        (lambda: isoflop_design([1e20], sizes=1), ("sizes=1", "2")),
        (lambda: isoflop_design([1e20], spread=1), ("spread=1", "1")),
        (lambda: isoflop_design([1e20], ratio=0), ("ratio=0", "0")),
        (lambda: simulate_runs(LAW, [1e9, 2e9], [1e10]), ("params has 2", "tokens has 1")),
        (lambda: simulate_runs(LAW, [1e9], [1e10], outliers=5), ("outliers=5", "1")),
        (lambda: simulate_runs(LAW, [1e9], [1e10], noise=math.inf), ("noise=inf", "finite")),
        (lambda: simulate_runs("hoffmann", [1e9], [1e10]), ("law='hoffmann'", "Law")),
        (lambda: simulate_curves(LAW, [1e9], [1e10]), ("tokens=[1", "number")),
        (lambda: simulate_curves(LAW, [1e9], 1e10, points=1), ("points=1", "2")),
        (lambda: random_law(0.5), ("seed=0.5", "whole")),
        (lambda: load_chinchilla_points(2.5), ("drop_worst=2.5", "whole")),
    ],
)  # fmt: skip
def test_what_people_get_wrong_is_one_line_that_says_what_is_right(call, words):
    assert_refused(call, *words)


def test_all_points_dropped_leaves_none(points):
    assert_refused(lambda: load_chinchilla_points(245), "drop_worst=245", "245 runs")


@pytest.mark.parametrize("kind", [list, pd.Series, torch.tensor, lambda c: c.astype(np.float32)])
def test_columns_of_any_kind_are_columns(kind):
    assert fit_isoflop(*map(kind, RUNS)).a == pytest.approx(ISOFLOP.a, rel=1e-4)


def test_whole_numbers_larger_than_a_machines_are_numbers():
    assert optimal([10**30, 10**21], LAW).params[1] == pytest.approx(optimal(1e21, LAW).params)
