"""Guards what comes into `classroom`: arguments as a reader gets them wrong, refused in one line.

pytest tests/classroom/test_bad_input_classroom.py
"""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
from refusals import assert_refused
from tiny import tiny_model, word_tokenizer

from course_lib.classroom import (
    attention_patterns,
    attention_picture,
    bars,
    baseline,
    claim,
    corruption_card,
    exercise,
    explore,
    loss_curve,
    next_token_bars,
    points,
    position_curve,
    quiz,
    show,
    token_strip,
)

RUN = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def square(side=2):
    return side**2


def ask(family="gpt2", prompt="the cat sat", **options):
    model = tiny_model(family) if family else None
    return next_token_bars(model, word_tokenizer(family or "gpt2"), prompt, **options)


def look(family, *texts, **options):
    return attention_patterns(tiny_model(family), word_tokenizer(family), *texts, **options)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda ax: bars(ax, {}, "share"), "values={}"),
        (lambda ax: bars(ax, {"one": "0.5"}, "share"), "give a number, or an interval"),
        (lambda ax: bars(ax, {"one": None}, "share"), "give a number, or an interval"),
        (lambda ax: bars(ax, [0.5], "share"), "values=[0.5]"),
        (lambda ax: bars(ax, {"one": 0.5}, 3), "ylabel=3"),
        (lambda ax: bars(ax, {"one": 0.5}, "share", {"one": "maskd"}), "color='maskd'"),
        (lambda ax: bars(ax.figure, {"one": 0.5}, "share"), "ax="),
        (lambda ax: points(ax, {}, "run", "live"), "values={}"),
        (lambda ax: points(ax, {1: 0.5}, "run", "lief"), "color='lief'"),
        (lambda ax: baseline(ax, math.nan, "chance"), "value=nan"),
        (lambda ax: baseline(ax, None, "chance"), "value=None"),
        (lambda ax: baseline(ax, 0.5, "chance", "gray-ish"), "a colour, or one of masked"),
        (lambda ax: loss_curve(ax, [], "BERT", "masked"), "there is no run"),
        (lambda ax: loss_curve(ax, RUN, "BERT", "masked"), "histories"),
        (lambda ax: loss_curve(ax, [RUN], "BERT", "nobody's"), "color="),
        (lambda ax: loss_curve(ax, [RUN[:1], RUN[1:]], "BERT", "masked"), "share no step"),
        (lambda ax: position_curve(ax, [], "GPT", "causal"), "curves=[]"),
        (lambda ax: position_curve(ax, [[1.0, 2.0]], "GPT", "causal", average=0), "average=0"),
        (lambda ax: show(ax.figure, ""), "alternative text"),
        (lambda ax: show(ax.figure, "  "), "alternative text"),
        (lambda ax: show(ax.figure, None), "alt=None"),
        (lambda ax: show(ax, "a curve"), "figure="),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused(ax, call, words):
    assert_refused(lambda: call(ax), words)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: token_strip("the cat"), "a list of texts"),
        (lambda: token_strip(["the", None]), "entry 1 is None"),
        (lambda: token_strip(["a", "b"], labels=["c"]), "2 tokens but 1"),
        (lambda: token_strip(["a"], labels=["c"], values=[1.0]), "not both"),
        (lambda: token_strip(["a"], values=["much"]), "values"),
        (lambda: token_strip(["a"], color="maskd"), "color='maskd'"),
        (lambda: ask(prompt=None), "prompt=None"),
        (lambda: ask(k=0), "k=0: it must be at least 1"),
        (lambda: ask(temperature=-1), "temperature=-1"),
        (lambda: ask(temperature=math.inf), "temperature=inf"),
        (lambda: ask(top_k=0), "top_k=0"),
        (lambda: ask(top_p=0), "top_p=0"),
        (lambda: ask(top_p=1.5), "top_p=1.5"),
        (lambda: ask("bert"), "no [MASK]"),
        (lambda: ask(None), "model=None"),
        (lambda: look("t5", "the cat"), "give a target for a seq2seq model"),
        (lambda: look("bert", "the cat", target="dog"), "give no target for a masked model"),
        (lambda: look("bert", "the cat", prefix=2), "it is for a causal model"),
        (lambda: look("gpt2", "the cat", prefix=-1), "prefix=-1"),
        (lambda: look("gpt2", ["the cat"]), "text=['the cat']"),
        (lambda: attention_picture([]), "patterns=[]"),
        (lambda: attention_picture("bert"), "patterns='bert'"),
        (lambda: corruption_card(""), "write a sentence"),
        (lambda: corruption_card(None), "text=None"),
        (lambda: corruption_card(objective="mask"), "one of 'masked', 'causal'"),
        (lambda: corruption_card(rate=0), "rate=0"),
        (lambda: corruption_card(rate=15), "rate=15"),
        (lambda: corruption_card(mean_span=0), "mean_span=0"),
        (lambda: corruption_card(seed=0.5), "seed=0.5"),
        (lambda: corruption_card(corpus="wrld"), "wrld"),
        (lambda: explore(square, height=(1, 2, 1)), "square has no 'height': it takes side"),
        (lambda: explore(3, side=(1, 2, 1)), "function=3"),
        (lambda: quiz("99"), "No quiz for notebook '99'"),
        (lambda: quiz(1), "notebook=1"),
        (lambda: exercise("mask-token"), "did you mean 'mask-tokens'?"),
        (lambda: exercise(None), "name=None"),
        (lambda: claim("right-context-help", 1.0), "did you mean 'right-context-helps'?"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_refused(call, words):
    assert_refused(call, words)


def test_numbers_of_numpy_are_numbers(ax):
    bars(ax, {"one": np.float64(0.5), "two": np.int64(1)}, "share")
    baseline(ax, np.float32(0.5), "chance")
    token_strip(["a", "b"], values=list(np.array([0.5, 0.25])))
