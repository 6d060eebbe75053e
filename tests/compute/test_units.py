"""Guards the unit: 10^15 operations a second for a day, there and back.

pytest tests/compute/test_units.py
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.compute import PETAFLOPS_DAY, from_petaflops_days, to_petaflops_days


def test_the_definition():
    assert from_petaflops_days(1) == PETAFLOPS_DAY == 10**15 * 60 * 60 * 24
    assert to_petaflops_days(8.64e19) == 1


def test_gpt3_as_its_paper_states_it():
    """Brown et al. 2020, table D.1: 3.14e23 operations are 3.64e3 petaFLOP/s-days."""
    assert to_petaflops_days(3.14e23) == pytest.approx(3640, rel=2e-3)


@given(st.floats(0, 1e30))
def test_there_and_back(flops):
    assert from_petaflops_days(to_petaflops_days(flops)) == pytest.approx(flops, rel=1e-12)
