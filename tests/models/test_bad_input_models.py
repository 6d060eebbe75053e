"""Guards the boundary of models: what cannot be used is refused in one line that says why.

pytest tests/models/test_bad_input_models.py
"""

import pytest
from hundred_words import words_tokenizer
from refusals import assert_refused
from tiny import tiny_model, word_tokenizer

from course_lib.models import (
    build,
    build_published,
    count_parameters,
    published_model,
    published_sizes,
    require_kind,
    require_trainable,
    size_table,
)
from course_lib.models.adapters import add_lora
from course_lib.models.heads import with_head
from course_lib.models.inspection import document_marks, require_tokenizer

WORDS = words_tokenizer()
SHAPE = {"width": 16, "layers": 2, "heads": 2, "length": 12}


def built(family="bert", tokenizer=WORDS, **change):
    return build(family, tokenizer, **(SHAPE | change))


def without(mark):
    tokenizer = words_tokenizer()
    setattr(tokenizer, mark, None)
    return tokenizer


def lora(**options):
    return add_lora(tiny_model("gpt2"), **({"rank": 2, "alpha": 4} | options))


CALLS = {
    "a family that is none": (lambda: built("gpt5"), "family='gpt5'", "bert, roberta, gpt2"),
    "a family by number": (lambda: built(3), "family=3", "text"),
    "no tokenizer": (
        lambda: built(tokenizer="bert"),
        "tokenizer='bert'",
        "PreTrainedTokenizerBase",
    ),
    "a width that heads do not divide": (lambda: built(width=15), "width=15", "multiple"),
    "a width as text": (lambda: built(width="16"), "width='16'", "whole number"),
    "no layers": (lambda: built(layers=0), "layers=0", "at least 1"),
    "heads below 0": (lambda: built(heads=-1), "heads=-1", "at least 1"),
    "a length that is not whole": (lambda: built(length=2.5), "length=2.5", "whole number"),
    "all is dropped": (lambda: built(dropout=1.0), "dropout=1.0", "below 1"),
    "dropout in percent": (lambda: built(dropout=10), "dropout=10", "below 1"),
    "attention to the right": (lambda: built(attention="right"), "attention='right'", "'left'"),
    "a decoder held to the left": (
        lambda: built("gpt2", attention="left"),
        'attention="left" is for bert',
    ),
    "no padding token": (lambda: built(tokenizer=without("pad_token")), "set tokenizer.pad_token"),
    "a published size that is none": (
        lambda: build_published("gpt2", "tiny", WORDS),
        "published='tiny'",
        "small",
    ),
    "a published family that is none": (
        lambda: build_published("llama", "7B", WORDS),
        "family='llama'",
        "choose one of",
    ),
    "sizes of no family": (lambda: published_sizes("llama"), "family='llama'", "choose one of"),
    "sizes by number": (lambda: published_sizes(2), "family=2", "text"),
    "a table of no family": (lambda: size_table("gpt2", "llama"), "family='llama'"),
    "parameters of a name": (lambda: count_parameters("gpt2"), "size='gpt2'", "PublishedSize"),
    "a published model not pinned": (lambda: published_model("llama"), "'llama'", "hub.toml"),
    "a pair that teaches nothing": (
        lambda: require_trainable("bert", "causal"),
        'objective = "causal" does not train a bert',
        "would copy it",
    ),
    "an objective of no family": (lambda: require_trainable("llama", "causal"), "family='llama'"),
    "a decoder's attention": (
        lambda: require_trainable("t5", "span", "left"),
        'attention = "left" with t5',
    ),
    "a model of another kind": (
        lambda: require_kind(tiny_model("bert"), "causal", "generate"),
        "generate needs a causal model; BertForMaskedLM is a masked one",
    ),
    "a larger model's tokenizer": (
        lambda: require_tokenizer(tiny_model("gpt2"), word_tokenizer("t5")),
        "tokens and the model",
        "use the tokenizer",
    ),
    "no marks of a document": (
        lambda: document_marks(word_tokenizer("t5")),
        "open and close a text",
        "bos_token",
    ),
    "no labels": (lambda: with_head(tiny_model("bert"), 0, 0), "labels=0", "at least 1"),
    "labels by name": (lambda: with_head(tiny_model("bert"), ["a"], 0), "labels=['a']"),
    "a head on a name": (lambda: with_head("bert", 2, 0), "body='bert'", "PreTrainedModel"),
    "a seed that is none": (lambda: with_head(tiny_model("bert"), 2, "x"), "seed='x'", "whole"),
    "an adapter of rank 0": (lambda: lora(rank=0), "rank=0", "at least 1"),
    "an adapter without weight": (lambda: lora(alpha=0), "alpha=0", "above 0"),
    "an adapter that drops all": (lambda: lora(dropout=1), "dropout=1", "below 1"),
    "an adapter nowhere": (lambda: lora(targets=("query",)), "adapter.targets", "c_attn"),
    "targets as one text": (lambda: lora(targets="c_attn"), "targets='c_attn'"),
}


@pytest.mark.parametrize(("call", "words"), [(c[0], c[1:]) for c in CALLS.values()], ids=CALLS)
def test_is_refused_in_a_line(call, words):
    assert_refused(call, *words)
