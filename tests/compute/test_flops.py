"""Guards the FLOP formulas: within 2 % of PyTorch's counter, all families, loss and loop included.

PyTorch's counter does not know the fused attention of a CPU, so the models here compute attention
unfused, as plain matrix products.

pytest tests/compute/test_flops.py
"""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_recipe, word_tokenizer
from torch.utils.flop_counter import FlopCounterMode

from course_lib.compute import (
    Row,
    Shape,
    forward_flops,
    forward_parts,
    generation_flops,
    recipe_flops,
    row_of,
    six_nd,
    step_flops,
    training_flops,
)
from course_lib.models import FAMILIES, build, unfuse_attention
from course_lib.objectives import OBJECTIVES, count_targets, make_objective, summed_loss
from course_lib.runtime import generator
from course_lib.training import Optimization, fit

WIDTH, LAYERS, HEADS, LENGTH, BATCH = 32, 2, 4, 48, 32
ALIAS = {"gpt3": "gpt2", "bloom": "gpt2"}
GENERATORS = [name for name in FAMILIES if name not in ("bert", "roberta")]
RUNS = [(name, FAMILIES[name].objective) for name in FAMILIES] + [("bert", "masked-static")]


def tiny(family):
    """A model with unfused attention, its tokenizer, and its shape."""
    tokenizer = word_tokenizer(ALIAS.get(family, family))
    sizes = {"width": WIDTH, "layers": LAYERS, "heads": HEADS}
    model = build(family, tokenizer, length=LENGTH, **sizes)
    unfuse_attention(model)
    return model, tokenizer, Shape(family=family, vocab_size=len(tokenizer), **sizes)


def batch_of(objective, tokenizer):
    """Rows of ordinary words, corrupted as in training."""
    made = make_objective(objective, tokenizer)
    low = len(tokenizer.all_special_ids)
    key = generator("flops", objective)
    blocks = torch.randint(low, len(tokenizer), (BATCH, LENGTH), generator=key)
    return made(blocks, key)


def row_in(batch, model, family) -> Row:
    """What really went through the model, from the tensors of a batch."""
    both = family in ("t5", "bart")
    outputs = batch["labels"].shape[1] if both else 0
    inputs = batch["input_ids"].shape[1]
    masked = family in ("bert", "roberta")
    scored = count_targets(model, batch) / BATCH if masked else outputs or inputs
    return Row(inputs, outputs, scored)


def counted(call) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


@pytest.mark.parametrize(("family", "objective"), RUNS)
def test_forward_and_training_loss_are_as_counted(family, objective):
    model, tokenizer, shape = tiny(family)
    batch = batch_of(objective, tokenizer)
    row = row_in(batch, model, family)
    kept = {}
    forward = counted(lambda: kept.update(loss=summed_loss(model, batch)))
    backward = counted(lambda: kept["loss"].backward())
    assert BATCH * forward_flops(shape, row) == pytest.approx(forward, rel=1e-9)
    assert BATCH * training_flops(shape, row) == pytest.approx(forward + backward, rel=1e-9)


@pytest.mark.parametrize(("family", "objective"), RUNS)
def test_a_step_of_the_loop_is_as_predicted_from_the_recipe_alone(family, objective):
    model, tokenizer, shape = tiny(family)
    batch = batch_of(objective, tokenizer)
    settings = Optimization(steps=1, batch=BATCH, warmup=0, precision="no")
    seen = counted(lambda: fit(model, lambda step: batch, settings))
    assert step_flops(shape, LENGTH, BATCH, objective) == pytest.approx(seen, rel=0.02)


@pytest.mark.parametrize("family", FAMILIES)
def test_without_gradients_the_forward_pass_is_inference(family):
    model, tokenizer, shape = tiny(family)
    ids = torch.full((1, 10), len(tokenizer) - 1)
    inputs = {"input_ids": ids}
    both = family in ("t5", "bart")
    if both:
        inputs["decoder_input_ids"] = ids[:, :4]
    with torch.no_grad():
        seen = counted(lambda: model.eval()(**inputs, use_cache=False))
    row = Row(10, 4, 4) if both else Row(10, scored=10)
    assert forward_flops(shape, row) == pytest.approx(seen, rel=1e-9)


@pytest.mark.parametrize("family", GENERATORS)
@pytest.mark.parametrize(("prompt", "new"), [(7, 5), (1, 1), (20, 2)])
def test_generation_with_a_cache_is_as_counted(family, prompt, new):
    model, tokenizer, shape = tiny(family)
    ids = torch.full((1, prompt), len(tokenizer) - 1)
    options = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False}
    options |= {"attention_mask": torch.ones_like(ids), "forced_eos_token_id": None}
    seen = counted(lambda: model.eval().generate(ids, **options))
    assert generation_flops(shape, prompt, new) == pytest.approx(seen, rel=0.02)


