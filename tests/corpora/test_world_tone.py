"""The long tail of tone: words of praise and blame, too many for a few labels.

Guards: tail words are drawn with their weights and agree with their document as often as stated;
the best accuracy on the sentiment task is exact for any length of the tail. That labels teach a
fraction of it and unlabelled documents the rest: tests/studies/test_tails_study.py.

    pytest tests/corpora/test_world_tone.py
"""

import math
import re
from collections import Counter
from functools import cache

import numpy as np
import pytest

from course_lib.corpora.world import World, bayes_accuracy, sentiment
from course_lib.corpora.world.grammar import zipf
from course_lib.corpora.world.kinds import Draft
from course_lib.corpora.world.lexicon import read
from course_lib.corpora.world.tasks import drafts_for
from course_lib.corpora.world.tone import TONE_WORDS

TABLE = read("tone")
SIDES = {"praise": "good", "blame": "bad"}
WORDS = {name: words.split() for name, words in TABLE["words"].items()}
SIDE_OF = {word: SIDES[name] for name, words in WORDS.items() for word in words}
TAIL_WORD = re.compile(r"\w[\w-]*")
# Two closings of equal weight, one of each tone.
ENDS = {
    "review": ("Go there!", "Do not go there!"),
    "earnings": ("The outlook is positive.", "The outlook is negative."),
}


@cache
def world(register: str = "general", tone_words: int = TONE_WORDS) -> World:
    return World(0, register, tone_words=tone_words)


def toned(draft: Draft) -> list[str]:
    """The words of the tail in a document."""
    return [
        value
        for _, template, values in draft.sentences
        for name, value in zip(template.names, values, strict=True)
        if name in WORDS
    ]


def test_there_are_as_many_words_of_praise_as_of_blame() -> None:
    assert {len(words) for words in WORDS.values()} == {TONE_WORDS}
    assert len(SIDE_OF) == 2 * TONE_WORDS
    assert all(TAIL_WORD.fullmatch(word) and word == word.lower() for word in SIDE_OF)


def test_a_tail_word_found_elsewhere_is_found_out() -> None:
    """Otherwise a sentence could have two derivations, and a tone that labels teach."""
    tiny = World.tiny(0, tone_words=5)
    tiny.check()
    tiny.mixture._tail_words["mat"] = ("{praise}", 0.1)
    with pytest.raises(ValueError, match="'mat' of a tail also stands in"):
        tiny.check()


@pytest.mark.parametrize("register", ["general", "finance"])
def test_the_tail_changes_no_fact(register: str) -> None:
    facts = []
    for tone_words in (0, 7, TONE_WORDS):
        kinds = World(3, register, 60, tone_words).mixture.kinds.values
        facts.append(
            {s.name: s.facts for k in kinds if k.name == "company" for s in k.subjects.values}
        )
    assert facts[0] == facts[1] == facts[2]


def test_without_a_tail_none_of_its_words_is_used() -> None:
    for register in ("general", "finance"):
        text = " ".join(world(register, 0).documents(2000))
        assert SIDE_OF.keys().isdisjoint(TAIL_WORD.findall(text))


@pytest.mark.parametrize("register", ["general", "finance"])
def test_words_come_as_often_as_zipf_says(register: str) -> None:
    seen = Counter(word for draft in world(register).drafts(8000, seed=1) for word in toned(draft))
    weights = zipf(TONE_WORDS, shift=TABLE["shift"])
    for words in WORDS.values():
        total = sum(seen[word] for word in words)
        for word, p in zip(words, weights, strict=True):
            assert abs(seen[word] - total * p) < 5 * math.sqrt(total * p * (1 - p)) + 1, word


@pytest.mark.parametrize(
    ("register", "kind"),
    [("general", "review"), ("general", "letter"), ("finance", "earnings"), ("finance", "comment")],
)
def test_words_agree_with_their_document_as_often_as_stated(register: str, kind: str) -> None:
    drafts = [d for d in world(register).drafts(8000, seed=2) if d.kind.name == kind]
    votes = [SIDE_OF[word] == d.script.tone for d in drafts for word in toned(d)]
    expected = read(kind)["agreement"]
    assert abs(np.mean(votes) - expected) < 4 * math.sqrt(expected * (1 - expected) / len(votes))
    share = TABLE["share"] if "good" in next(iter(read(kind)["body"].values())) else 1.0
    sentences = sum(len(d.body()) for d in drafts)
    error = math.sqrt(share * (1 - share) / sentences)
    assert abs(len(votes) / sentences - share) <= 4 * error


@pytest.mark.parametrize("tone_words", [0, 20, TONE_WORDS])
@pytest.mark.parametrize(("register", "kind"), [("general", "review"), ("finance", "earnings")])
def test_the_best_accuracy_is_that_of_the_exact_probabilities(
    register: str, kind: str, tone_words: int
) -> None:
    """Bayes' rule by `log_prob` alone: which of two closings suits the body better.

    Its log-odds are a whole number of sentences, each worth log(0.8 / 0.2): what the tail's words
    add is the same on both sides.
    """
    here, right, n = world(register, tone_words), 0.0, 600
    drafts = drafts_for(here, "sentiment", 5, lambda k: k.name == kind)
    for _ in range(n):
        draft = next(drafts)
        *body, _ = [t.format % values for _, t, values in draft.sentences]
        good, bad = (here.log_prob(" ".join([*body, end])) for end in ENDS[kind])
        votes = (good - bad) / math.log(4)
        assert votes == pytest.approx(round(votes), abs=1e-6)
        right += 0.5 if round(votes) == 0 else float((votes > 0) == (draft.script.tone == "good"))
    accuracy = bayes_accuracy(here)
    assert accuracy == bayes_accuracy(world(register, 0))
    assert abs(right / n - accuracy) < 4 * math.sqrt(accuracy * (1 - accuracy) / n)


@pytest.mark.parametrize(("register", "kind"), [("general", "review"), ("finance", "earnings")])
def test_labels_are_for_reviews_alone(register: str, kind: str) -> None:
    """Letters and comments have a tone too, but stay unlabelled text."""
    here = world(register)
    scripts = next(k for k in here.mixture.kinds.values if k.name == kind).scripts.values
    patterns = [
        re.compile(".+".join(map(re.escape, template.literals)))
        for aspect in scripts[0].body
        for template in aspect.templates.values
    ]
    for text in sentiment(here, 200, seed=4)["text"]:
        for sentence in re.split(r"(?<=\.) ", text):
            assert any(pattern.fullmatch(sentence) for pattern in patterns), sentence


def test_a_mark_is_no_word() -> None:
    """Tables hold a mark for the words of the tail, but no text that holds it is possible."""
    document = next(d for d in world().drafts(200) if toned(d) and d.kind.name == "letter").text()
    word = next(word for word in TAIL_WORD.findall(document) if word in SIDE_OF)
    mark = "{praise}" if SIDE_OF[word] == "good" else "{blame}"
    assert world().log_prob(document) > -math.inf
    assert world().log_prob(document.replace(word, mark)) == -math.inf


def test_only_the_first_words_are_used_where_the_tail_is_shorter() -> None:
    used = {word for draft in world("general", 20).drafts(3000) for word in toned(draft)}
    assert used == {word for words in WORDS.values() for word in words[:20]}
