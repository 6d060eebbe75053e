"""A world with another Zipf exponent is still the distribution that it claims to be.

pytest tests/corpora/test_world_skew.py
"""

import math

import pytest

from course_lib.corpora import load, world_of
from course_lib.corpora.loading import is_world
from course_lib.corpora.world import World
from course_lib.runtime.checks import BadArgumentError

WORLDS = [
    {"register": "finance", "entities": 40, "zipf": 2.5},
    {"register": "general", "entities": 60, "zipf": 0, "tone_words": 80},
]


@pytest.mark.parametrize("arguments", WORLDS)
def test_mean_surprise_is_the_entropy(arguments):
    world = World(seed=5, **arguments)
    values = [-world.log_prob(text) for text in world.documents(3000, seed=1)]
    mean = math.fsum(values) / len(values)
    error = math.sqrt(math.fsum((v - mean) ** 2 for v in values)) / len(values)
    assert abs(mean - world.entropy()) < 4 * error
    world.check()


def test_one_changes_nothing_and_facts_do_not_depend_on_it():
    plain = World(entities=40)
    assert World(entities=40, zipf=1).documents(50) == plain.documents(50)
    facts = [
        {s.name for s in kind.subjects.values}
        for world in (plain, World(entities=40, zipf=3))
        for kind in world.mixture.kinds.values
    ]
    half = len(facts) // 2
    assert facts[:half] == facts[half:]


def test_the_more_unequal_the_lower_the_entropy():
    entropies = [World(entities=40, zipf=z, tone_words=40).entropy() for z in (0, 0.5, 1, 2, 4)]
    assert entropies == sorted(entropies, reverse=True)


def test_probabilities_are_powers():
    plain, steep = (World(entities=40, zipf=z).mixture.kinds.values[0].subjects for z in (1, 2))
    one, two = plain.probs, steep.probs
    assert two[0] / two[9] == pytest.approx((one[0] / one[9]) ** 2)


def test_a_world_goes_by_its_arguments():
    name = "world:seed=3,register=finance,entities=40,zipf=2.5"
    world = World(3, "finance", 40, zipf=2.5)
    assert world_of(name).entropy() == world.entropy()
    assert all(world.log_prob(text) < 0 for text in load(name, "test", documents=40)["text"])
    assert load(name, documents=5)["text"] != load("world-finance-small", documents=5)["text"]
    assert is_world(name)
    assert not is_world("world-bilingual")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("world:people=40", "'people=40'"),
        ("world:", "write seed, register"),
        ("world:zipf", "with a value"),
        ("world:zipf=9", "zipf"),
        ("world:entities=few", "entities"),
        ("world:register=sport", "register"),
    ],
)
def test_a_wrong_argument_is_named(name, words):
    with pytest.raises(BadArgumentError, match=words):
        load(name)
