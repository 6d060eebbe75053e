"""Guards the boundary of likelihoods and intervals: what cannot be used is refused in one line.

pytest tests/evaluation/test_bad_input_likelihood.py
"""

import math

import pytest
import torch
from refusals import assert_refused
from tiny import closing_tokenizer, tiny_model, word_tokenizer

from course_lib.evaluation import (
    bits_per_byte,
    candidate_log_probs,
    document_losses,
    interval,
    loss_by_position,
    paired_interval,
    perplexity,
    pseudo_document_losses,
    sequence_log_prob,
    teacher_forcing,
    token_losses,
)

FAMILIES = ("bert", "gpt2", "t5", "bart")
MODEL = {family: tiny_model(family) for family in FAMILIES}
TOKENIZER = {family: closing_tokenizer(family) for family in FAMILIES}
TEXT, GAP = "the cat sat", "the {} sat"
HALF = "half \ud83d a character"
ROWS = torch.ones(3, 8, dtype=torch.long)


def documents(texts, family="gpt2", **options):
    return document_losses(MODEL[family], TOKENIZER[family], texts, **options)


def pseudo(texts, family="bert", **options):
    return pseudo_document_losses(MODEL[family], TOKENIZER[family], texts, **options)


def rank(texts, candidates=("cat", "dog"), family="gpt2", **options):
    return candidate_log_probs(MODEL[family], TOKENIZER[family], texts, candidates, **options)


def forced(sources, targets, family="bart", **options):
    return teacher_forcing(MODEL[family], TOKENIZER[family], sources, targets, **options)


def completed(prompt, completion, family="gpt2"):
    return sequence_log_prob(MODEL[family], TOKENIZER[family], prompt, completion)


def without(mark, family="gpt2"):
    tokenizer = word_tokenizer(family)
    setattr(tokenizer, mark, None)
    return tokenizer


