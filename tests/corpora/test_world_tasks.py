"""The labelled tasks say what the world says.

Guards: labels agree with the derivation, the stated best accuracy is the true one, nothing in a
text gives its label away.

    pytest tests/corpora/test_world_tasks.py
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable

import pytest

from course_lib.corpora.world import (
    TAGS,
    World,
    bayes_accuracy,
    cloze,
    completions,
    entities,
    questions,
    sentiment,
)

WORLD = World(0)
FINANCE = World(0, "finance")


@pytest.mark.parametrize("world", [WORLD, FINANCE], ids=["general", "finance"])
def test_sentiment_reaches_the_stated_accuracy_and_no_more(world: World) -> None:
    """The best guess from the exact likelihoods is right as often as `bayes_accuracy` says."""
    kind = next(k for k in world.mixture.kinds.values if len(k.scripts.values) > 1)
    sides = defaultdict(dict)  # template of a sentence to its weight under either tone
    for script in kind.scripts.values:
        for aspect in script.body:
            for template, p in aspect.templates.items():
                pattern = re.sub(r"\\{\w+\\}", ".+", re.escape(template.text))
                sides[pattern][script.tone] = p
    odds = {re.compile(p): math.log(w["good"] / w["bad"]) for p, w in sides.items()}
    data = sentiment(world, 1500, seed=3)
    right = 0.0
    for text, label in zip(data["text"], data["label"], strict=True):
        total = 0.0
        for sentence in re.split(r"(?<=[.!?]) ", text):
            matches = {round(odd, 6) for p, odd in odds.items() if p.fullmatch(sentence)}
            assert len(matches) == 1, sentence
            total += matches.pop()
        right += 0.5 if abs(total) < 1e-6 else float((total > 0) == label)
    accuracy = bayes_accuracy(world)
    error = math.sqrt(accuracy * (1 - accuracy) / len(data))
    assert abs(right / len(data) - accuracy) < 3 * error
    assert 0.45 < sum(data["label"]) / len(data) < 0.55


def test_sentiment_shows_neither_opening_nor_closing() -> None:
    kind = next(k for k in WORLD.mixture.kinds.values if k.name == "review")
    ends = {
        sentence
        for script in kind.scripts.values
        for aspect in (script.opening, script.closing)
        for subject in kind.subjects.values[:50]
        for sentence in aspect.table(subject.facts)
    }
    for text in sentiment(WORLD, 500)["text"]:
        assert ends.isdisjoint(re.split(r"(?<=[.!?]) ", text))


@pytest.mark.parametrize("world", [WORLD, FINANCE], ids=["general", "finance"])
def test_entities_are_tagged_from_the_facts(world: World) -> None:
    data = entities(world, 800, seed=2)
    roles = defaultdict(Counter)
    for tokens, tags in zip(data["tokens"], data["tags"], strict=True):
        assert len(tokens) == len(tags)
        assert any(tags)
        for token, tag in zip(tokens, tags, strict=True):
            roles[token][TAGS[tag]] += 1
    assert all(set(counts) == {"O"} for token, counts in roles.items() if not token.isalnum())
    unclear = [t for t, c in roles.items() if len(c.keys() & {"PERSON", "TOWN", "COMPANY"}) > 1]
    assert len(unclear) > 10, "names should need their context"


def test_cloze_asks_for_facts() -> None:
    data = cloze(WORLD, 800, seed=4)
    assert {"left", "right"} == set(data["evidence"])
    for row in data:
        assert row["text"].count("{}") == 1
        assert re.fullmatch(r"[\w-]+", row["answer"])
    answers = defaultdict(set)
    for row in data:
        if row["kind"] in ("person", "animal"):
            answers[row["text"]].add(row["answer"])
    assert all(len(found) == 1 for found in answers.values())
    assert answers.get("The cat sat on the {}.") == {"mat"}


def test_completions_are_settled_by_the_shots() -> None:
    for row in completions(WORLD, 200, seed=1, shots=3):
        assert row["prompt"].endswith(f"{row['animal']}:")
        assert row["prompt"].count(". ") == 3
        assert row["answer"] in row["choices"]
        assert len(set(row["choices"])) == 4
        document = f"{row['prompt']} {row['answer']}."
        assert math.isfinite(WORLD.log_prob(document))
        for other in set(row["choices"]) - {row["answer"]}:
            assert WORLD.log_prob(f"{row['prompt']} {other}.") == -math.inf


def test_questions_have_the_answers_of_the_world() -> None:
    data = questions(WORLD, 100, seed=1)
    assert all(re.fullmatch(r"Question: .+\? Answer:", prompt) for prompt in data["prompt"])
    assert all(answer.endswith(".") for answer in data["answer"])


@pytest.mark.parametrize("task", [sentiment, entities, cloze, completions, questions])
def test_tasks_are_functions_of_the_seed(task: Callable) -> None:
    assert task(WORLD, 30, seed=1).to_list() == task(WORLD, 60, seed=1).to_list()[:30]
    assert task(WORLD, 30, seed=1).to_list() != task(WORLD, 30, seed=2).to_list()
    assert len(task(WORLD, 0)) == 0
