"""Guards the seven families: each trains, has the shape asked for, and refuses nonsense.

Run with: pytest tests/models/test_families.py
"""

import logging
import math

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

from course_lib.models import FAMILIES, build
from course_lib.objectives import loss_sum
from course_lib.objectives.loss import kind_of

SHAPE = {"width": 16, "layers": 2, "heads": 2, "length": 12}


def make(family, tokenizer, seed=0, **options):
    torch.manual_seed(seed)
    return build(family, tokenizer, **(SHAPE | options))


def batch_of(model, rows=4, length=SHAPE["length"]):
    """Random tokens, a third of them targets; a causal model's labels are its input."""
    blocks = torch.randint(5, 100, (rows, length), generator=torch.Generator().manual_seed(1))
    labels = blocks.clone()
    if kind_of(model) == "masked":
        labels[:, torch.arange(length) % 3 > 0] = -100
    return {"input_ids": blocks, "labels": labels}


@pytest.mark.parametrize("family", FAMILIES)
def test_fresh_model_guesses_about_uniformly(family, tokenizer):
    model = make(family, tokenizer)
    total, targets = loss_sum(model, batch_of(model))
    # T5 draws its embeddings with unit variance, so its fresh guesses are bolder than the others'.
    # BERT's and RoBERTa's logits begin with a standard deviation near 0.8, whatever the width
    # (`initializer_range`), and logits of variance v cost about v / 2 nats.
    slack = {"t5": 1.2, "bert": 0.6, "roberta": 0.6}.get(family, 0.15)
    assert abs(total.item() / targets - math.log(len(tokenizer))) < slack


@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_reaches_every_parameter(family, tokenizer):
    model = make(family, tokenizer)
    loss_sum(model, batch_of(model))[0].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} is not part of the computation"
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("family", FAMILIES)
def test_has_the_shape_and_ids_asked_for(family, tokenizer):
    model = make(family, tokenizer)
    embedding = model.get_input_embeddings().weight
    assert embedding.shape == (len(tokenizer), 16)
    assert model.get_output_embeddings().weight is embedding, "embeddings are not tied"
    wide = [p for p in model.parameters() if p.dim() == 2 and 64 in p.shape]
    assert wide, "no feed-forward layer of four times the width"
    assert model.config.num_hidden_layers == 2
    assert model.config.num_attention_heads == 2
    assert model.config.pad_token_id == tokenizer.pad_token_id
    assert model.config.eos_token_id == tokenizer.eos_token_id


@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_same_weights(family, tokenizer):
    first, again, other = (make(family, tokenizer, seed) for seed in (3, 3, 4))
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    assert not all(map(torch.equal, first.parameters(), other.parameters()))


@pytest.mark.parametrize("family", FAMILIES)
def test_dropout_is_everywhere_or_nowhere(family, tokenizer):
    assert {m.p for m in make(family, tokenizer).modules() if isinstance(m, nn.Dropout)} <= {0.0}
    model = make(family, tokenizer, dropout=0.3)
    # BART keeps its rates as numbers and has no dropout modules.
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == (
        set() if family == "bart" else {0.3}
    )
    settings = {k: v for k, v in model.config.to_dict().items() if "drop" in k and v is not None}
    # What is left at another rate belongs to heads that are not there, or drops whole layers.
    assert {k for k, v in settings.items() if v != 0.3} <= {
        "classifier_dropout",
        "summary_first_dropout",
        "encoder_layerdrop",
        "decoder_layerdrop",
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_takes_the_full_length(family, tokenizer):
    model = make(family, tokenizer)
    total, _ = loss_sum(model, batch_of(model, length=SHAPE["length"]))
    assert total.isfinite()


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "gpt3"])
def test_learned_positions_end_where_they_should(family, tokenizer):
    model = make(family, tokenizer)
    with pytest.raises((IndexError, RuntimeError)):
        loss_sum(model, batch_of(model, length=SHAPE["length"] + 1))


