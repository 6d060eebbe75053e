"""Guards the boundary of fine-tuning: what cannot be used is refused in one line that says why.

pytest tests/finetuning/test_bad_input_finetuning.py
"""

import pytest
from datasets import Dataset
from refusals import assert_refused
from tiny import closing_tokenizer, tiny_model

from course_lib.finetuning import EntityTask, SentimentTask, fine_tune, fine_tune_seq2seq
from course_lib.training import Optimization

SETTINGS = Optimization(steps=2, batch=2, warmup=0)
TEXTS = ["the cat sat", "a dog ran"]


def labelled(labels, texts=TEXTS, name="label"):
    return Dataset.from_dict({"text": list(texts), name: labels})


def tagged(tags, tokens=(("the", "cat"), ("a", "dog"))):
    return Dataset.from_dict({"tokens": [list(words) for words in tokens], "tags": tags})


GOOD, SENTIMENT = labelled([0, 1]), SentimentTask()
PAIRS = Dataset.from_dict({"source": TEXTS, "target": TEXTS})


def tuned(train, test=GOOD, task=SENTIMENT, body="bert", **change):
    given = {"tokenizer": closing_tokenizer(body), "settings": SETTINGS} | change
    return fine_tune(tiny_model(body), task=task, train=train, test=test, **given)


def tuned_pairs(pairs, family="bart", **change):
    given = {"tokenizer": closing_tokenizer(family), "settings": SETTINGS} | change
    return fine_tune_seq2seq(tiny_model(family), pairs=pairs, **given)


CALLS = {
    "no labels": (lambda: SentimentTask(0), "labels=0", "at least 1"),
    "labels below 0": (lambda: EntityTask(-3), "labels=-3", "at least 1"),
    "labels as text": (lambda: EntityTask("six"), "labels='six'", "whole number"),
    "another piece": (lambda: EntityTask(6, "middle"), "piece='middle'", "'first' or 'last'"),
    "no training examples": (lambda: tuned(GOOD.select([])), "at least one training"),
    "no test examples": (lambda: tuned(GOOD, GOOD.select([])), "one test example"),
    "labels of -1": (lambda: tuned(labelled([-1, -1])), "Label -1", "from 0 up"),
    "test labels of -1": (lambda: tuned(GOOD, labelled([-1, 1])), "Label -1", "from 0 up"),
    "a label too many": (lambda: tuned(labelled([0, 2])), "Labels [0, 2]", "from 0 to 1"),
    "labels from 1": (lambda: tuned(labelled([1, 2])), "from 0 to 1"),
    "a label that is None": (lambda: tuned(labelled([0, None])), "Label None"),
    "labels by name": (lambda: tuned(labelled(["good", "bad"])), "Label 'good'", "whole numbers"),
    "true and false": (lambda: tuned(labelled([True, False])), "Label True", "whole numbers"),
    "labels that are shares": (lambda: tuned(labelled([0.0, 1.0])), "Label 0.0", "whole numbers"),
    "another column": (lambda: tuned(labelled([0, 1], name="y")), "no column 'label'", "text, y"),
    "a text that is None": (lambda: tuned(labelled([0, 1], ["the", None])), "entry 1 is None"),
    "a text beyond the positions": (
        lambda: tuned(labelled([0, 1], ["the", "cat " * 40])),
        "Example 1",
        "the model reads 24",
    ),
    "a text of nothing": (
        lambda: tuned(labelled([0, 1], ["the", ""]), body="gpt2", tokenizer=plain()),
        "Example 1 has no token",
    ),
    "a list of rows": (lambda: tuned([{"text": "a", "label": 0}]), "train=[{", "Dataset"),
    "rows without tags": (lambda: tuned(GOOD, task=EntityTask(3)), "no column 'tokens'"),
    "a tag too many": (
        lambda: tuned(tagged([[0, 1, 2], [0, 1]]), task=EntityTask(3)),
        "Row 0 has 2 words and 3 tags",
    ),
    "tags that all ask for nothing": (
        lambda: tuned(tagged([[-100, -100]] * 2), tagged([[-100, -100]] * 2), task=EntityTask(3)),
        "Labels []",
    ),
    "tags of -1": (lambda: tuned(tagged([[0, -1], [0, 1]]), task=EntityTask(3)), "Label -1"),
    "a word that is None": (
        lambda: tuned(tagged([[0, 1], [0, 1]], [["the", None], ["a", "b"]]), task=EntityTask(3)),
        "Row 0 has a word that is None",
    ),
    "a task by name": (lambda: tuned(GOOD, task="sentiment"), "task='sentiment'"),
    "a body by name": (
        lambda: fine_tune("bert", closing_tokenizer("bert"), SentimentTask(), GOOD, GOOD, SETTINGS),
        "body='bert'",
        "PreTrainedModel",
    ),
    "settings as a dict": (lambda: tuned(GOOD, settings={"steps": 2}), "settings={'steps': 2}"),
    "a larger model's tokenizer": (
        lambda: tuned(GOOD, tokenizer=closing_tokenizer("t5")),
        "use the tokenizer",
    ),
    "no pairs": (lambda: tuned_pairs(PAIRS.select([])), "at least one text"),
    "pairs of other columns": (
        lambda: tuned_pairs(PAIRS.rename_column("target", "answer")),
        "source, answer",
        "name them source and target",
    ),
    "pairs as a list": (lambda: tuned_pairs([("a", "b")]), "pairs=[('a', 'b')]", "Dataset"),
    "pairs for a decoder": (lambda: tuned_pairs(PAIRS, "gpt2"), "needs a seq2seq model"),
    "a target beyond the positions": (
        lambda: tuned_pairs(Dataset.from_dict({"source": ["a"], "target": ["cat " * 40]})),
        "the model reads 24",
    ),
    "a source that is None": (
        lambda: tuned_pairs(Dataset.from_dict({"source": ["a", None], "target": TEXTS})),
        "entry 1 is None",
    ),
    "a callback that is none": (lambda: tuned_pairs(PAIRS, callback="print"), "callback='print'"),
}


def plain():
    """A tokenizer that puts no marks around a text."""
    tokenizer = closing_tokenizer("gpt2")
    tokenizer.backend_tokenizer.post_processor = None
    return tokenizer


@pytest.mark.parametrize(("call", "words"), [(c[0], c[1:]) for c in CALLS.values()], ids=CALLS)
def test_is_refused_in_a_line(call, words):
    assert_refused(call, *words)
