"""Guards the boundary of objectives: what cannot be used is refused in one line that says why.

pytest tests/objectives/test_bad_input_objectives.py
"""

import pytest
import torch
from refusals import assert_refused
from tiny import packed_rows, tiny_model, word_tokenizer
from transformers import BertForSequenceClassification

from course_lib.objectives import (
    CausalLM,
    MaskedLM,
    SpanCorruption,
    Supervised,
    TextInfilling,
    count_targets,
    kind_of,
    make_objective,
    summed_loss,
    target_losses,
)
from course_lib.runtime import generator

BERT, GPT2, T5, BART = map(word_tokenizer, ("bert", "gpt2", "t5", "bart"))
ROWS = packed_rows("gpt2", 2, 12, "bad input")
T5_ROWS = packed_rows("t5", 2, 12, "bad input")
DRAW = generator("bad input")
MASK = torch.zeros(2, 12, dtype=torch.bool)
ONE_MORE = MASK.clone()
ONE_MORE[0, 3] = True
EXAMPLE = {"input_ids": [3, 4], "labels": [3, 4]}


def classifier():
    return BertForSequenceClassification(tiny_model("bert").config)


def spans(**options):
    return SpanCorruption.from_tokenizer(T5, **options)


def infilling(**options):
    return TextInfilling.from_tokenizer(BART, **options)


def masked(**options):
    return MaskedLM.from_tokenizer(BERT, **options)