@pytest.mark.parametrize("family", ["bloom", "t5"])
def test_relative_positions_have_no_end(family, tokenizer):
    model = make(family, tokenizer)
    total, _ = loss_sum(model, batch_of(model, length=3 * SHAPE["length"]))
    assert total.isfinite()


def touched(model, place):
    """The positions of a row whose output changes with the token at `place`."""
    row = torch.randint(5, 100, (1, 12), generator=torch.Generator().manual_seed(2))
    changed = row.clone()
    changed[0, place] = (row[0, place] - 5 + 1) % 95 + 5
    with torch.no_grad():
        before, after = (model.eval()(x, use_cache=False).logits for x in (row, changed))
    return ((before - after).abs().amax(dim=-1)[0] > 1e-6).nonzero().flatten().tolist()


def test_attention_left_hides_the_right_context_and_only_that(tokenizer):
    left, both = (make("bert", tokenizer, attention=attention) for attention in ("left", "both"))
    for place in (0, 5, 11):
        assert touched(left, place) == list(range(place, 12))
        assert touched(both, place) == list(range(12))
    # All else equal: the same weights, the same objective.
    assert all(map(torch.equal, left.parameters(), both.parameters()))
    assert kind_of(left) == "masked"


def test_attention_left_survives_saving(tokenizer, tmp_path):
    make("bert", tokenizer, attention="left").save_pretrained(tmp_path)
    assert touched(AutoModelForMaskedLM.from_pretrained(tmp_path), 5) == list(range(5, 12))


def test_attention_left_is_quiet_and_leaves_the_logger_alone(tokenizer, caplog):
    logger = logging.getLogger("transformers.models.bert.modeling_bert")
    before = logger.level
    logger.addHandler(caplog.handler)
    try:
        make("bert", tokenizer, attention="left")
    finally:
        logger.removeHandler(caplog.handler)
    assert not caplog.records
    assert logger.level == before


@pytest.mark.parametrize("family", FAMILIES)
def test_loads_as_any_transformers_model_does(family, tokenizer, tmp_path):
    model = make(family, tokenizer).eval()
    model.save_pretrained(tmp_path)
    auto = {
        "masked": AutoModelForMaskedLM,
        "causal": AutoModelForCausalLM,
        "seq2seq": AutoModelForSeq2SeqLM,
    }[kind_of(model)]
    again = auto.from_pretrained(tmp_path).eval()
    batch = batch_of(model)
    with torch.no_grad():
        assert torch.equal(loss_sum(model, batch)[0], loss_sum(again, batch)[0])


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_fresh_encoder_attends_to_its_neighbours(family, tokenizer):
    model = make(family, tokenizer).eval()
    model.config._attn_implementation = "eager"
    ids = batch_of(model)["input_ids"][:1]
    ids = torch.full_like(ids, ids[0, 1])  # one token everywhere: positions alone decide
    with torch.no_grad():
        layers = model(input_ids=ids, output_attentions=True).attentions
    neighbours = torch.stack(
        [layers[0][0, :, t, t + 1].mean() for t in range(ids.shape[1] - 1)]
    ).mean()
    assert neighbours > 1 / ids.shape[1]


def test_a_fresh_t5_starts_with_a_penalty_on_distance(tokenizer):
    model = make("t5", tokenizer)
    for stack in (model.encoder, model.decoder):
        bias = stack.block[0].layer[0].SelfAttention.compute_bias(40, 40)[0]
        for distance in range(8):  # beyond, several distances share a bucket
            assert bias.diagonal(-distance, 1, 2).eq(-distance).all()
        from_last = bias[:, -1].flip(1)
        assert (from_last.diff(dim=1) <= 0).all(), "what is further away weighs more"
    ahead = model.encoder.block[0].layer[0].SelfAttention.compute_bias(40, 40)[0, :, 0, :8]
    assert ahead.eq(-torch.arange(8)).all(), "the encoder looks to the right as it does to the left"
