"""Guards the boundary of generation: what cannot be used is refused in one line that says why.

pytest tests/generation/test_bad_input_generation.py
"""

import math

import pytest
import torch
from refusals import assert_refused
from tiny import closing_tokenizer, tiny_model, word_tokenizer

from course_lib.corpora import encode_sources
from course_lib.generation import (
    beam_search,
    cloze,
    cloze_accuracy,
    filter_logits,
    generate,
    generate_targets,
    greedy_search,
    is_one_token,
    next_token_distribution,
    prompt_ids,
)

FAMILIES = ("bert", "gpt2", "t5", "bart")
MODEL = {family: tiny_model(family) for family in FAMILIES}
TOKENIZER = {family: closing_tokenizer(family) for family in FAMILIES}
GAP = "the [MASK] sat"
HALF = "half \ud83d a character"
LOGITS = torch.zeros(3)
ASKED = encode_sources(TOKENIZER["bart"], ["the cat"])


def written(prompt="the cat", family="gpt2", **options):
    return generate(MODEL[family], TOKENIZER[family], prompt, **options)


def likeliest(prompt="the cat", **options):
    return next_token_distribution(MODEL["gpt2"], TOKENIZER["gpt2"], prompt, **options)


def filled(texts, family="bert", **options):
    return cloze(MODEL[family], TOKENIZER[family], texts, **options)


def score(texts, answers, **options):
    return cloze_accuracy(MODEL["bert"], TOKENIZER["bert"], texts, answers, **options)


def targets(sources, family="bart", **options):
    return generate_targets(MODEL[family], TOKENIZER[family], sources, **options)


def without_marks():
    tokenizer = word_tokenizer("gpt2")
    tokenizer.bos_token = None
    return tokenizer


