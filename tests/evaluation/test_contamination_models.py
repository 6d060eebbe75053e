"""Guards what a model is asked: its least likely tokens, and the order that it expects.

pytest tests/evaluation/test_contamination_models.py
"""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from refusals import assert_refused
from tiny import closing_tokenizer, documents, tiny_model, word_tokenizer

from course_lib.evaluation import document_losses
from course_lib.evaluation.contamination import (
    min_k_prob,
    min_k_scores,
    order_of_choices,
    order_of_items,
    order_p_value,
)

TOKENIZER, MODEL = word_tokenizer("gpt2"), tiny_model("gpt2", length=64)
ITEMS = [
    "the cat sat in the house .",
    "the dog ran in the tree .",
    "the bird sang in the river .",
    "the man saw in the port .",
    "the woman heard in the bridge .",
    "the fish swam in the fire .",
    "the king slept in the door .",
    "the ship left in the mat .",
]


def trained_on(texts, steps=150):
    """The tiny model after it has read these texts again and again."""
    model = copy.deepcopy(MODEL).train()
    mark = TOKENIZER.bos_token
    rows = TOKENIZER([f"{mark} {text} {mark}" for text in texts], return_tensors="pt", padding=True)
    labels = rows["input_ids"].masked_fill(rows["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        model(**rows, labels=labels).loss.backward()
        optimizer.step()
    return model.eval()


# ------------------------------------------------------------------ Min-K%


@example([-float(number) for number in range(100)], 29)  # 0.29 of 100 is 28.999999999999996
@given(st.lists(st.floats(-50, 0), min_size=1, max_size=60), st.integers(1, 100))
def test_min_k_is_the_mean_of_the_lowest(log_probs, percent):
    lowest = sorted(log_probs)[: max(1, len(log_probs) * percent // 100)]
    expected = math.fsum(lowest) / len(lowest)
    assert min_k_prob(log_probs, percent / 100) == pytest.approx(expected, abs=1e-9)


def test_min_k_of_five_tokens_is_the_lowest_of_them():
    assert min_k_prob([-1.0, -9.0, -2.0, -3.0, -0.5]) == -9.0
    assert min_k_prob([-1.0, -9.0], share=1) == -5.0


def test_scores_are_those_of_the_chain_rule():
    """A prefix at a time, from the opening mark on, for texts of any lengths in one batch."""
    texts = ["cat", *documents(5, "min-k"), "the cat sat on the mat ."]
    found = min_k_scores(MODEL, TOKENIZER, texts, share=0.4, batch_size=3)
    for text, row in zip(texts, found.itertuples(), strict=True):
        ids = [TOKENIZER.bos_token_id, *TOKENIZER(text)["input_ids"]]
        log_probs = [
            MODEL(torch.tensor([ids[:t]])).logits[0, -1].detach().log_softmax(-1)[ids[t]].item()
            for t in range(1, len(ids))
        ]
        assert row.tokens == len(log_probs)
        assert row.mean == pytest.approx(np.mean(log_probs), rel=1e-4)
        assert row.min_k == pytest.approx(min_k_prob(log_probs, 0.4), rel=1e-4)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_batches_change_nothing(batch_size):
    texts = documents(9, "batches")
    together = min_k_scores(MODEL, TOKENIZER, texts)
    apart = min_k_scores(MODEL, TOKENIZER, texts, batch_size=batch_size)
    np.testing.assert_allclose(together, apart, rtol=1e-4)


def test_marks_of_the_tokenizer_change_nothing():
    found = min_k_scores(MODEL, closing_tokenizer("gpt2"), ITEMS)
    np.testing.assert_allclose(found, min_k_scores(MODEL, TOKENIZER, ITEMS), rtol=1e-4)


def test_texts_that_were_read_score_higher():
    seen, unseen = ITEMS[:4], ITEMS[4:]
    model = trained_on(seen)
    read = min_k_scores(model, TOKENIZER, seen)["min_k"]
    new = min_k_scores(model, TOKENIZER, unseen)["min_k"]
    assert read.min() > new.max()


# ------------------------------------------------------------------ order


@given(st.lists(st.lists(st.integers(-9, 0), min_size=4, max_size=4), min_size=1, max_size=5))
def test_p_is_the_share_of_benchmarks_at_least_as_likely(rows):
    sums = [sum(row[column] for row in rows) for column in range(4)]
    assert order_p_value(rows) == sum(each >= sums[0] for each in sums) / 4


def test_p_is_exact_where_the_canonical_order_is_one_at_random():
    draw = np.random.default_rng(0)
    values = [order_p_value(draw.normal(size=(3, 20))) for _ in range(4000)]
    for level in (0.05, 0.25, 0.5, 1.0):
        error = math.sqrt(level * (1 - level) / len(values))
        assert np.mean(np.array(values) <= level + 1e-9) == pytest.approx(level, abs=5 * error)


def test_scores_are_those_of_the_lists_as_they_are_written():
    test = order_of_items(MODEL, TOKENIZER, ITEMS[:5], together=2, shuffles=12)
    assert test.log_probs.shape == (2, 13)  # the fifth is alone and has no order
    for row, (first, second) in zip(test.log_probs, [ITEMS[:2], ITEMS[2:4]], strict=True):
        both = [f"{first}\n{second}", f"{second}\n{first}"]
        canonical, other = -document_losses(MODEL, TOKENIZER, both)["nats"]
        assert row[0] == pytest.approx(canonical, rel=1e-6)
        found = np.isclose(row[:, None], [canonical, other], rtol=1e-6)
        assert found.any(axis=1).all()
        assert found.any(axis=0).all()  # both orders were drawn
    np.testing.assert_allclose(
        test.gains, test.log_probs[:, 0] - test.log_probs[:, 1:].mean(axis=1)
    )


def test_choices_keep_their_letters(monkeypatch):
    seen = []

    def losses(model, tokenizer, texts):
        seen.extend(texts)
        return {"nats": [1.0] * len(texts)}

    monkeypatch.setattr("course_lib.evaluation.contamination.order.document_losses", losses)
    test = order_of_choices(MODEL, TOKENIZER, ["who ?"], [["cat", "dog"]], shuffles=40)
    assert seen == ["who ?\nA. cat\nB. dog", "who ?\nA. dog\nB. cat"]  # each once
    assert test.p_value == 1.0  # all are as likely


def test_a_model_that_has_read_a_list_expects_its_order():
    listed = "\n".join(ITEMS[:3])
    before = order_of_items(MODEL, TOKENIZER, ITEMS[:3], shuffles=99)
    after = order_of_items(trained_on([listed]), TOKENIZER, ITEMS[:3], shuffles=99)
    assert after.gains[0] > 10 * abs(before.gains[0])
    # It is the likeliest; the shuffles that come out in this very order are as likely.
    assert (after.log_probs[0] <= after.log_probs[0, 0]).all()
    assert after.p_value < 0.3  # one of six orders


def test_choices_that_were_read_in_their_order_are_found():
    questions = ["who sat ?", "who ran ?", "who sang ?"]
    choices = [
        ["cat", "dog", "bird", "man"],
        ["king", "fish", "cat", "ship"],
        ["man", "ship", "dog", "king"],
    ]
    # The tiny tokenizer knows no letters: all of them are one word.
    written = [
        "\n".join([q, *(f"{a}. {c}" for a, c in zip("ABCD", each, strict=True))])
        for q, each in zip(questions, choices, strict=True)
    ]
    test = order_of_choices(trained_on(written), TOKENIZER, questions, choices)
    assert test.p_value <= 0.02
    assert (test.gains > 0).all()
    again = order_of_choices(MODEL, TOKENIZER, questions, choices, seed=3)
    np.testing.assert_array_equal(
        again.log_probs, order_of_choices(MODEL, TOKENIZER, questions, choices, seed=3).log_probs
    )


# ------------------------------------------------------------------ what cannot be used


def scores(texts, model=MODEL, tokenizer=TOKENIZER, **options):
    return min_k_scores(model, tokenizer, texts, **options)


def items(texts, model=MODEL, **options):
    return order_of_items(model, TOKENIZER, texts, **options)


def choices(questions, listed, **options):
    return order_of_choices(MODEL, TOKENIZER, questions, listed, **options)


REFUSED = {
    "no tokens": (lambda: min_k_prob([]), "at least one number"),
    "probabilities": (lambda: min_k_prob([0.5, 0.1]), "at most 0"),
    "nan": (lambda: min_k_prob([math.nan]), "nan"),
    "percent": (lambda: min_k_prob([-1.0], 20), "share=20", "at most 1"),
    "none of them": (lambda: min_k_prob([-1.0], 0), "share=0", "above 0"),
    "words for numbers": (lambda: min_k_prob(["cat"]), "numbers"),
    "no texts": (lambda: scores([]), "at least one text"),
    "one text": (lambda: scores("the cat"), "[text]"),
    "a text of nothing": (lambda: scores(["the cat", ""]), "text 1", "leave it out"),
    "too long": (lambda: scores(["the cat " * 40]), "the model reads 64", "shorten it"),
    "masked": (lambda: scores(["cat"], tiny_model("bert"), word_tokenizer("bert")), "causal"),
    "batch": (lambda: scores(["cat"], batch_size=0), "batch_size=0"),
    "one item": (lambda: items(["the cat"]), "at least two"),
    "lists of one": (lambda: items(ITEMS, together=1), "together=1", "at least 2"),
    "no shuffles": (lambda: items(ITEMS, shuffles=0), "shuffles=0"),
    "order of a masked model": (lambda: items(ITEMS, tiny_model("bert")), "causal"),
    "choices of no question": (lambda: choices(["who ?"], []), "1 questions", "0 lists"),
    "one choice": (lambda: choices(["who ?"], [["cat"]]), "Question 0", "2 to 26"),
    "one row": (lambda: order_p_value([1.0, 2.0]), "rows"),
    "one column": (lambda: order_p_value([[1.0]]), "at least two"),
    "infinite": (lambda: order_p_value([[0.0, -math.inf]]), "infinite"),
    "ragged": (lambda: order_p_value([[0.0, 1.0], [2.0]]), "one length"),
}


@pytest.mark.parametrize(("call", "words"), [(c, w) for c, *w in REFUSED.values()], ids=REFUSED)
def test_refused_in_one_line(call, words):
    assert_refused(call, *words)
