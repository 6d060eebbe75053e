"""Guards the table of accelerators, and the share of a peak that a run reaches.

pytest tests/compute/test_accelerators.py
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.compute import accelerators, utilisation
from course_lib.compute.hardware import PRECISIONS

TABLE = accelerators()


def test_those_that_the_course_names_are_there():
    names = " ".join(TABLE)
    wanted = ("V100", "A100 40GB", "A100 80GB", "H100", "H200", "T4", "L4", "RTX 4090", "TPU v4")
    for name in wanted:
        assert name in names


@pytest.mark.parametrize("card", TABLE.values(), ids=lambda card: card.name)
def test_units_and_citations(card):
    assert 8e9 <= card.memory <= 1e12
    assert 1e11 <= card.bandwidth <= 1e13
    assert card.power is None or 50 <= card.power <= 1500
    assert card.power is not None or "power" in card.note
    assert card.peaks
    assert all(1e12 < peak < 1e16 for peak in card.peaks.values())
    assert 2010 < card.year < 2030
    assert len(card.source) > 20


@pytest.mark.parametrize("card", TABLE.values(), ids=lambda card: card.name)
def test_peaks_are_dense_and_fall_with_precision(card):
    order = [card.peaks[p] for p in ("fp32", "tf32", "fp16", "fp8") if p in card.peaks]
    assert order == sorted(order)
    if "bf16" in card.peaks:
        assert card.peaks.get("fp16", card.peaks["bf16"]) == card.peaks["bf16"]
    if card.sparse_peak:
        assert card.sparse_peak == pytest.approx(2 * card.peak("bf16"), rel=2e-3)


@pytest.mark.parametrize(
    ("name", "precision", "tflops"),
    [
        ("V100 SXM2", "half", 125),
        ("V100 SXM2", "fp32", 15.7),
        ("T4", "half", 65),
        ("A100 40GB SXM", "half", 312),
        ("A100 80GB SXM", "tf32", 156),
        ("H100 SXM", "half", 989),
        ("H200 SXM", "bf16", 989),
        ("RTX 4090", "half", 165.2),
        ("TPU v4", "half", 275),
    ],
)
def test_known_peaks(name, precision, tflops):
    assert TABLE[name].peak(precision) == tflops * 1e12


def test_every_peak_is_in_a_precision_of_the_table():
    assert all(p in PRECISIONS for card in TABLE.values() for p in card.peaks)


def test_utilisation_of_llama():
    """Touvron et al. 2023, section 2.4: 380 tokens/s a card, 65.2e9 parameters, about 48 %."""
    share = utilisation(6 * 65.2e9 * 380, 1.0, TABLE["A100 80GB SXM"].peak())
    assert share == pytest.approx(0.476, abs=0.001)


@given(st.floats(1e6, 1e24), st.floats(1e-3, 1e7), st.floats(1e9, 1e15), st.integers(1, 4096))
def test_utilisation_shares_out_evenly(flops, seconds, peak, devices):
    one = utilisation(flops, seconds, peak)
    assert utilisation(flops * devices, seconds, peak, devices) == pytest.approx(one)
    assert utilisation(peak * seconds, seconds, peak) == pytest.approx(1)
