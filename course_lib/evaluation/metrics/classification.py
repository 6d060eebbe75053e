"""Scores of a classifier: accuracy and F1, by scikit-learn."""

from collections.abc import Sequence
from typing import Literal

from sklearn.metrics import accuracy_score, f1_score

Labels = Sequence[int] | Sequence[str]


def accuracy(predictions: Labels, references: Labels) -> float:
    """The share of predictions that equal their reference.

    Raises:
        ValueError: no predictions, or not as many as references.
    """
    _check(predictions, references)
    return float(accuracy_score(references, predictions))


def f1(
    predictions: Labels, references: Labels, average: Literal["macro", "micro"] = "macro"
) -> float:
    """F1, the harmonic mean of precision and recall.

    "macro" is the mean over classes, so that a rare class weighs as much as a common one; "micro"
    pools all decisions, and equals accuracy where each item has one class. A class that occurs in
    the references or the predictions and is never predicted rightly has F1 0.

    Raises:
        ValueError: no predictions, or not as many as references; another `average`.
    """
    _check(predictions, references)
    if average not in ("macro", "micro"):
        raise ValueError(f'average={average!r}: choose "macro" or "micro".')
    return float(f1_score(references, predictions, average=average, zero_division=0.0))


def _check(predictions: Labels, references: Labels) -> None:
    if len(predictions) != len(references):
        raise ValueError(
            f"{len(predictions)} predictions and {len(references)} references: give one for one."
        )
    if not len(predictions):
        raise ValueError("No predictions: there is nothing to score.")
