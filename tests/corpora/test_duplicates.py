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
