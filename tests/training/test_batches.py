"""The batch of a step is a function of the seed and the step, and no row waits for another epoch.

Run with: python -m pytest tests/training/test_batches.py
"""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.training.data import Batches


def noted(blocks, generator):
    """An "objective" that shows what it was given."""
    return {"input_ids": blocks, "labels": torch.rand(blocks.shape, generator=generator)}


def numbered(rows, batch, seed=0):
    return Batches([torch.arange(rows)[:, None]], noted, batch, seed)


@settings(deadline=None, max_examples=60)
@given(rows=st.integers(1, 40), batch=st.integers(1, 50), seed=st.integers(0, 5))
def test_each_epoch_visits_every_row_once(rows, batch, seed):
    source = numbered(rows, batch, seed)
    steps = -(-3 * rows // batch)
    order = torch.cat([source.raw(step)[:, 0] for step in range(steps)])
    for epoch in range(3):
        assert sorted(order[epoch * rows : (epoch + 1) * rows].tolist()) == list(range(rows))


@settings(deadline=None, max_examples=30)
@given(steps=st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_batches_may_be_asked_for_in_any_order(steps):
    source = numbered(17, 5)
    for step in steps:
        again, fresh = source(step), numbered(17, 5)(step)
        assert torch.equal(again["input_ids"], fresh["input_ids"])
        assert torch.equal(again["labels"], fresh["labels"])


def test_seeds_and_epochs_differ_in_order_and_steps_in_corruption():
    source = numbered(100, 100)
    assert not torch.equal(source.raw(0), source.raw(1))
    assert not torch.equal(source.raw(0), numbered(100, 100, seed=1).raw(0))
    assert not torch.equal(source(0)["labels"], source(1)["labels"])
    assert not torch.equal(source(0)["labels"], numbered(100, 100, seed=1)(0)["labels"])
