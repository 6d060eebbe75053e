"""Guards the table of published models: units, citations, and 6ND near what sources state.

pytest tests/compute/test_published_models.py
"""

import pytest

from course_lib.compute import (
    Shape,
    accelerators,
    forward_flops,
    published_models,
    row_of,
    to_petaflops_days,
    utilisation,
)
from course_lib.compute.literature import Stated

MODELS = published_models()
WITH_FLOPS = [m for m in MODELS.values() if m.flops and m.tokens]
WITH_HOURS = [m for m in MODELS.values() if m.device_hours]


def test_the_models_of_the_course_and_its_field():
    wanted = (
        "GPT-2 XL", "T5-11B", "GPT-3 175B", "Gopher", "Chinchilla", "LLaMA 7B", "LLaMA 13B",
        "LLaMA 33B", "LLaMA 65B", "BLOOM", "BloombergGPT", "OPT-175B", "Pythia 12B", "Llama 2 70B",
        "Llama 3 8B", "Llama 3 70B", "Llama 3.1 405B",
    )  # fmt: skip
    assert set(wanted) <= set(MODELS)


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda m: m.name)
def test_units_and_citations(model):
    assert 1e8 < model.parameters.value < 1e12
    assert model.kind in ("decoder", "encoder-decoder")
    assert 2017 < model.year < 2030
    assert model.source
    assert model.tokens is None or 1e10 < model.tokens.value < 1e14
    assert model.tokens is not None or "not published" in model.note
    assert bool(model.flops) == bool(model.flops_source)
    assert bool(model.device_hours) == bool(model.hours_source)
    assert not model.accelerator or model.accelerator in accelerators()
    for number in (model.parameters, model.tokens, model.flops, model.device_hours):
        assert number is None or 0 < number.half_step <= number.value / 2


@pytest.mark.parametrize("model", WITH_FLOPS, ids=lambda m: m.name)
def test_six_nd_is_near_the_stated_compute_or_a_note_says_why_not(model):
    ratio = model.six_nd / model.flops.value
    assert 0.97 < ratio < 1.03 or model.note
    assert 0.7 < ratio < 1.1


def test_bloomberggpt_states_what_it_computed_twice():
    model = MODELS["BloombergGPT"]
    assert 8 / 6 * model.six_nd == pytest.approx(model.flops.value, rel=0.03)


@pytest.mark.parametrize("model", WITH_HOURS, ids=lambda m: m.name)
def test_no_run_beats_its_hardware(model):
    """A slip by a unit in parameters, tokens, hours or peak would show here."""
    peak = accelerators()[model.accelerator].peak()
    assert 0.1 < utilisation(model.six_nd, model.device_hours.value * 3600, peak) < 0.6


def test_gpt3_in_petaflops_days():
    assert to_petaflops_days(MODELS["GPT-3 175B"].six_nd) == pytest.approx(3640, rel=2e-3)


def test_an_encoder_decoder_costs_half_of_six_nd():
    """T5's stack is two, and a token passes one: the exact count agrees with Brown's table."""
    t5 = MODELS["T5-11B"]
    shape = Shape(
        family="t5", width=1024, layers=24, heads=128, vocab_size=32128,
        feed_forward=65536, head_width=128,
    )  # fmt: skip
    row = row_of("span", 568)
    tokens = row.inputs + row.outputs
    exact = 3 * forward_flops(shape, row) / tokens * t5.tokens.value
    assert exact == pytest.approx(t5.six_nd, rel=0.15)


@pytest.mark.parametrize(
    ("text", "value", "half_step"),
    [("1.75e11", 1.75e11, 5e8), ("7e9", 7e9, 5e8), ("1082990", 1082990, 0.5), ("3.0e1", 30, 0.5)],
)
def test_digits_are_read_as_precision(text, value, half_step):
    stated = Stated.parse(text)
    assert stated.value == pytest.approx(value)
    assert stated.half_step == pytest.approx(half_step)


def test_empty_is_unknown():
    assert Stated.parse("") is None
    assert MODELS["GPT-2 XL"].six_nd is None
