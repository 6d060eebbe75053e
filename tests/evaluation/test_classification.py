"""Guards accuracy and F1: by their definitions, and refusing what cannot be scored.

Run with: pytest tests/evaluation/test_classification.py
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.evaluation import accuracy, f1

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)


def f1_by_hand(predictions, references):
    scores = []
    for label in sorted(set(predictions) | set(references)):
        pairs = list(zip(predictions, references, strict=True))
        right = sum(p == r == label for p, r in pairs)
        wrong = sum((p == label) != (r == label) for p, r in pairs)
        scores.append(2 * right / (2 * right + wrong))
    return sum(scores) / len(scores)


@given(PAIRS)
def test_by_definition(pairs):
    predictions, references = zip(*pairs, strict=True)
    share = sum(p == r for p, r in pairs) / len(pairs)
    assert accuracy(predictions, references) == pytest.approx(share)
    assert f1(predictions, references) == pytest.approx(f1_by_hand(predictions, references))
    assert f1(predictions, references, average="micro") == pytest.approx(share)


def test_macro_sees_the_rare_class_that_accuracy_forgets():
    references = ["neutral"] * 9 + ["negative"]
    predictions = ["neutral"] * 10
    assert accuracy(predictions, references) == 0.9
    assert f1(predictions, references) == pytest.approx((18 / 19 + 0) / 2)


@pytest.mark.parametrize("score", [accuracy, f1])
def test_errors(score):
    with pytest.raises(ValueError, match="No predictions"):
        score([], [])
    with pytest.raises(ValueError, match="1 predictions and 2 references"):
        score([1], [1, 0])
    with pytest.raises(ValueError, match="average='weighted'"):
        f1([1], [1], average="weighted")
