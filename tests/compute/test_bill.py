"""Guards days, energy and price: against what published runs say, and there and back.

pytest tests/compute/test_bill.py
"""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.compute import (
    PETAFLOPS_DAY,
    Range,
    accelerators,
    affordable_flops,
    published_models,
    training_bill,
    utilisation,
)

A100 = accelerators()["A100 80GB SXM"]
V100 = accelerators()["V100 SXM2"]


def test_eight_v100_cards_at_their_peak_do_a_petaflops_day_in_a_day():
    bill = training_bill(PETAFLOPS_DAY, V100, 8, utilisation=(1, 1))
    assert bill.days == Range(1, 1)
    assert bill.device_hours == Range(192, 192)


def test_energy_of_llama_65b():
    """Touvron et al. 2023, table 15: 1,022,362 hours of 400 W at an overhead of 1.1, 449 MWh."""
    model = published_models()["LLaMA 65B"]
    share = utilisation(model.six_nd, model.device_hours.value * 3600, A100.peak())
    bill = training_bill(model.six_nd, A100, 2048, utilisation=(share, share), hour_price=2)
    assert bill.energy.low == pytest.approx(449_000, rel=2e-3)
    assert bill.days.low == pytest.approx(21, rel=0.02)
    assert bill.price.low == pytest.approx(2 * 1_022_362)


def test_the_interval_of_utilisation_becomes_that_of_the_bill():
    bill = training_bill(1e22, A100, 64, utilisation=(0.2, 0.4), hour_price=1)
    for part in (bill.days, bill.device_hours, bill.energy, bill.price):
        assert part.high == pytest.approx(2 * part.low)
    assert str(Range(0.5, 12345)) == "0.5 to 12,300"
    assert str(Range(2, 2)) == "2"


@given(st.floats(1e18, 1e26), st.integers(1, 10_000), st.floats(0.05, 1), st.floats(0.05, 1))
def test_what_was_paid_for_is_what_is_got(flops, devices, one, other):
    shares = (min(one, other), max(one, other))
    hours = training_bill(flops, A100, devices, utilisation=shares).device_hours
    best = affordable_flops(A100, device_hours=hours.low, utilisation=shares)
    worst = affordable_flops(A100, device_hours=hours.high, utilisation=shares)
    assert best.high == pytest.approx(flops)
    assert worst.low == pytest.approx(flops)
    assert best.low <= flops * (1 + 1e-9)


@given(st.integers(1, 5000))
def test_more_cards_are_faster_and_cost_the_same(devices):
    one = training_bill(1e21, A100, 1, hour_price=2)
    many = training_bill(1e21, A100, devices, hour_price=2)
    assert many.days.low * devices == pytest.approx(one.days.low)
    assert many.price.high == pytest.approx(one.price.high)
    assert many.energy.high == pytest.approx(one.energy.high)


def test_what_is_not_known_stays_unknown():
    tpu = accelerators()["TPU v4"]
    bill = training_bill(1e20, tpu, 4)
    assert bill.energy is None
    assert bill.price is None
    assert training_bill(1e20, replace(tpu, power=200.0), 4).energy is not None
