"""Guards the measures of forgetting: against matrices worked out by hand, and their relations.

pytest tests/finetuning/test_transfer.py
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from refusals import assert_refused

from course_lib.finetuning import (
    average_score,
    backward_transfer,
    forgetting,
    forward_transfer,
)

# Three tasks A, B, C. A falls from 0.9 to 0.5, then rises to 0.6; B gains by C.
SCORES = [
    [0.9, 0.3, 0.2],
    [0.5, 0.8, 0.4],
    [0.6, 0.85, 0.7],
]


def test_by_hand():
    assert average_score(SCORES) == pytest.approx((0.6 + 0.85 + 0.7) / 3)
    assert backward_transfer(SCORES) == pytest.approx(((0.6 - 0.9) + (0.85 - 0.8)) / 2)
    # B before its stage: 0.3, C before its own: 0.4.
    before = forward_transfer(SCORES, untrained=[0.5, 0.1, 0.25])
    assert before == pytest.approx(((0.3 - 0.1) + (0.4 - 0.25)) / 2)
    # Of B the best of the earlier stages is 0.8: a gain counts as negative forgetting.
    assert forgetting(SCORES) == pytest.approx(((0.9 - 0.6) + (0.8 - 0.85)) / 2)


def test_what_was_gained_in_between_can_be_forgotten():
    gained = [[0.5, 0.2, 0.1], [0.9, 0.6, 0.1], [0.5, 0.6, 0.8]]
    assert backward_transfer(gained) == pytest.approx(0)
    assert forgetting(gained) == pytest.approx(0.4 / 2)


def test_two_tasks_are_a_difference():
    assert backward_transfer([[1.0, 0.0], [0.25, 1.0]]) == -0.75
    assert forgetting([[1.0, 0.0], [0.25, 1.0]]) == 0.75


square = st.integers(2, 5).flatmap(
    lambda n: arrays(float, (n, n), elements=st.floats(0, 1, width=32))
)


@given(square)
def test_forgetting_is_at_least_what_backward_transfer_lost(scores):
    assert forgetting(scores) >= -backward_transfer(scores) - 1e-9


@given(square)
def test_a_model_that_nothing_changes_has_lost_and_gained_nothing(scores):
    still = np.repeat(scores[:1], len(scores), axis=0)
    assert backward_transfer(still) == forgetting(still) == 0
    assert forward_transfer(still, untrained=still[0].tolist()) == 0
    assert average_score(still) == pytest.approx(scores[0].mean())


REFUSED = {
    "one task": (lambda: average_score([[0.5]]), "at least two"),
    "not square": (lambda: backward_transfer([[0.5, 0.1]]), "as many stages as tasks"),
    "ragged": (lambda: forgetting([[0.5, 0.1], [0.5]]), "a row for each stage"),
    "a gap": (lambda: forgetting([[0.5, float("nan")], [0.5, 0.1]]), "missing or not finite"),
    "text": (lambda: average_score("0.5"), "as many stages"),
    "too few starts": (lambda: forward_transfer(SCORES, [0.1, 0.2]), "each of the 3 tasks"),
    "a start that is nan": (
        lambda: forward_transfer(SCORES, [0.1, 0.2, float("nan")]),
        "one finite score",
    ),
}


@pytest.mark.parametrize("way", REFUSED)
def test_what_is_no_matrix_of_scores_is_refused(way):
    call, words = REFUSED[way]
    assert_refused(call, words)