CALLS = {
    "one text for a list": (lambda: documents(TEXT), "texts=", "write [text]"),
    "no texts": (lambda: documents([]), "texts=[]", "at least one text"),
    "a text that is None": (lambda: documents([TEXT, None]), "entry 1 is None"),
    "half a character": (lambda: documents([HALF]), "entry 0", "half a character"),
    "a number for texts": (lambda: documents(3), "texts=3", "list of texts"),
    "batches of -1": (lambda: documents([TEXT], batch_size=-1), "batch_size=-1", "at least 1"),
    "batches of 0": (lambda: documents([TEXT], batch_size=0), "batch_size=0", "at least 1"),
    "batches as text": (lambda: documents([TEXT], batch_size="64"), "batch_size='64'", "whole"),
    "documents of an encoder": (lambda: documents([TEXT], "bert"), "needs a causal model"),
    "a larger model's tokenizer": (
        lambda: document_losses(MODEL["gpt2"], TOKENIZER["t5"], [TEXT]),
        "use the tokenizer",
    ),
    "nothing closes a text": (
        lambda: document_losses(MODEL["gpt2"], without("eos_token"), [TEXT]),
        "open and close a text",
    ),
    "no padding": (
        lambda: document_losses(MODEL["gpt2"], without("pad_token"), [TEXT]),
        "set tokenizer.pad_token",
    ),
    "a model by name": (
        lambda: document_losses("gpt2", TOKENIZER["gpt2"], [TEXT]),
        "model='gpt2'",
        "Module",
    ),
    "pseudo: a decoder": (lambda: pseudo([TEXT], "gpt2"), "needs a masked model"),
    "pseudo: one text": (lambda: pseudo(TEXT), "texts=", "write [text]"),
    "pseudo: too long": (lambda: pseudo([TEXT, "the " * 30]), "the model reads 24", "shorten it"),
    "pseudo: batches of -1": (lambda: pseudo([TEXT], batch_size=-1), "batch_size=-1"),
    "positions of one row": (lambda: loss_by_position(MODEL["gpt2"], ROWS[:1]), "(1, 8)"),
    "positions of one token": (lambda: loss_by_position(MODEL["gpt2"], ROWS[:, :1]), "(3, 1)"),
    "positions of a text": (lambda: loss_by_position(MODEL["gpt2"], TEXT), "as pack makes them"),
    "positions of floats": (lambda: loss_by_position(MODEL["gpt2"], ROWS.float()), "LongTensor"),
    "more positions than there are": (
        lambda: loss_by_position(MODEL["gpt2"], ROWS.repeat(1, 4)),
        "at most 24",
    ),
    "positions of an encoder": (lambda: loss_by_position(MODEL["bert"], ROWS), "causal model"),
    "positions by -1": (lambda: loss_by_position(MODEL["gpt2"], ROWS, -1), "batch_size=-1"),
    "losses without labels": (lambda: token_losses(MODEL["gpt2"], {"input_ids": ROWS}), "labels"),
    "losses of half the labels": (
        lambda: token_losses(MODEL["gpt2"], {"input_ids": ROWS, "labels": ROWS[:, :4]}),
        "labels of shape (3, 4)",
    ),
    "a loss below 0": (lambda: perplexity(-1), "nats_per_token=-1", "at least 0"),
    "a loss of nan": (lambda: perplexity(math.nan), "nats_per_token=nan"),
    "a loss as text": (lambda: perplexity("2.3"), "nats_per_token='2.3'", "a number"),
    "no bytes": (lambda: bits_per_byte(1.0, 0), "bytes=0", "above 0"),
    "bytes below 0": (lambda: bits_per_byte(1.0, -5), "bytes=-5", "above 0"),
    "nats below 0": (lambda: bits_per_byte(-1.0, 5), "nats=-1.0", "at least 0"),
    "an empty completion": (lambda: completed("the cat", ""), "completion=''", "at least one tok"),
    "a completion that is None": (lambda: completed("the cat", None), "completion=None"),
    "a list of completions": (lambda: completed("the", ["cat", "dog"]), "completion=['cat'"),
    "a prompt that is None": (lambda: completed(None, "cat"), "prompt=None", "give a text"),
    "a completion that does not fit": (
        lambda: completed("the", "cat " * 30),
        "completion has 30 tokens and the model reads 24",
    ),
    "a completion by an encoder": (lambda: completed("the", "cat", "bert"), "causal model"),
    "no gap": (lambda: rank([TEXT]), "exactly one gap", "{}"),
    "two gaps": (lambda: rank(["{} and {}"]), "exactly one gap"),
    "one text with a gap": (lambda: rank(GAP), "texts=", "write [text]"),
    "no texts with a gap": (lambda: rank([]), "at least one text"),
    "no candidates": (lambda: rank([GAP], []), "candidates=[]", "at least one text"),
    "one candidate as text": (lambda: rank([GAP], "cat"), "candidates='cat'", "write [text]"),
    "an empty candidate": (lambda: rank([GAP], ["cat", ""]), "candidates has ''", "not empty"),
    "a candidate of spaces": (lambda: rank([GAP], ["cat", " "]), "candidates has ' '"),
    "a candidate twice": (lambda: rank([GAP], ["cat", "dog", "cat"]), "'cat' twice"),
    "a candidate of no word": (
        lambda: rank([GAP], ["cat", "zyzzyva"], "bert"),
        "'zyzzyva' is not one token",
    ),
    "the left of an encoder": (lambda: rank([GAP], family="bert", context="left"), "causal model"),
    "the right": (lambda: rank([GAP], context="right"), "context='right'", "'both' or 'left'"),
    "an encoder-decoder without sentinels": (
        lambda: rank([GAP], family="bart"),
        "<extra_id_0>",
    ),
    "a gap beyond the positions": (
        lambda: rank(["the " * 30 + "{}"], family="bert"),
        "the model reads 24",
        "shorten it",
    ),
    "a document beyond the positions": (lambda: rank(["the " * 30 + "{}"]), "the model reads 24"),
    "fewer targets than sources": (lambda: forced([TEXT, TEXT], [TEXT]), "2 sources and 1 targets"),
    "one target for a list": (lambda: forced([TEXT], TEXT), "targets=", "write [text]"),
    "no pairs": (lambda: forced([], []), "sources=[]", "at least one text"),
    "a target beyond the positions": (lambda: forced([TEXT], ["the " * 30]), "the model reads 24"),
    "targets of a decoder": (lambda: forced([TEXT], [TEXT], "gpt2"), "needs a seq2seq model"),
    "targets in batches of 0": (lambda: forced([TEXT], [TEXT], batch_size=0), "batch_size=0"),
    "an interval of nothing": (lambda: interval([]), "0 value(s)", "at least two"),
    "an interval of one": (lambda: interval([1.0]), "1 value(s)", "at least two"),
    "an interval of nan": (lambda: interval([1.0, math.nan]), "nan or infinite"),
    "an interval of texts": (lambda: interval(["a", "b"]), "list of numbers"),
    "an interval of rows": (lambda: interval([[1, 2], [3, 4]]), "values=[[1, 2], [3, 4]]"),
    "a level in percent": (lambda: interval([1, 2], level=95), "level=95", "below 1"),
    "pairs that are none": (lambda: paired_interval([1, 2, 3], [1, 2]), "3 and 2 values: pair"),
}


@pytest.mark.parametrize(("call", "words"), [(c[0], c[1:]) for c in CALLS.values()], ids=CALLS)
def test_is_refused_in_a_line(call, words):
    assert_refused(call, *words)
