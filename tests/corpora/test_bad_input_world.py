"""Guards the boundary of the world and of the tokenizers: what cannot be used is refused in a line.

Each row is one way that a person gets an argument wrong. What is merely empty or foreign is no
mistake and has a clear answer: no rows, or a probability of zero.

    pytest tests/corpora/test_bad_input_world.py
"""

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from refusals import assert_refused

from course_lib.corpora import load, tokenizer_for, train_tokenizer, world_of
from course_lib.corpora.tokenizers import read_tokenizer
from course_lib.corpora.world import (
    World,
    bayes_accuracy,
    cloze,
    completions,
    entities,
    questions,
    reading,
    sentiment,
    summaries,
    to_inglosh,
    translation,
)

TEXTS = ["The cat sat on the mat."] * 50
TASKS = (sentiment, entities, cloze, completions, questions, translation, summaries, reading)


@cache
def world(register: str = "general") -> World:
    return World(0, register, entities=40)


REFUSED = {
    "register unknown": (lambda: World(0, "sports"), ("register='sports'", "general", "finance")),
    "register in capitals": (lambda: World(0, "Finance"), ("register='Finance'", "finance")),
    "register None": (lambda: World(0, None), ("register=None", "general")),
    "seed a text": (lambda: World("1"), ("seed='1'",)),
    "seed a fraction": (lambda: World(0.5), ("seed=0.5",)),
    "seed True": (lambda: World(True), ("seed=True",)),
    "too few entities": (lambda: World(entities=3), ("entities=3", "40")),
    "too many entities": (lambda: World(entities=10_000), ("entities=10000", "9000")),
    "entities a text": (lambda: World(entities="60"), ("entities='60'",)),
    "tail too long": (lambda: World(tone_words=281), ("tone_words=281", "280")),
    "tail negative": (lambda: World(tone_words=-1), ("tone_words=-1", "0")),
    "tail a share": (lambda: World(tone_words=0.5), ("tone_words=0.5",)),
    "tiny, register unknown": (lambda: World.tiny(0, "news"), ("register='news'", "general")),
    "documents negative": (lambda: world().documents(-1), ("n=-1", "0")),
    "documents a fraction": (lambda: world().documents(1e3), ("n=1000.0",)),
    "documents None": (lambda: world().documents(None), ("n=None",)),
    "documents, seed a text": (lambda: world().documents(3, seed="a"), ("seed='a'",)),
    "drafts negative": (lambda: world().drafts(-5), ("n=-5", "0")),
    "log_prob of a list": (lambda: world().log_prob(["It says moo."]), ("document=", "a text")),
    "log_prob of None": (lambda: world().log_prob(None), ("document=None", "a text")),
    "log_prob of bytes": (lambda: world().log_prob(b"moo"), ("document=b'moo'", "a text")),
    "log_prob of half a character": (lambda: world().log_prob("\ud83d"), ("surrogate",)),
    "bayes_accuracy of a name": (lambda: bayes_accuracy("world"), ("world='world'", "World")),
    "more shots than animals": (lambda: completions(world(), 3, shots=40), ("shots=40", "29")),
    "shots negative": (lambda: completions(world(), 3, shots=-1), ("shots=-1", "0")),
    "lists of finance": (lambda: completions(world("finance"), 3), ("has no lists", "general")),
    "Inglosh of finance": (lambda: translation(world("finance"), 3), ("finance", "'general'")),
    "Inglosh of a list": (lambda: to_inglosh(["The cat."]), ("text=['The cat.']", "a text")),
    "Inglosh of None": (lambda: to_inglosh(None), ("text=None", "a text")),
    "world of real text": (lambda: world_of("factbook"), ("'factbook'", "world-finance")),
    "world of two languages": (lambda: world_of("world-bilingual"), ("'world-bilingual'",)),
    "family unknown": (lambda: train_tokenizer("gpt5", TEXTS, 480), ("'gpt5'", "bert", "t5")),
    "family None": (lambda: train_tokenizer(None, TEXTS, 480), ("family=None", "a text")),
    "vocabulary 0": (lambda: train_tokenizer("gpt2", TEXTS, 0), ("vocab_size=0", "1")),
    "vocabulary negative": (lambda: train_tokenizer("gpt2", TEXTS, -8), ("vocab_size=-8", "1")),
    "vocabulary a text": (lambda: train_tokenizer("gpt2", TEXTS, "1024"), ("vocab_size='1024'",)),
    "vocabulary a fraction": (lambda: train_tokenizer("t5", TEXTS, 1e3), ("vocab_size=1000.0",)),
    "one text, no list": (lambda: train_tokenizer("gpt2", "The cat", 480), ("texts=", "[text]")),
    "texts None": (lambda: train_tokenizer("gpt2", None, 480), ("texts=None", "a list")),
    "a text None": (lambda: train_tokenizer("gpt2", [*TEXTS, None], 480), ("entry 50", "None")),
    "a text of bytes": (lambda: train_tokenizer("gpt2", [b"cat"], 480), ("entry 0", "b'cat'")),
    "half a character": (lambda: train_tokenizer("gpt2", ["\udfff"], 480), ("surrogate",)),
    "no texts": (lambda: train_tokenizer("gpt2", [], 480), ("No text", "load a corpus")),
    "empty texts": (lambda: train_tokenizer("gpt2", ["", "  "], 480), ("No text",)),
    "of a family unknown": (lambda: tokenizer_for("gpt5", "world", 480), ("'gpt5'", "bert")),
    "of a corpus unknown": (lambda: tokenizer_for("bert", "wrold", 480), ("'wrold'", "world")),
    "of a vocabulary 0": (lambda: tokenizer_for("bert", "world", 0), ("vocab_size=0", "1")),
    "of a vocabulary as text": (lambda: tokenizer_for("t5", "world", "480"), ("vocab_size='480'",)),
    "read from nowhere": (lambda: read_tokenizer(Path("no/where")), ("no/where", "folder")),
    "read from a text": (lambda: read_tokenizer("no/where"), ("folder='no/where'", "Path")),
    "of a corpus itself": (
        lambda: tokenizer_for("bert", load("world", documents=3), 480),
        ("corpus=", "a text"),
    ),
}
for task in TASKS:
    REFUSED |= {
        f"{task.__name__} of no world": (lambda task=task: task("world", 3), ("world='world'",)),
        f"{task.__name__}, n negative": (lambda task=task: task(world(), -3), ("n=-3", "0")),
        f"{task.__name__}, n a text": (lambda task=task: task(world(), "3"), ("n='3'",)),
        f"{task.__name__}, seed None": (lambda task=task: task(world(), 3, None), ("seed=None",)),
    }


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))


