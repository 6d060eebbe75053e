"""Guards the study of the tail: what differs, what is counted, what labels and text teach of it.

pytest tests/studies/test_tails_study.py
"""

import numpy as np
import pytest

from course_lib.corpora import world_of
from course_lib.corpora.world import World, bayes_accuracy, sentiment
from course_lib.studies import masked, tails
from course_lib.studies.labels import bag_of_words
from course_lib.training.checkpoint import differences


def test_only_the_corpus_differs_from_the_encoder_of_the_plain_world():
    for recipe in tails.STUDIES[0].recipes:
        plain = masked.MASKED_WORLD.replace(seed=recipe.seed, name=recipe.name)
        [line] = differences(plain.to_dict(), recipe.to_dict())
        assert "corpus" in line


def test_words_of_the_tail_are_found_whole_and_only_those_of_this_length():
    text = "The view was heart-warming, the soup lovely and the bed flimsy."
    assert tails.tail_words(World(tone_words=280), text) == ["heart-warming", "lovely", "flimsy"]
    assert tails.tail_words(World(tone_words=2), text) == ["lovely"]
    assert tails.tail_words(World(), text) == []


def test_the_share_covered_counts_what_new_reviews_say_and_falls_with_the_length():
    assert tails.covered(world_of(tails.SHORT), 77) == 1.0
    assert tails.covered(world_of(tails.LONG), 77) == pytest.approx(0.7, abs=0.05)


def test_labels_teach_little_of_the_tail_and_unlabelled_text_the_rest():
    """200 labels nearly suffice without a tail; with it they do not, and unlabelled text helps.

    With the simplest learners that there are: a bag of words, which knows a word from labels or
    not at all, and the company that words keep in unlabelled documents.
    """

    def right(said, test):
        return np.mean(np.equal(said, test["label"]))

    long_tail = world_of(tails.LONG)
    company = tails.Company(list(long_tail.documents(10_000, seed=100)))
    short, long, with_text = [], [], []
    for seed in range(3):
        for world, found in ((world_of("world"), short), (long_tail, long)):
            train, test = sentiment(world, 200, seed), sentiment(world, 1000, 100 + seed)
            found.append(right(bag_of_words(train, test), test))
        with_text.append(right(company.predicted(train, test), test))
    best = bayes_accuracy(long_tail)
    assert np.mean(short) > best - 0.09
    assert np.mean(long) < best - 0.14
    assert np.mean(with_text) > np.mean(long) + 0.07