def gpt3() -> Shape:
    return Shape(family="gpt3", width=12288, layers=96, heads=96, vocab_size=50257, positions=2048)


def test_gpt3_by_hand():
    """Kaplan et al. 2020, table 1: a layer has 4 + 8 squares of the width, twice the operations."""
    parts = forward_parts(gpt3(), row_of("causal", 2048))
    per_token = {name: value / 2048 for name, value in parts.items()}
    assert per_token["attention projections"] == 96 * 2 * 4 * 12288**2
    assert per_token["feed-forward"] == 96 * 2 * 8 * 12288**2
    assert per_token["attention scores"] == 96 * 2 * 2 * 2048 * 12288
    assert per_token["vocabulary"] == 2 * 50257 * 12288


def test_the_rule_of_thumb_is_the_limit_of_wide_models_on_short_rows():
    shape = gpt3()
    short, long = (training_flops(shape, row_of("causal", length)) / length for length in (1, 2048))
    assert short == pytest.approx(six_nd(shape.parameters, 1), rel=2e-3)
    assert 1.02 < long / six_nd(shape.parameters, 1) < 1.04


@pytest.mark.parametrize(
    "bug",
    [
        lambda shape, row: (shape, replace(row, scored=row.inputs)),  # as if all were scored
        lambda shape, row: (shape, replace(row, inputs=row.inputs - 2)),
        lambda shape, row: (replace(shape, feed_forward=3 * WIDTH), row),
        lambda shape, row: (replace(shape, layers=LAYERS - 1), row),
        lambda shape, row: (replace(shape, head_width=1), row),
    ],
)
def test_a_planted_bug_is_more_than_two_percent(bug):
    model, tokenizer, shape = tiny("bert")
    batch = batch_of("masked", tokenizer)
    seen = counted(lambda: summed_loss(model, batch)) / BATCH
    wrong = forward_flops(*bug(shape, row_in(batch, model, "bert")))
    assert abs(wrong / seen - 1) > 0.02


@pytest.mark.parametrize(
    ("objective", "rate"),
    [
        (name, rate)
        for name in OBJECTIVES
        for rate in (None, 0.3)
        if not (rate and name == "causal")
    ],
)
@pytest.mark.parametrize("length", [16, 64, 200])
def test_rows_are_as_long_as_the_objective_makes_them(objective, length, rate):
    family = {"span": "t5", "infilling": "bart", "causal": "gpt2"}.get(objective, "bert")
    tokenizer = word_tokenizer(family)
    made = make_objective(objective, tokenizer, rate=rate)
    batches = []
    for number in range(25):
        key = generator("rows", objective, length, number)
        blocks = torch.randint(len(tokenizer) - 30, len(tokenizer), (32, length), generator=key)
        batches.append(made(blocks, key))
    row = row_of(objective, length, rate, batch=32)
    inputs = sum(batch["input_ids"].shape[1] for batch in batches) / len(batches)
    assert abs(row.inputs - inputs) <= (1 if objective == "infilling" else 0)
    assert row.outputs in (0, batches[0]["labels"].shape[1])
    if objective.startswith("masked"):
        share = torch.cat([b["labels"] for b in batches]).ne(-100).double().mean()
        assert row.scored == pytest.approx(float(share) * length, rel=0.05)
    else:
        assert row.scored == batches[0]["labels"].shape[1]


def test_t5s_own_example():
    """Raffel et al. 2020: 568 raw tokens become 512 in and 114 out, end tokens counted."""
    assert row_of("span", 568) == Row(inputs=512, outputs=114, scored=114)


@given(
    st.sampled_from([("gpt2", 0), ("t5", 7)]),
    st.integers(1, 300),
    st.floats(0, 300),
    st.floats(1, 4),
)
def test_cost_grows_with_everything_and_faster_than_length(kind, inputs, scored, factor):
    family, outputs = kind
    shape = Shape(family=family, width=WIDTH, layers=LAYERS, heads=HEADS, vocab_size=50)
    one = Row(inputs, outputs, scored)
    more = Row(factor * inputs, factor * outputs, factor * scored)
    assert forward_flops(shape, more) >= factor * forward_flops(shape, one) * (1 - 1e-12)
    assert training_flops(shape, one) == pytest.approx(3 * forward_flops(shape, one))


def test_a_recipe_costs_its_steps():
    shape = Shape(family="bert", width=64, layers=2, heads=2, vocab_size=1024)
    recipe = tiny_recipe("bert", vocab_size=1024, width=64, steps=500, batch=32, length=64)
    assert recipe_flops(recipe) == 500 * step_flops(shape, 64, 32)
    assert recipe_flops(recipe.replace(rate=0.4)) == 500 * step_flops(shape, 64, 32, rate=0.4)
    assert recipe_flops(recipe.replace(objective="masked-static")) == recipe_flops(recipe)
    assert recipe_flops(recipe.replace(steps=1000)) == 2 * recipe_flops(recipe)
