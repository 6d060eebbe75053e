"""Calibration: of the answers given with 80 percent confidence, are 80 percent right?

The expected calibration error puts answers of like confidence into bins and compares, in each, the
mean confidence with the share that is right; the mean of the differences counts bins by their
answers (Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599). HELM takes ten bins of *equal
mass*: as many answers in each (Liang et al. 2023, section 4.4). Bins of equal width, which others
take, leave most bins nearly empty where a model is always sure.
"""

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator

from course_lib.runtime.checks import BadArgumentError, Count, Whole, checked

if TYPE_CHECKING:
    import pandas as pd

BINS = 10


def _as_confidences(value: Any) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError("give a list of probabilities, one an answer") from None
    if array.ndim != 1 or not array.size:
        raise ValueError("give a list of at least one probability, one an answer")
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError("a probability lies between 0 and 1: divide percentages by 100")
    return array


def _as_right(value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.ndim != 1 or not np.isin(array, (0, 1)).all():
        raise ValueError("give a list of True or False, one an answer")
    return array.astype(float)


Confidences = Annotated[np.ndarray, BeforeValidator(_as_confidences)]
Right = Annotated[np.ndarray, BeforeValidator(_as_right)]
Kind = Literal["mass", "width"]


@checked
def bins_of(
    confidence: Confidences, right: Right, bins: Count = BINS, kind: Kind = "mass"
) -> "pd.DataFrame":
    """The bins that hold an answer, a row each: `confidence` and `accuracy` (means), `answers`.

    Bins of equal mass are cut half-way between the neighbours on both sides of a border, and equal
    confidences are never torn apart; so where many are equal, there are fewer bins. (So does the
    library that HELM uses: Kumar et al. 2019, arXiv:1909.10155.)

    Args:
        confidence: the probability that the model gave to its answer, from 0 to 1.
        right: whether the answer was right.

    Raises:
        BadArgumentError: no answers, not as many of both, or a probability outside [0, 1].
    """
    import pandas as pd

    if len(confidence) != len(right):
        raise BadArgumentError(
            f"{len(confidence)} confidences and {len(right)} answers: pair them."
        )
    place = _places(confidence, bins, kind)
    rows = pd.DataFrame({"bin": place, "confidence": confidence, "accuracy": right})
    found = rows.groupby("bin").agg(
        confidence=("confidence", "mean"),
        accuracy=("accuracy", "mean"),
        answers=("accuracy", "size"),
    )
    return found.reset_index(drop=True)


@checked
def calibration_error(
    confidence: Confidences, right: Right, bins: Count = BINS, kind: Kind = "mass"
) -> float:
    """Expected calibration error, from 0 (confidence as accuracy, in every bin) to 1.

    Raises:
        BadArgumentError: as `bins_of`.
    """
    found = bins_of(confidence, right, bins, kind)
    gaps = (found["confidence"] - found["accuracy"]).abs()
    return float((gaps * found["answers"]).sum() / found["answers"].sum())


@checked
def calibrated_error(
    confidence: Confidences,
    bins: Count = BINS,
    kind: Kind = "mass",
    draws: Count = 200,
    seed: Whole = 0,
) -> float:
    """What the error would be on average if the model were *perfectly* calibrated.

    Not 0: in a bin of 20 answers the share that is right scatters, and each scatter counts as an
    error. So an error means something only beside this one, which is found by drawing for every
    answer whether it is right, with the probability that the model gave (Bröcker and Smith 2007,
    *Increasing the Reliability of Reliability Diagrams*, draw so too).

    Raises:
        BadArgumentError: no answers, or a probability outside [0, 1].
    """
    random = np.random.default_rng(seed)
    drawn = random.random((draws, len(confidence))) < confidence
    held = np.eye(bins + 1)[_places(confidence, bins, kind)]  # [answers, bins]: 1 where it lies
    gaps = np.abs((drawn - confidence) @ held)  # of each draw and bin, times the bin's answers
    return float(gaps.sum(axis=1).mean() / len(confidence))


def _places(confidence: np.ndarray, bins: int, kind: Kind) -> np.ndarray:
    """The number of the bin that each confidence lies in."""
    if kind == "mass":
        parts = np.array_split(np.sort(confidence), min(bins, len(confidence)))
        borders = np.unique([(a[-1] + b[0]) / 2 for a, b in pairwise(parts)])
    else:
        borders = np.linspace(0, 1, bins + 1)[1:-1]
    return np.searchsorted(borders, confidence, side="left")
