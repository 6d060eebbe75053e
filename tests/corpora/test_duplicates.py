"""Guards the search for repeated texts: what it finds, what it leaves, and what it refuses.

pytest tests/corpora/test_duplicates.py
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import assert_refused

from course_lib.corpora.duplicates import (
    exact_duplicates,
    near_duplicates,
    shingles,
    without_repeats,
)

WORDS = [f"word{number}" for number in range(5000)]


def prose(seed, length=60):
    return " ".join(random.Random(seed).choices(WORDS, k=length))


def jaccard(one, other):
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def changed(text, words, seed=0):
    parts = text.split()
    for place in random.Random(seed).sample(range(len(parts)), words):
        parts[place] = "changed"
    return " ".join(parts)


def test_white_space_makes_no_difference_and_letters_do():
    assert exact_duplicates(["a b", "c", " a\n b ", "A b", "c"]) == [[0, 2], [1, 4]]


def test_near_duplicates_are_found_and_strangers_are_not():
    texts = [prose(0), prose(1), changed(prose(0), 1), prose(2), changed(prose(0), 2, 1)]
    assert near_duplicates(texts) == [[0, 2, 4]]


def test_a_text_that_shares_less_than_the_threshold_is_left():
    one = prose(0)
    other = changed(one, 15)
    assert jaccard(one, other) < 0.5
    assert near_duplicates([one, other], threshold=0.8) == []


def test_what_hashing_brings_together_by_chance_is_left():
    """At half the threshold's n-grams and more, every eighth pair or so is a candidate."""
    base = prose(0, 200)
    others = [changed(base, 40, seed) for seed in range(60)]
    assert min(jaccard(base, other) for other in others) > 0.25
    assert max(jaccard(base, other) for other in others) < 0.4
    assert [near_duplicates([base, other], threshold=0.55) for other in others] == [[]] * 60


def rings(sizes, seed):
    """Texts that stand in rings, shuffled, and their rings: each shares a third with two others."""
    texts, ring_of, parts = [], [], iter(range(1000))
    for ring, size in enumerate(sizes):
        shared = [prose(next(parts), 40) for _ in range(size)]
        texts += [f"{shared[place - 1]} {shared[place]}" for place in range(size)]
        ring_of += [ring] * size
    order = random.Random(seed).sample(range(len(texts)), len(texts))
    return [texts[place] for place in order], [ring_of[place] for place in order]


@pytest.mark.parametrize("seed", range(6))
def test_duplicates_of_duplicates_are_one_group_in_whatever_order(seed):
    texts, ring_of = rings((4, 150), seed)
    wanted = [[place for place, of in enumerate(ring_of) if of == ring] for ring in (0, 1)]
    assert near_duplicates(texts, threshold=0.2, permutations=512) == sorted(wanted)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_exact_duplicates_are_near_ones_too(seeds):
    texts = [prose(seed) for seed in seeds]
    assert near_duplicates(texts) == exact_duplicates(texts)


def test_the_estimate_agrees_with_the_similarity_itself():
    base, found, wanted = prose(0, 200), 0, 0
    for seed in range(40):
        other = changed(base, 2 + seed % 20, seed)
        similarity = jaccard(base, other)
        if abs(similarity - 0.7) < 0.15:
            continue  # too near the threshold to be decided
        wanted += similarity > 0.7
        found += bool(near_duplicates([base, other], threshold=0.7))
    assert found == pytest.approx(wanted, abs=1)


def test_of_each_group_the_first_is_left():
    assert without_repeats(6, [[0, 2], [1, 4, 5]]) == [0, 1, 3]
    assert without_repeats(2, []) == [0, 1]


def test_short_texts_have_one_shingle():
    assert shingles("A b") == {"a b"}
    assert shingles("a b c d") == {"a b c", "b c d"}
    assert near_duplicates(["", "x", ""]) == [[0, 2]]


def test_nonsense_is_refused():
    assert_refused(lambda: near_duplicates(["a"], threshold=1.5), "threshold")
    assert_refused(lambda: near_duplicates(["a"], permutations=2), "permutations")
    assert_refused(lambda: near_duplicates("a text alone"), "texts")
    assert_refused(lambda: exact_duplicates([]), "texts")
