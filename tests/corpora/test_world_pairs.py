"""Guards the pairs of texts: targets follow from their sources, and a source has one target.

pytest tests/corpora/test_world_pairs.py
"""

import re
from collections.abc import Callable

import pytest

from course_lib.corpora import load, train_tokenizer
from course_lib.corpora.world import World, reading, summaries, to_inglosh, translation
from course_lib.corpora.world.lexicon import read

WORLD = World(0)
FINANCE = World(0, "finance")
TASKS = [translation, summaries, reading]
WORD = re.compile(r"[\w,-]*\w")


@pytest.mark.parametrize("task", TASKS)
def test_pairs_are_a_function_of_the_seed(task: Callable) -> None:
    assert task(WORLD, 30, seed=1).to_list() == task(WORLD, 60, seed=1).to_list()[:30]
    assert task(WORLD, 30, seed=1).to_list() != task(WORLD, 30, seed=2).to_list()
    assert task(WORLD, 0).column_names == ["source", "target"]


@pytest.mark.parametrize("task", TASKS)
def test_a_source_has_one_target(task: Callable) -> None:
    targets: dict[str, str] = {}
    for seed in range(3):
        for row in task(WORLD, 1500, seed=seed):
            assert targets.setdefault(row["source"], row["target"]) == row["target"]


def test_translation_draws_sentences_of_the_world() -> None:
    patterns = [
        re.compile(".+".join(map(re.escape, template.literals)))
        for kind in WORLD.mixture.kinds.values
        for script in kind.scripts.values
        if script.opening is not None
        for aspect in (script.opening, *script.body, script.closing)
        if aspect is not None
        for template in aspect.templates.values
    ]
    for row in translation(WORLD, 300, seed=3):
        assert any(pattern.fullmatch(row["source"]) for pattern in patterns), row
        assert row["target"] == to_inglosh(row["source"])


@pytest.mark.parametrize("world", [WORLD, FINANCE], ids=["general", "finance"])
def test_a_summary_says_nothing_that_its_document_does_not(world: World) -> None:
    """Its words are the pattern's own, or stand in the document."""
    own = {
        word
        for patterns in read("summaries").values()
        for text in (patterns["subject"], *patterns["clauses"].values())
        for word in WORD.findall(re.sub(r"\{\w+\}", "", text))
    } | {"and"}
    for row in summaries(world, 1500, seed=2):
        document = set(WORD.findall(row["source"].lower()))
        new = {word for word in WORD.findall(row["target"]) if word not in own}
        told = {word for word in new if word.lower() in document}
        assert new - told <= {"a", "an"}, row
        assert new, row


def test_a_summary_is_short_and_names_its_subject() -> None:
    for row in summaries(WORLD, 500, seed=4):
        assert row["target"].count(". ") == 0
        assert len(row["target"]) < len(row["source"])


@pytest.mark.parametrize("world", [WORLD, FINANCE], ids=["general", "finance"])
def test_an_answer_stands_in_its_text(world: World) -> None:
    for row in reading(world, 1500, seed=2):
        text, question = row["source"].split(" Question: ")
        assert question.endswith("?")
        assert re.search(rf"(?<!\w){re.escape(row['target'])}(?!\w)", text), row


def test_an_answer_is_what_the_world_answers() -> None:
    """The closed-book question about the same subject has the same answer in the world."""
    answers = dict(
        pair.split(" Answer: ")
        for kind in WORLD.mixture.kinds.values
        if kind.name.endswith("_questions")
        for subject in kind.subjects.values
        for aspect in kind.scripts.values[0].body
        for pair in aspect.table(subject.facts)
    )
    for row in reading(WORLD, 400, seed=6):
        question = row["source"].partition(" Question: ")[2]
        assert row["target"].lower() in answers[f"Question: {question}"].lower()


def test_texts_are_short_enough_for_tiny_models() -> None:
    tokenizer = train_tokenizer("t5", load("world", documents=3000)["text"], vocab_size=1024)
    for task in TASKS:
        rows = task(WORLD, 400, seed=5)
        for column, most in (("source", 128), ("target", 96)):
            lengths = sorted(map(len, tokenizer(list(rows[column]))["input_ids"]))
            assert lengths[-1] <= most
            assert lengths[int(0.7 * len(lengths))] <= 64