CALLS = {
    "a temperature below 0": (lambda: filter_logits(LOGITS, temperature=-1), "temperature=-1"),
    "a temperature of nan": (lambda: filter_logits(LOGITS, temperature=math.nan), "=nan"),
    "a temperature as text": (lambda: filter_logits(LOGITS, temperature="hot"), "a number"),
    "top-k of 0": (lambda: filter_logits(LOGITS, top_k=0), "top_k=0", "at least 1"),
    "top-k of 2.5": (lambda: filter_logits(LOGITS, top_k=2.5), "top_k=2.5", "whole number"),
    "top-p of 0": (lambda: filter_logits(LOGITS, top_p=0.0), "top_p=0.0", "above 0"),
    "top-p in percent": (lambda: filter_logits(LOGITS, top_p=90), "top_p=90", "at most 1"),
    "logits as a list": (lambda: filter_logits([0.0, 1.0]), "logits=[0.0, 1.0]", "Tensor"),
    "ids for logits": (lambda: filter_logits(torch.tensor([3, 4])), "give floats"),
    "a prompt that is none": (lambda: written(None), "prompt=None", "give a text"),
    "a list for a prompt": (lambda: written(["the cat"]), "prompt=['the cat']", "give a text"),
    "half a character": (lambda: written(HALF), "prompt=", "half a character"),
    "no token to write": (lambda: written(max_new_tokens=0), "max_new_tokens=0", "at least 1"),
    "tokens below 0": (lambda: written(max_new_tokens=-5), "max_new_tokens=-5", "at least 1"),
    "a seed that is none": (lambda: written(seed="x"), "seed='x'", "whole number"),
    "a cold sampler": (lambda: written(temperature=-0.5), "temperature=-0.5", "at least 0"),
    "an encoder that writes": (lambda: written(family="bert"), "generate needs a causal model"),
    "a model by name": (
        lambda: generate("gpt2", TOKENIZER["gpt2"], "the"),
        "model='gpt2'",
        "Module",
    ),
    "a tokenizer by name": (lambda: generate(MODEL["gpt2"], "gpt2", "the"), "tokenizer='gpt2'"),
    "a larger model's tokenizer": (
        lambda: generate(MODEL["gpt2"], TOKENIZER["t5"], "the"),
        "use the tokenizer that the model was trained with",
    ),
    "an empty prompt that nothing opens": (
        lambda: prompt_ids(without_marks(), ""),
        "prompt is empty",
        "write one",
    ),
    "a prompt of bytes": (lambda: prompt_ids(TOKENIZER["gpt2"], b"the"), "prompt=b'the'", "text"),
    "no candidates": (lambda: likeliest(k=0), "k=0", "at least 1"),
    "candidates of 2.5": (lambda: likeliest(k=2.5), "k=2.5", "whole number"),
    "next of a prompt that is none": (lambda: likeliest(3), "prompt=3", "give a text"),
    "one text for gaps": (lambda: filled(GAP), "texts=", "write [text]"),
    "no texts with gaps": (lambda: filled([]), "texts=[]", "at least one text"),
    "a gap that is None": (lambda: filled([GAP, None]), "entry 1 is None"),
    "a text without a gap": (lambda: filled([GAP, "the cat"]), "has no gap", "write [MASK]"),
    "a gap of another tokenizer": (lambda: filled(["the <mask> sat"]), "write [MASK]"),
    "gaps for no rank": (lambda: filled([GAP], k=0), "k=0", "at least 1"),
    "a text beyond the positions": (
        lambda: filled(["the " * 30 + "[MASK]"]),
        "the model reads 24",
        "shorten it",
    ),
    "gaps for a decoder": (lambda: filled([GAP], "gpt2"), "cloze needs a masked model"),
    "fewer answers than gaps": (lambda: score([GAP, GAP], ["cat"]), "2 texts and 1 answers"),
    "an answer of no token": (lambda: score([GAP], ["zyzzyva"]), "'zyzzyva' is not one token"),
    "two gaps for an answer": (
        lambda: score(["the [MASK] [MASK]"], ["cat"]),
        "must have exactly one [MASK]",
    ),
    "an answer that is None": (lambda: score([GAP], [None]), "entry 0 is None"),
    "a tokenizer without a mask": (
        lambda: is_one_token(TOKENIZER["gpt2"], GAP, "cat"),
        "no mask token",
    ),
    "an answer by number": (lambda: is_one_token(TOKENIZER["bert"], GAP, 3), "answer=3"),
    "one source for a list": (lambda: targets("the cat"), "sources=", "write [text]"),
    "no sources": (lambda: targets([]), "sources=[]", "at least one text"),
    "a source that is None": (lambda: targets(["the", None]), "entry 1 is None"),
    "a source beyond the positions": (lambda: targets(["the " * 30]), "the model reads 24"),
    "no beams": (lambda: targets(["the"], beams=0), "beams=0", "at least 1"),
    "nothing to write": (lambda: targets(["the"], max_new_tokens=0), "max_new_tokens=0"),
    "batches of no rows": (lambda: targets(["the"], batch_size=-1), "batch_size=-1", "at least 1"),
    "a penalty that is nan": (
        lambda: targets(["the"], beams=2, length_penalty=math.nan),
        "length_penalty=nan",
        "finite",
    ),
    "a decoder that translates": (lambda: targets(["the"], "gpt2"), "needs a seq2seq model"),
    "a text for a batch": (lambda: greedy_search(MODEL["bart"], "the"), "batch='the'", "input_ids"),
    "a batch without its mask": (
        lambda: greedy_search(MODEL["bart"], {"input_ids": ASKED["input_ids"]}),
        "batch=",
        "attention_mask",
    ),
    "lists in a batch": (
        lambda: greedy_search(MODEL["bart"], {"input_ids": [[3]], "attention_mask": [[1]]}),
        "two tensors",
    ),
    "a decoder that searches": (lambda: greedy_search(MODEL["gpt2"], ASKED), "greedy_search needs"),
    "beams by name": (lambda: beam_search(MODEL["bart"], ASKED, "two"), "beams='two'", "whole"),
    "a search for no token": (lambda: beam_search(MODEL["bart"], ASKED, 2, 0), "max_new_tokens=0"),
}


@pytest.mark.parametrize(("call", "words"), [(c[0], c[1:]) for c in CALLS.values()], ids=CALLS)
def test_is_refused_in_a_line(call, words):
    assert_refused(call, *words)
