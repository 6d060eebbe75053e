"""Guards the boundary of examples, pairs and templates: a line that says what would be right.

pytest tests/corpora/test_bad_input_examples.py
"""

import json

import pytest
from refusals import assert_refused
from tiny import closing_tokenizer, word_tokenizer
from tokenizers.processors import TemplateProcessing

from course_lib.corpora import (
    encode_pairs,
    encode_sources,
    load_examples,
    load_labelled,
    load_pairs,
    published_rows,
)
from course_lib.corpora.padding import pad_rows
from course_lib.corpora.templates import encode_completions, encode_inside, encode_prompts

BART, GPT2, T5 = map(closing_tokenizer, ("bart", "gpt2", "t5"))
HALF = "half \ud83d a character"


def without(mark, tokenizer="gpt2"):
    made = word_tokenizer(tokenizer)
    setattr(made, mark, None)
    return made


def opening():
    made = word_tokenizer("gpt2")
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    return made


def chat(template):
    made = word_tokenizer("gpt2")
    made.chat_template = template
    return made


def examples(name="world/sentiment", tokenizer=GPT2, **options):
    return load_examples(name, "train", tokenizer, **({"documents": 4} | options))


CALLS = {
    "one source for a list": (lambda: encode_sources(BART, "the cat"), "sources=", "write [text]"),
    "no sources": (lambda: encode_sources(BART, []), "sources=[]", "at least one text"),
    "a source that is None": (lambda: encode_sources(BART, ["the", None]), "entry 1 is None"),
    "half a character": (lambda: encode_sources(BART, [HALF]), "half a character"),
    "a source that is too long": (
        lambda: encode_sources(BART, ["the", "the cat sat on mat"], max_length=4),
        "'the cat sat on mat'... has 7 tokens and the model reads 4",
    ),
    "no length": (lambda: encode_sources(BART, ["a"], max_length=0), "max_length=0", "at least 1"),
    "a tokenizer by name": (lambda: encode_sources("bart", ["a"]), "tokenizer='bart'"),
    "gaps by name": (lambda: encode_sources(BART, ["a"], gaps="yes"), "gaps='yes'", "true or"),
    "gaps for a decoder's tokenizer": (
        lambda: encode_sources(word_tokenizer("t5"), ["the </s> cat"], gaps=True),
        "spells </s>",
    ),
    "no padding token": (
        lambda: encode_sources(without("pad_token"), ["a"]),
        "no padding token",
        "set tokenizer.pad_token",
    ),
    "rows nothing pads": (lambda: pad_rows([[1]], without("pad_token")), "no padding token"),
    "fewer targets than sources": (
        lambda: encode_pairs(BART, ["a", "a"], ["a"]),
        "2 sources and 1 targets",
    ),
    "one target for a list": (lambda: encode_pairs(BART, ["a"], "a"), "targets='a'", "[text]"),
    "a target that is a number": (lambda: encode_pairs(BART, ["a"], [3]), "entry 0 is 3"),
    "a tokenizer that closes nothing": (
        lambda: encode_pairs(word_tokenizer("t5"), ["the cat"], ["a dog"]),
        "no end token behind a text",
    ),
    "a tokenizer that only opens": (lambda: encode_pairs(opening(), ["a"], ["a"]), "no end token"),
    "a template that is none": (
        lambda: encode_prompts(["a"], GPT2, "vicuna"),
        "template='vicuna'",
        "'plain', 'alpaca' or 'chat'",
    ),
    "one prompt for a list": (lambda: encode_prompts("a", GPT2), "prompts='a'", "write [text]"),
    "a prompt that is None": (lambda: encode_prompts([None], GPT2), "entry 0 is None"),
    "a chat without a template": (
        lambda: encode_prompts(["a"], GPT2, "chat"),
        "no chat template",
        '"plain", "alpaca"',
    ),
    "a chat that shows nothing": (
        lambda: encode_prompts(["a"], chat("hello"), "chat"),
        "shows a message 0 times",
    ),
    "a chat that repeats": (
        lambda: encode_prompts(
            ["a"], chat("{{ messages[0].content }} {{ messages[0].content }}"), "chat"
        ),
        "shows a message 2 times",
    ),
    "one completion for a list": (lambda: encode_completions("a", GPT2), "completions='a'"),
    "completions without an end": (
        lambda: encode_completions(["a"], without("eos_token")),
        "no end token",
        "set tokenizer.eos_token",
    ),
    "one text inside": (lambda: encode_inside("a", GPT2), "texts='a'", "write [text]"),
    "examples that are none": (
        lambda: examples("imdb"),
        "Unknown examples 'imdb'",
        "world/sentiment",
    ),
    "a world without a task": (lambda: examples("world/poems"), "'world/poems'", "world/reading"),
    "reviews of nothing": (lambda: load_pairs("reviews/books"), "'books'", "film, product"),
    "examples by number": (lambda: examples(3), "name=3", "give a text"),
    "a split that is none": (
        lambda: load_pairs("world/sentiment", "dev"),
        "split='dev'",
        "'train', 'validation' or 'test'",
    ),
    "no documents": (lambda: examples(documents=0), "documents=0", "at least 1"),
    "documents as text": (lambda: load_labelled("world/sentiment", documents="4"), "documents='4'"),
    "a seed that is none": (lambda: load_pairs("world/sentiment", seed=1.5), "seed=1.5", "whole"),
    "rows of no length": (lambda: examples(length=0), "length=0", "at least 1"),
    "an example that is too long": (
        lambda: examples(length=8),
        "data.length = 8",
        "raise it",
    ),
    "a use that is none": (lambda: examples(task="ranking"), "task='ranking'", "'tagging'"),
    "a kind that is none": (lambda: examples(kind="encoder"), "kind='encoder'", "'seq2seq'"),
    "a template for examples": (lambda: examples(template="llama"), "template='llama'"),
    "tags as completions": (lambda: load_pairs("world/entities"), "tags and no completions"),
    "tags where there are labels": (
        lambda: examples(task="tagging"),
        "world/sentiment has no tags",
        "text, label",
    ),
    "labels where there are pairs": (
        lambda: examples("world/translation", task="classification"),
        "world/translation has no label",
    ),
    "published rows not pinned": (lambda: published_rows("imdb", 5), "'imdb' is not pinned"),
    "no published rows": (lambda: published_rows("sst2", 0), "count=0", "at least 1"),
    "published rows to validate": (
        lambda: published_rows("sst2", 5, split="validation"),
        "split='validation'",
    ),
}


