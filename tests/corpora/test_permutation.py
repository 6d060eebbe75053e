"""Guards the order of rows: each once, in an order that its key alone decides, place by place.

Run: pytest tests/corpora/test_permutation.py
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.corpora import permutation
from course_lib.corpora.permutation import Permutation, network, walk
from course_lib.runtime import generator, seed_of

HUGE = 3 * 10**11 + 7


def keys(seed):
    return [seed_of("round", number, seed) for number in range(permutation.ROUNDS)]


@pytest.fixture
def nothing_listed(monkeypatch):
    monkeypatch.setattr(permutation, "LISTED", 0)


@given(count=st.integers(1, 3000), seed=st.integers(0, 2**40))
@settings(max_examples=100, deadline=None)
def test_the_walk_is_a_bijection(count, seed):
    rows = walk(np.arange(count), count, keys(seed))
    assert sorted(rows.tolist()) == list(range(count))


@given(count=st.integers(1, 3000), seed=st.integers(0, 2**40))
@settings(max_examples=50, deadline=None)
def test_the_network_has_hardly_more_numbers_than_there_are_rows(count, seed):
    """So hardly any place is walked twice."""
    a = max(1, round(count**0.5))
    size = a * -(-count // a)
    assert count <= size < count + a
    numbers = network(np.arange(size, dtype=np.uint64), count, keys(seed))
    assert sorted(numbers.tolist()) == list(range(size))


@given(places=st.lists(st.integers(0, HUGE - 1), min_size=1, max_size=50, unique=True))
@settings(max_examples=50, deadline=None)
def test_a_huge_order_is_looked_up_place_by_place(places):
    order = Permutation(HUGE, 5, "order")
    rows = order[torch.tensor(places)]
    assert rows.dtype == torch.int64
    assert len(set(rows.tolist())) == len(places)
    assert all(0 <= row < HUGE for row in rows.tolist())
    alone = [int(order[torch.tensor([place])]) for place in places]
    assert rows.tolist() == alone


def test_up_to_a_size_it_is_the_order_that_recorded_runs_had():
    expected = torch.randperm(1000, generator=generator(3, "order", 2))
    assert torch.equal(Permutation(1000, 3, "order", 2)[torch.arange(1000)], expected)


@pytest.mark.usefixtures("nothing_listed")
def test_it_looks_shuffled():
    """Rank correlation, steps between neighbours and fixed points, each as of a random order."""
    count = 40_000
    rows = Permutation(count, 7, "order")[torch.arange(count)].double()
    places = torch.arange(count).double()
    correlation = torch.corrcoef(torch.stack([places, rows]))[0, 1]
    assert abs(correlation) < 5 / count**0.5
    steps = torch.corrcoef(torch.stack([rows[:-1], rows[1:]]))[0, 1]
    assert abs(steps) < 5 / count**0.5
    assert int((rows == places).sum()) < 12  # one on average
    # Into which sixteenth do the places of each sixteenth go? Chi-squared, 225 degrees of freedom.
    table = torch.histogramdd(torch.stack([places, rows], 1), 16).hist
    expected = count / 256
    assert ((table - expected) ** 2 / expected).sum() < 225 + 5 * 450**0.5


@pytest.mark.usefixtures("nothing_listed")
def test_each_key_has_an_order_of_its_own():
    places = torch.arange(5000)
    orders = [Permutation(5000, seed, "order", e)[places] for seed in (0, 1) for e in (0, 1)]
    for i, one in enumerate(orders):
        for other in orders[:i]:
            assert int((one == other).sum()) < 15  # one on average


def test_an_order_has_the_shape_of_its_places_and_the_length_of_its_rows():
    order = Permutation(permutation.LISTED + 1, 0)
    assert len(order) == permutation.LISTED + 1
    assert order[torch.arange(6).view(2, 3)].shape == (2, 3)
    assert order[torch.tensor([], dtype=torch.int64)].shape == (0,)
