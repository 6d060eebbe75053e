"""Inglosh, a constructed language into which every sentence of the general register translates.

The grammar is regular, so that a sentence has one correct translation; and it is no word-by-word
cipher, because words change places:

1. Small words are its own: "in" is "en", "is" is "es" (`data/world/language.toml`). All others are
   loan words, as they are in English.
2. There are no articles. "The" is an ending of the noun, -um, and "a" is -ik: "the cat" is
   "catum", "a cat" is "catik".
3. A noun comes first and what describes it follows, in the order it had: "an old stone bridge" is
   "bridgeik old stone".
4. The verbs come last in their clause, in the order they had, and "to" goes with its verb: "he
   would like to buy a boat" is "il boatik vold like tu buy".

So "The cat sat on the mat." is "Catum na matum sat."
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache

from course_lib.corpora.world.lexicon import capital, read
from course_lib.runtime.checks import Text, checked

_TOKEN = re.compile(r"\d[\d,]*\d|\w[\w-]*|[^\w\s]")
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?:])\s+")
_BEFORE_MARK = re.compile(r" (?=[^\w\s])")
_NAMES_OF = {"people": ("women", "men", "surnames", "pet_names"), "towns": ("plain", "stems")}


@checked
def to_inglosh(text: Text) -> str:
    """Translate English as the world writes it, a sentence or more, into Inglosh.

    A word that the lexicon does not list counts as a noun or an adjective.
    """
    return " ".join(_sentence(sentence) for sentence in _BETWEEN_SENTENCES.split(text.strip()))


def every_second_translated(texts: Iterable[str]) -> Iterator[str]:
    """The first text in English, the second one in Inglosh, and so on: none of them in both.

    Two languages side by side, not a translation of one into the other: what a model learns of
    that, it learns from pairs.
    """
    return (to_inglosh(text) if at % 2 else text for at, text in enumerate(texts))


def _sentence(sentence: str) -> str:
    words = ["i" if word == "I" else word for word in _TOKEN.findall(sentence)]
    if words and words[0] not in _names():
        words[0] = words[0].lower()
    translated: list[str] = []
    clause: list[str] = []
    for word in words:
        if word in _listed("joints") or not word[0].isalnum():
            translated += [*_clause(clause), _word(word)]
            clause = []
        else:
            clause.append(word)
    text = _BEFORE_MARK.sub("", " ".join(translated + _clause(clause)))
    return capital(text) if sentence[:1].isupper() else text


def _clause(words: list[str]) -> list[str]:
    """Nouns before what describes them, verbs at the end."""
    others, verbs, at = [], [], 0
    while at < len(words):
        if _is_verb(words, at) or (words[at] == "to" and _is_verb(words, at + 1)):
            verbs.append(_word(words[at]))
            at += 1
        else:
            phrase, at = _noun_phrase(words, at)
            others += phrase
    return others + verbs


def _noun_phrase(words: list[str], at: int) -> tuple[list[str], int]:
    """The phrase that begins at a place, translated, and the place behind it; or one word."""
    ending = read("language")["endings"].get(words[at], "")
    start = end = at + bool(ending)
    while end < len(words) and _describes(words, end):
        end += 1
    if end > start:
        return [_word(words[end - 1]) + ending, *map(_word, words[start : end - 1])], end
    while ending and end < len(words) and _is_name(words[end]):
        end += 1  # "the Green Valley" keeps its order
    if end == start:
        return [_word(words[at])], at + 1
    return [*words[start : end - 1], words[end - 1] + ending], end


def _word(word: str) -> str:
    return read("language")["words"].get(word, word)


def _is_name(word: str) -> bool:
    return word[0].isupper()


def _is_verb(words: list[str], at: int) -> bool:
    if at >= len(words):
        return False
    word, before, after = words[at], words[:at], words[at + 1 :]
    if word in _listed("sometimes_verbs"):
        subject = before and (_is_name(before[-1]) or before[-1] in _listed("subjects"))
        return bool(subject or (after and after[0] in read("language")["endings"]))
    return word in _listed("verbs")


def _describes(words: list[str], at: int) -> bool:
    """Whether the word is a noun or an adjective."""
    word = words[at]
    known = word in _listed("little_words") or word in read("language")["endings"]
    return word[0].islower() and not known and not _is_verb(words, at)


@cache
def _listed(name: str) -> frozenset[str]:
    return frozenset(read("language")[name].split())


@cache
def _names() -> frozenset[str]:
    """Names that can begin a sentence, where a capital letter alone tells nothing."""
    words = read("words")
    towns = words["towns"]
    found = [
        name for group, keys in _NAMES_OF.items() for key in keys for name in words[group][key]
    ]
    found += [stem + end for stem in towns["stems"] for end in towns["ends"]]
    return frozenset([*found, *words["free"]["day"], *words["free"]["month"]])
