"""What a model keeps of earlier tasks, from the scores of every task after every stage.

`scores[i][j]` is the score on task j after training on task i, the tasks in the order in which they
were learnt; more is better. What stands above the diagonal is a score on a task that is still to
come. Each measure is here once, as its source defines it.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

from course_lib.runtime.checks import BadArgumentError, checked


def _as_matrix(value: object) -> NDArray[np.float64]:
    try:
        matrix = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError("give a row for each stage and a column for each task") from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise ValueError("give as many stages as tasks, at least two of each")
    if not np.isfinite(matrix).all():
        raise ValueError("a score is missing or not finite: measure each task after each stage")
    return matrix


Scores = Annotated[NDArray[np.float64], BeforeValidator(_as_matrix)]


@checked
def average_score(scores: Scores) -> float:
    """Mean score over all tasks after the last of them.

    Lopez-Paz and Ranzato 2017 (arXiv:1706.08840), section 2.1: ACC.

    Raises:
        BadArgumentError: not a square matrix of finite numbers, two tasks or more.
    """
    return float(scores[-1].mean())


@checked
def backward_transfer(scores: Scores) -> float:
    """Mean over the earlier tasks of: score at the end, minus score when it had just been learnt.

    Below zero, later tasks have hurt earlier ones. Lopez-Paz and Ranzato 2017, section 2.1: BWT.

    Raises:
        As `average_score`.
    """
    return float((scores[-1] - scores.diagonal())[:-1].mean())


@checked
def forward_transfer(scores: Scores, untrained: Sequence[float]) -> float:
    """Mean over the later tasks of: score just before it is learnt, minus that of no training.

    Lopez-Paz and Ranzato 2017, section 2.1: FWT.

    Args:
        scores: see the module.
        untrained: the score on each task before the first stage. The paper takes a network with
            random weights; of a pre-trained model it is the start that fine-tuning has.

    Raises:
        BadArgumentError: as `average_score`, or not one score for each task.
    """
    start = np.asarray(untrained, dtype=float)
    if start.shape != (len(scores),) or not np.isfinite(start).all():
        raise BadArgumentError(
            f"forward_transfer: untrained={list(untrained)}: give one finite score for each of the "
            f"{len(scores)} tasks."
        )
    return float((scores.diagonal(offset=1) - start[1:]).mean())


@checked
def forgetting(scores: Scores) -> float:
    """Mean over the earlier tasks of: best score after any earlier stage, minus score at the end.

    Unlike backward transfer it looks for the best and not for the first, so a task that gained by
    a second one and lost by a third has forgotten what it had gained: it is at least
    -`backward_transfer`. Chaudhry et al. 2018 (arXiv:1801.10112), section 3: F.

    Raises:
        As `average_score`.
    """
    return float((scores[:-1].max(axis=0) - scores[-1])[:-1].mean())