@pytest.mark.parametrize(("call", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_in_one_line(call: Callable, words: tuple[str, ...]) -> None:
    assert_refused(call, *words)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_a_vocabulary_that_the_text_cannot_have_is_named(family: str) -> None:
    texts = load("world", documents=300)["text"]
    assert_refused(lambda: train_tokenizer(family, texts, 100), "100 is too small", "ask for more")
    assert_refused(lambda: train_tokenizer(family, texts, 30_000), "not 30000", "at most")


@pytest.mark.parametrize(
    "text",
    ["", " ", "Hello.", "The cat sat on the mat", "the cat sat on the mat.", "{praise}", "🦡" * 9],
)
def test_a_text_of_no_world_has_probability_zero(text: str) -> None:
    for register in ("general", "finance"):
        for tone_words in (0, 280):
            here = World(0, register, entities=40, tone_words=tone_words)
            assert here.log_prob(text) == -math.inf


@pytest.mark.parametrize("task", TASKS)
def test_of_nothing_there_is_nothing(task: Callable) -> None:
    assert len(task(world(), 0)) == 0
    assert task(world(), 0).column_names == task(world(), 1).column_names
    assert world().documents(0) == []


def test_numbers_of_numpy_are_numbers() -> None:
    same = World(np.int64(3), entities=np.int32(60))
    assert same.documents(np.int64(5)) == World(3, entities=60).documents(5)