@pytest.mark.parametrize(("call", "words"), [(c[0], c[1:]) for c in CALLS.values()], ids=CALLS)
def test_is_refused_in_a_line(call, words):
    assert_refused(call, *words)


GOOD = [{"prompt": f"question {n}", "completion": "yes"} for n in range(40)]
LINES = {
    "no JSON": ("prompt: a", "line 41", "one JSON object with prompt and completion"),
    "a list": ('["a", "b"]', "line 41", "one JSON object"),
    "a missing completion": ('{"prompt": "a"}', "line 41", "prompt and completion"),
    "an empty completion": ('{"prompt": "a", "completion": " "}', "completion is ' '", "not empty"),
    "a completion that is null": ('{"prompt": "a", "completion": null}', "completion is None"),
    "a completion that is a number": ('{"prompt": "a", "completion": 3}', "completion is 3"),
    "half a character": (json.dumps({"prompt": HALF, "completion": "a"}), "line 41", "prompt is"),
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_a_file_that_is_wrong_is_named_by_its_number(tmp_path, line):
    path, (text, *words) = tmp_path / "pairs.jsonl", LINES[line]
    path.write_text("\n".join([*map(json.dumps, GOOD), text, ""]), encoding="utf-8")
    assert_refused(lambda: load_pairs(f"file:{path}"), *words)


LABELS = {
    "a label by name": ("good", "label is 'good'"),
    "a label below 0": (-1, "label is -1"),
    "a label that is a share": (0.5, "label is 0.5"),
    "a label that is true": (True, "label is True"),
    "a label that is null": (None, "label is None"),
}


@pytest.mark.parametrize("label", LABELS)
def test_a_label_of_a_file_that_is_wrong_is_named(tmp_path, label):
    path, (value, words) = tmp_path / "texts.jsonl", LABELS[label]
    path.write_text(json.dumps({"text": "a", "label": value}), encoding="utf-8")
    assert_refused(lambda: load_labelled(f"file:{path}"), words, "whole number from 0", "line 1")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes('{"prompt": "caf\u00e9", "completion": "oui"}'.encode("latin-1"))
    assert_refused(lambda: load_pairs(f"file:{latin}"), "not in UTF-8", "save it again")
    assert_refused(lambda: load_pairs(f"file:{tmp_path / 'none.jsonl'}"), "Cannot read")
    assert_refused(lambda: load_pairs(f"file:{tmp_path}"), "Cannot read")
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n\n", encoding="utf-8")
    assert_refused(lambda: load_pairs(f"file:{empty}"), "no examples in train")
