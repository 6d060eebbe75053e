"""Guards intervals over seeds and over items: scipy's numbers, true coverage, a light import.

Run with: pytest tests/evaluation/test_intervals.py
"""

import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from refusals import assert_refused

from course_lib.evaluation import Interval, exact_interval, interval, paired_interval

VALUES = st.lists(st.floats(-100, 100), min_size=2, max_size=12)


@given(VALUES, st.floats(0.5, 0.999))
def test_agrees_with_scipy(values, level):
    found = interval(values, level)
    array = np.asarray(values)
    if array.std() < 1e-9:
        assert found.low == pytest.approx(found.high, abs=1e-6)
        return
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(level)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert found.mean == pytest.approx(array.mean(), abs=1e-9)
    assert found.n == len(values)


def test_covers_the_truth_as_often_as_it_says():
    """4,000 experiments of five seeds, by a four-sigma bound; a normal interval covers 88 %."""
    draws = np.random.default_rng(0).normal(3.0, 2.0, (4000, 5))
    covered = np.mean([(i := interval(row)).low <= 3.0 <= i.high for row in draws])
    assert abs(covered - 0.95) < 4 * (0.95 * 0.05 / 4000) ** 0.5


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=2, max_size=10))
def test_paired_is_the_interval_of_differences(pairs):
    a, b = zip(*pairs, strict=True)
    assert paired_interval(a, b) == interval([x - y for x, y in pairs])


def test_pairing_cancels_what_the_seed_does_to_both():
    seeds = np.random.default_rng(0).normal(0, 10, 8)
    noise = np.random.default_rng(1).normal(0, 0.1, 8)
    found = paired_interval(seeds + 1 + noise, seeds)
    assert found.low < 1 < found.high
    assert found.high - found.low < 0.5


def test_text():
    assert str(Interval(0.512, 0.498, 0.526, 5)) == "0.512 (0.498 to 0.526, n=5)"
    assert str(Interval(12.34, 9.0, 15.68, 3)) == "12.3 (9.0 to 15.7, n=3)"
    assert str(Interval(1234.5, 1000.0, 1469.0, 3)) == "1234 (1000 to 1469, n=3)"
    assert str(interval([0.5, 0.5])) == "0.500 (0.500 to 0.500, n=2)"


@pytest.mark.parametrize("package", ["models", "evaluation"])
def test_packages_and_intervals_are_light(package):
    """No torch for a package's name, nor for an interval."""
    code = (
        f"import sys; import course_lib.{package} as p; dir(p); "
        "from course_lib.evaluation import interval; print(interval([1, 2])); "
        "assert not {'torch', 'transformers', 'pandas', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("package", ["models", "evaluation"])
def test_every_export_exists(package):
    module = __import__(f"course_lib.{package}", fromlist=["__all__"])
    for name in module.__all__:
        assert getattr(module, name) is not None


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_a_share_is_scipys(counts):
    right, items = counts
    expected = scipy.stats.binomtest(right, items).proportion_ci(method="exact")
    found = exact_interval(right, items)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert (found.mean, found.n) == (right / items, items)


def test_more_right_than_asked_is_refused():
    assert_refused(lambda: exact_interval(3, 2), "3 right of 2")
    assert_refused(lambda: exact_interval(0, 0), "at least one item")
