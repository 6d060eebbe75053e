"""Scores of a classifier: accuracy, four kinds of F1, and Matthews correlation.

All are functions of three counts for each class: how often it was predicted rightly, predicted,
and expected (van Rijsbergen 1979, Information Retrieval, chapter 7; Gorodkin 2004, "Comparing two
K-category assignments by a K-category correlation coefficient").
"""

import math
from collections.abc import Iterable, Sequence
from functools import partial
from numbers import Integral
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator

from course_lib.evaluation.metrics.counts import Counts, mean_of
from course_lib.runtime.checks import BadArgumentError, checked

Average = Literal["macro", "micro", "weighted", "binary"]


def _as_labels(value: Any) -> list[int | str]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ValueError("give a list with a label for each item")
    labels = [_as_label(place, label) for place, label in enumerate(value)]
    if not labels:
        raise ValueError("give at least one label")
    if len({type(label) for label in labels}) > 1:
        raise ValueError("some labels are whole numbers and some are texts: give one kind")
    return labels


def _as_label(place: int, label: Any) -> int | str:
    if isinstance(label, str):
        return label
    if hasattr(label, "item") and getattr(label, "ndim", 0) == 0:
        label = label.item()  # a number of NumPy's or torch's
    if isinstance(label, Integral):
        return int(label)
    raise ValueError(f"label {place} is {label!r}: a label is a whole number or a text")


Labels = Annotated[Sequence[int] | Sequence[str], BeforeValidator(_as_labels)]


@checked
def accuracy(predictions: Labels, references: Labels) -> float:
    """The share of predictions that equal their reference.

    Raises:
        BadArgumentError: no predictions, not as many as references, or labels of another kind.
    """
    return accuracy_counts(predictions, references).score


@checked
def accuracy_counts(predictions: Labels, references: Labels) -> Counts:
    """What each item adds to `accuracy`."""
    classes_of(predictions, references)
    return mean_of(
        "accuracy", [float(p == r) for p, r in zip(predictions, references, strict=True)]
    )


@checked
def f1(
    predictions: Labels,
    references: Labels,
    average: Average = "macro",
    *,
    positive: int | str = 1,
    classes: Labels | None = None,
) -> float:
    """F1, the harmonic mean of precision and recall.

    Args:
        predictions: a label for each item.
        references: the right labels.
        average: "macro" is the mean over classes, so that a rare class weighs as much as a common
            one; "weighted" weighs each class by how often it is expected; "micro" pools all
            decisions, and equals accuracy where each item has one class; "binary" is the F1 of
            one class, `positive`, of two. A class that occurs in the references or the predictions
            and is never predicted rightly has F1 0.
        positive: the class that "binary" is about.
        classes: all classes that there may be, for two systems that are to be compared; one that
            does not occur changes no score.

    Raises:
        BadArgumentError: no predictions, not as many as references, labels of another kind; for
            "binary" a third class, or `positive` among neither list; a label outside `classes`.
    """
    return f1_counts(predictions, references, average, positive=positive, classes=classes).score


@checked
def f1_counts(
    predictions: Labels,
    references: Labels,
    average: Average = "macro",
    *,
    positive: int | str = 1,
    classes: Labels | None = None,
) -> Counts:
    """What each item adds to `f1`, which takes the same arguments."""
    classes = classes_of(predictions, references, classes)
    chosen = classes
    if average == "binary":
        if len(classes) > 2:
            raise BadArgumentError(
                f'average="binary" is for two classes, and here are {len(classes)}: choose '
                '"macro", "micro" or "weighted".'
            )
        if positive not in classes:
            raise BadArgumentError(f"positive={positive!r}: the labels are {classes}, name one.")
        chosen = [positive]
    rows = _rows(predictions, references, chosen)
    return Counts(f"F1, {average}, of {chosen}", rows, partial(f1_of, average))


@checked
def matthews(predictions: Labels, references: Labels, *, classes: Labels | None = None) -> float:
    """Matthews correlation of predictions and references, -1 to 1, for two classes or more.

    A classifier that ignores its input scores 0 on average, whatever the shares of the classes;
    one that always says the same scores exactly 0. `classes` is as for `f1`.

    Raises:
        BadArgumentError: no predictions, not as many as references, labels of another kind, or one
            outside `classes`.
    """
    return matthews_counts(predictions, references, classes=classes).score


@checked
def matthews_counts(
    predictions: Labels, references: Labels, *, classes: Labels | None = None
) -> Counts:
    """What each item adds to `matthews`."""
    classes = classes_of(predictions, references, classes)
    rows = _rows(predictions, references, classes)
    return Counts(f"Matthews correlation of {classes}", rows, _matthews_of)


def f1_of(average: Average, sums: np.ndarray) -> float:
    """F1 of summed counts: right, predicted and expected, one number for each class."""
    right, predicted, expected = sums.reshape(3, -1)
    if average == "micro":
        return _f1(right.sum(), predicted.sum() + expected.sum())
    occurs = predicted + expected > 0  # on a resample a class may be missing
    each = [_f1(*counts) for counts in zip(right, predicted + expected, strict=True)]
    if average == "weighted":
        return float(np.dot(each, expected) / expected.sum()) if expected.any() else 0.0
    return float(np.mean(np.array(each)[occurs])) if occurs.any() else 0.0


def _f1(right: float, predicted_and_expected: float) -> float:
    return float(2 * right / predicted_and_expected) if predicted_and_expected else 0.0


def _matthews_of(sums: np.ndarray) -> float:
    right, predicted, expected = sums.reshape(3, -1)
    items = expected.sum()
    shared = right.sum() * items - predicted @ expected
    spread = (items**2 - predicted @ predicted) * (items**2 - expected @ expected)
    return float(shared / math.sqrt(spread)) if spread else 0.0


def classes_of(
    predictions: Labels, references: Labels, classes: Labels | None = None
) -> list[int | str]:
    """The classes, in order, of two lists of labels that fit together."""
    if len(predictions) != len(references):
        raise BadArgumentError(
            f"references has {len(references)} labels for {len(predictions)} predictions: give "
            "one for each prediction."
        )
    if type(predictions[0]) is not type(references[0]):
        raise BadArgumentError(
            f"predictions are labels such as {predictions[0]!r} and references such as "
            f"{references[0]!r}: give both as numbers or both as texts."
        )
    found = {*predictions, *references}
    if classes and not found <= set(classes):
        raise BadArgumentError(
            f"classes={sorted(classes)}: there is also {next(iter(found - set(classes)))!r}; name "
            "every class, or leave `classes` out."
        )
    return sorted(set(classes or found))


def _rows(predictions: Labels, references: Labels, classes: list[int | str]) -> np.ndarray:
    """Right, predicted and expected: a column each for every class, `[items, 3 classes]`."""
    place = {label: at for at, label in enumerate(classes)}
    each = [[place.get(label, -1) for label in labels] for labels in (predictions, references)]
    predicted, expected = (
        np.asarray(places)[:, None] == np.arange(len(classes)) for places in each
    )
    return np.hstack([predicted & expected, predicted, expected]).astype(float)
