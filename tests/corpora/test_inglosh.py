"""Guards the constructed language: the grammar its docstring states, and one English for each text.

pytest tests/corpora/test_inglosh.py
"""

import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.corpora.world import World, to_inglosh
from course_lib.corpora.world.lexicon import read

WORLD = World(0, tone_words=2)
# Every kind of sentence, with each subject's own facts; popular subjects are enough.
SENTENCES = sorted(
    {
        sentence
        for kind in WORLD.mixture.kinds.values
        for script in kind.scripts.values
        for aspect in (script.opening, *script.body, script.closing)
        if aspect is not None
        for subject in kind.subjects.values[:40]
        for sentence in aspect.table(subject.facts)
    }
)
NAME_OR_NUMBER = re.compile(r"\b(?:[A-Z][a-z]+ [A-Z][a-z]+|\d[\d,]*)\b")


@pytest.mark.parametrize(
    ("english", "inglosh"),
    [
        ("The cat sat on the mat.", "Catum na matum sat."),
        ("Ida Holt is a baker in Alder.", "Ida Holt bakerik en Alder es."),
        ("Visitors like to see an old stone bridge.", "Visitors bridgeik old stone like tu see."),
        ("In Alder lives Ida Holt, a baker.", "En Alder Ida Holt lives, bakerik."),
        ("The dog that lives with Ida sat on the rug.", "Dogum ke kon Ida na rugum lives sat."),
        ("He would like to buy a boat.", "Il boatik vold like tu buy."),
        ("Then roast the chicken.", "Then chickenum roast."),
        ("The roast chicken was cold.", "Chickenum roast cold er."),
        ("cat: mat. dog: rug.", "cat: mat. dog: rug."),
        ("Holt lies in the Green Valley.", "Holt en Green Valleyum lies."),
        ("Anna cooks fish.", "Anna fish cooks."),  # a name, so what follows can be a verb
        ("The train that brought us was awful.", "Trainum ke nus awful brought er."),
    ],
)
def test_the_stated_grammar(english: str, inglosh: str) -> None:
    assert to_inglosh(english) == inglosh


def test_a_word_of_tone_keeps_its_place() -> None:
    for word in " ".join(read("tone")["words"].values()).split():
        assert to_inglosh(f"The soup was {word}.") == f"Soupum {word} er."


def test_no_two_sentences_of_the_world_have_one_translation() -> None:
    """So a translation has one English original, and nothing of what a sentence says is lost."""
    assert len(SENTENCES) > 10_000
    assert len({to_inglosh(sentence) for sentence in SENTENCES}) == len(SENTENCES)


def test_names_and_numbers_are_kept() -> None:
    for sentence in SENTENCES[::7]:
        kept = Counter(NAME_OR_NUMBER.findall(sentence.partition(" ")[2].partition(" Answer: ")[0]))
        there = to_inglosh(sentence)
        assert all(there.count(name) >= count for name, count in kept.items()), sentence


def test_it_is_no_word_by_word_cipher() -> None:
    """Beyond the lexicon, nearly every sentence needs the grammar."""
    words = read("language")["words"]

    def cipher(sentence: str) -> str:
        return re.sub(r"\w+", lambda word: words.get(word[0], word[0]), sentence.lower())

    moved = [to_inglosh(s).lower() != cipher(s) for s in SENTENCES[::7]]
    assert sum(moved) / len(moved) > 0.9


def test_verbs_come_last_in_their_clause() -> None:
    """After a word that is always a verb, only verbs and "to" follow until the clause ends."""
    table = read("language")
    verbs, sometimes, joints = (
        {table["words"].get(word, word) for word in table[name].split()}
        for name in ("verbs", "sometimes_verbs", "joints")
    )
    for sentence in SENTENCES[::7]:
        words = re.findall(r"[\w-]+|[^\w\s]", to_inglosh(sentence))
        for word, following in pairwise(words):
            if word in verbs and following[0].isalpha():
                assert following in verbs | sometimes | joints | {"tu"}, sentence


def test_no_word_of_its_own_is_another_word_too() -> None:
    words = read("language")["words"]
    english = {word for sentence in SENTENCES for word in re.findall(r"\w+", sentence.lower())}
    assert len(set(words.values())) == len(words)
    assert english.isdisjoint(words.values())
    assert words.keys() <= english


def test_the_lexicon_lists_each_word_once() -> None:
    table = read("language")
    lists = ("joints", "verbs", "sometimes_verbs", "little_words")
    counts = Counter(word for name in lists for word in table[name].split())
    counts.update(table["endings"].keys())
    assert [word for word, count in counts.items() if count > 1] == []


def test_a_document_is_translated_sentence_by_sentence() -> None:
    for document in WORLD.documents(200, seed=9):
        sentences = re.split(r"(?<=[.!?:]) ", document)
        assert to_inglosh(document) == " ".join(map(to_inglosh, sentences))


@settings(deadline=None)
@given(st.text(alphabet="abeiouTheI .,!?:-()1", max_size=60))
def test_any_text_is_taken_and_its_numbers_are_kept(text: str) -> None:
    there = to_inglosh(text)
    assert sum(map(str.isdigit, there)) == sum(map(str.isdigit, text))
