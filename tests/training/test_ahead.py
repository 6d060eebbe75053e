"""Guards batches made ahead of time: the same ones, each made once, errors where they are due.

pytest tests/training/test_ahead.py
"""

import pytest
import torch
from small_runs import batches

from course_lib.training.ahead import Ahead


def test_batches_made_ahead_are_the_same_and_each_is_made_once():
    source, made = batches("masked"), []

    def batch_at(step):
        made.append(step)
        return source(step)

    ahead = Ahead(batch_at, steps=6)
    for step in range(6):
        for key, value in ahead(step).items():
            assert torch.equal(value, source(step)[key])
    ahead.close()
    assert made == list(range(6))


def test_a_resumed_run_may_begin_anywhere():
    source, ahead = batches("causal"), Ahead(batches("causal"), steps=9)
    for step in (4, 5, 2, 3):
        assert torch.equal(ahead(step)["input_ids"], source(step)["input_ids"])
    ahead.close()


def test_an_error_comes_with_the_step_that_it_belongs_to():
    def batch_at(step):
        if step == 2:
            raise RuntimeError("no text")
        return batches("causal")(step)

    ahead = Ahead(batch_at, steps=4)
    ahead(0)
    ahead(1)
    with pytest.raises(RuntimeError, match="no text"):
        ahead(2)
    ahead.close()
