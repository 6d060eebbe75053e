"""Guards scores of labels and spans: scikit-learn's and seqeval's numbers, and refusals.

Run with: pytest tests/evaluation/test_classification.py
"""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import seqeval.metrics as seqeval
import sklearn.metrics as theirs
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import assert_refused
from sklearn import config_context

from course_lib.evaluation import accuracy, f1, matthews, span_f1, tag_spans

CASES = [500, pytest.param(10_000, marks=pytest.mark.torture)]
LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12)
TAG = st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B"])
SENTENCES = st.lists(st.lists(st.tuples(TAG, TAG), min_size=1, max_size=8), min_size=1, max_size=3)


def quiet():
    return warnings.catch_warnings(action="ignore")


def for_all(cases, strategy, check):
    settings(max_examples=cases, deadline=None)(given(strategy)(check))()


@pytest.mark.parametrize("cases", CASES)
def test_scores_are_scikit_learns(cases):
    def check(pairs):
        p, r = zip(*pairs, strict=True)
        with quiet(), config_context(skip_parameter_validation=True):
            assert accuracy(p, r) == pytest.approx(theirs.accuracy_score(r, p), abs=1e-9)
            assert matthews(p, r) == pytest.approx(theirs.matthews_corrcoef(r, p), abs=1e-9)
            average = ("macro", "micro", "weighted")[sum(p) % 3]
            expected = theirs.f1_score(r, p, average=average, zero_division=0)
            assert f1(p, r, average) == pytest.approx(expected, abs=1e-9)
            one = [int(x > 1) for x in p], [int(x > 1) for x in r]
            if 1 in one[0] or 1 in one[1]:
                expected = theirs.f1_score(one[1], one[0], zero_division=0)
                assert f1(*one, "binary") == pytest.approx(expected, abs=1e-9)

    for_all(cases, LABELS, check)


def test_macro_sees_the_rare_class_that_accuracy_forgets():
    references = ["neutral"] * 9 + ["negative"]
    predictions = ["neutral"] * 10
    assert accuracy(predictions, references) == 0.9
    assert f1(predictions, references) == pytest.approx((18 / 19 + 0) / 2)
    assert f1(predictions, references, "binary", positive="negative") == 0
    assert matthews(predictions, references) == 0


def test_a_class_that_does_not_occur_changes_no_score():
    p, r = ["a", "b", "b"], ["a", "a", "b"]
    for score in (f1, matthews):
        assert score(p, r, classes=["a", "b", "c"]) == score(p, r)
    tags = [["B-A", "O"]], [["B-A", "B-B"]]
    assert span_f1(*tags, "macro", types=["A", "B", "C"]) == span_f1(*tags, "macro")


def test_labels_may_be_arrays():
    assert f1(np.array([1, 0]), torch.tensor([1, 0])) == 1
    assert accuracy(np.array(["x", "y"]), ["x", "y"]) == 1


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O O", []),
        ("B-A I-A O", [("A", 0, 2)]),
        ("I-A I-A O", [("A", 0, 2)]),
        ("B-A B-A", [("A", 0, 1), ("A", 1, 2)]),
        ("I-A I-B", [("A", 0, 1), ("B", 1, 2)]),
        ("B-A I-B I-B", [("A", 0, 1), ("B", 1, 3)]),
        ("O I-A B-A I-A O I-A", [("A", 1, 2), ("A", 2, 4), ("A", 5, 6)]),
    ],
)
def test_spans_are_as_conlleval_reads_them(tags, spans):
    assert tag_spans(tags.split()) == spans


@pytest.mark.parametrize("cases", CASES)
def test_span_f1_is_seqevals(cases):
    def check(sentences):
        p, r = ([[pair[side] for pair in s] for s in sentences] for side in (0, 1))
        for average in ("micro", "macro", "weighted"):
            with quiet():  # without any span a macro mean of theirs is nan, and 0 of ours
                expected = np.nan_to_num(seqeval.f1_score(r, p, average=average, zero_division=0))
            assert span_f1(p, r, average) == pytest.approx(expected, abs=1e-9)

    for_all(cases, SENTENCES, check)


LABEL_SCORES = [accuracy, f1, matthews]
REFUSED = [
    (([], []), ["predictions=[]", "at least one label"]),
    (([1], [1, 0]), ["2 labels for 1 predictions"]),
    ((["1"], [1]), ["'1'", "1", "both"]),
    (([1, "1"], [1, 1]), ["one kind"]),
    (([0.5], [1]), ["label 0 is 0.5"]),
    (([1], [None]), ["label 0 is None"]),
    (("good", ["good"] * 4), ["predictions='good'", "a label for each item"]),
]


@pytest.mark.parametrize("score", LABEL_SCORES)
@pytest.mark.parametrize(("arguments", "words"), REFUSED)
def test_labels_that_cannot_be_scored_are_named(score, arguments, words):
    assert_refused(lambda: score(*arguments), *words)


def test_more_refusals():
    assert_refused(lambda: f1([1], [1], average="mean"), "average='mean'", "'macro'")
    assert_refused(lambda: f1([1, 2], [1, 0], "binary"), "two classes", "3")
    assert_refused(lambda: f1([0, 2], [0, 2], "binary"), "positive=1", "[0, 2]")
    assert_refused(lambda: f1([1], [3], classes=[1, 2]), "classes=[1, 2]", "3")
    assert_refused(lambda: span_f1([["B-A"]], [["B-A", "O"]]), "a tag for each word")
    assert_refused(lambda: span_f1([["B-A"]], [["PERSON"]]), "'PERSON'", "B- or I-")
    assert_refused(lambda: span_f1(["O"], ["O"]), "sentence 0", "list of tags")
    assert_refused(lambda: span_f1([["B-A"]], [["O"]], types=["B"]), "types=['B']", "'A'")
    assert_refused(lambda: span_f1([], []), "at least one sentence")


def test_scores_of_labels_do_not_cost_the_import_of_scikit_learn():
    code = (
        "from course_lib.evaluation import f1; import sys; f1([1], [1]); "
        "sys.exit(bool({'sklearn', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