CALLS = {
    "a rate of 0": (lambda: masked(rate=0), "rate=0", "above 0"),
    "a rate of 1": (lambda: masked(rate=1), "rate=1", "below 1"),
    "a rate in percent": (lambda: masked(rate=15), "rate=15", "below 1"),
    "a rate as text": (lambda: masked(rate="0.15"), "rate='0.15'", "a number"),
    "a rate that is nan": (lambda: masked(rate=float("nan")), "rate=nan", "above 0"),
    "static as a number": (lambda: masked(static=1), "static=1", "true or false"),
    "no mask token": (lambda: MaskedLM.from_tokenizer(GPT2), "mask token, as bert's has"),
    "a tokenizer's name": (lambda: MaskedLM.from_tokenizer("bert"), "tokenizer='bert'"),
    "text for rows": (lambda: masked()("the cat", DRAW), "blocks='the cat'", "LongTensor"),
    "lists for rows": (lambda: masked()([[5, 6]], DRAW), "blocks=[[5, 6]]", "as pack makes"),
    "a single row": (lambda: masked()(ROWS[0], DRAW), "blocks=<Tensor (12,)>", "[rows, length]"),
    "floats for ids": (lambda: masked()(ROWS.float(), DRAW), "blocks=", "LongTensor"),
    "no rows": (lambda: masked()(ROWS[:0], DRAW), "at least one row"),
    "a seed for a generator": (lambda: masked()(ROWS, 0), "generator=0", "Generator"),
    "causal: lists": (lambda: CausalLM()([[5, 6]], DRAW), "blocks=", "as pack makes"),
    "causal: padding by name": (lambda: CausalLM("<pad>"), "pad_id='<pad>'", "whole number"),
    "causal: padding below 0": (lambda: CausalLM(-1), "pad_id=-1", "at least 0"),
    "causal: no tokenizer": (lambda: CausalLM.from_tokenizer(None), "tokenizer=None"),
    "spans: a rate of 1.5": (lambda: spans(rate=1.5), "rate=1.5", "below 1"),
    "spans of half a token": (lambda: spans(mean_span=0.5), "mean_span=0.5", "at least 1"),
    "spans without end": (lambda: spans(mean_span=float("inf")), "mean_span=inf", "finite"),
    "spans: no sentinels": (lambda: SpanCorruption.from_tokenizer(BERT), "as t5's has"),
    "spans: one token a row": (lambda: spans()(T5_ROWS[:, :1], DRAW), "2 or more, not 1"),
    "spans: padded rows": (
        lambda: spans()(torch.full((2, 12), T5.pad_token_id), DRAW),
        "blocks hold padding",
        "packed rows",
    ),
    "spans: too many for the sentinels": (
        lambda: spans(rate=0.5, mean_span=1)(T5_ROWS.repeat(1, 50), DRAW),
        "300 sentinels",
        "shorter rows",
    ),
    "spans: a mask of another shape": (
        lambda: spans().corrupt(ROWS, MASK[:, 1:]),
        "noise of shape (2, 11)",
    ),
    "spans: more in one row than another": (
        lambda: spans().corrupt(ROWS, ONE_MORE),
        "noise",
        "each row as many",
    ),
    "infilling: a span of 0": (lambda: infilling(mean_span=0), "mean_span=0", "at least 1"),
    "infilling: a span of a half": (lambda: infilling(mean_span=0.5), "mean_span=0.5"),
    "infilling: a span as text": (lambda: infilling(mean_span="3"), "mean_span='3'", "a number"),
    "infilling: a rate of 0": (lambda: infilling(rate=0), "rate=0", "above 0"),
    "infilling: no mask": (lambda: TextInfilling.from_tokenizer(T5), "as bart's has"),
    "infilling: permute by name": (lambda: infilling(permute="yes"), "permute='yes'", "true or"),
    "infilling: a single row": (lambda: infilling()(ROWS[0], DRAW), "blocks=<Tensor (12,)>"),
    "sentences of lists": (lambda: infilling().permute_sentences([[5]], DRAW), "blocks=[[5]]"),
    "an objective that is none": (
        lambda: make_objective("mlm", BERT),
        "Unknown objective 'mlm'",
        "masked, masked-static, causal",
    ),
    "an objective by number": (lambda: make_objective(1, BERT), "name=1", "text"),
    "a rate where nothing is hidden": (
        lambda: make_objective("causal", GPT2, rate=0.15),
        "objective.rate = 0.15",
        "leave it out",
    ),
    "examples that are rows": (lambda: Supervised(GPT2)(ROWS), "examples=", "a list of at least"),
    "no examples": (lambda: Supervised(GPT2)([]), "examples=[]", "at least one"),
    "examples without labels": (
        lambda: Supervised(GPT2)([EXAMPLE, {"input_ids": [3]}]),
        "entry 1",
        "labels",
    ),
    "a tokenizer that pads nothing": (
        lambda: Supervised(without_padding())([EXAMPLE]),
        "no padding token",
        "set tokenizer.pad_token",
    ),
    "a batch without labels": (
        lambda: summed_loss(tiny_model("gpt2"), {"input_ids": ROWS}),
        "input_ids and no labels",
    ),
    "count without labels": (
        lambda: count_targets(tiny_model("gpt2"), {"input_ids": ROWS}),
        "no labels",
    ),
    "labels of another length": (
        lambda: target_losses(tiny_model("gpt2"), {"input_ids": ROWS, "labels": ROWS[:, 1:]}),
        "labels of shape (2, 11)",
        "one label for each token",
    ),
    "masked labels of another length": (
        lambda: summed_loss(tiny_model("bert"), {"input_ids": ROWS, "labels": ROWS[:1]}),
        "labels of shape (1, 12)",
    ),
    "a classifier": (lambda: kind_of(classifier()), "BertForSequenceClassification is not a lang"),
    "a layer": (lambda: kind_of(torch.nn.Linear(2, 2)), "Linear is not a language model"),
    "a model's name": (lambda: kind_of("gpt2"), "str is not a language model"),
}


def without_padding():
    tokenizer = word_tokenizer("gpt2")
    tokenizer.pad_token = None
    return tokenizer


@pytest.mark.parametrize(("call", "words"), [(c[0], c[1:]) for c in CALLS.values()], ids=CALLS)
def test_is_refused_in_a_line(call, words):
    assert_refused(call, *words)
