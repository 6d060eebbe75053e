"""Robustness: is the answer the same where a text is changed and its meaning is not?

HELM misspells, changes the case, writes contractions out, and so on, and then takes for each item
the *worst* of its versions (Liang et al. 2023, section 4.5). A change that alters what is right
would measure nothing, so each kind here has a rule that `keeps_label` checks: of a typo, that every
word has its letters and its first and last one where they were; of case, that nothing else changed;
of a paraphrase, that both become one text when each word is put in one form.
"""

import re
from collections.abc import Sequence
from random import Random
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator

from course_lib.evaluation.card.tables import table
from course_lib.runtime import seed_of
from course_lib.runtime.checks import Share, Text, Whole, checked


def _as_versions(value: Any) -> np.ndarray:
    try:
        rows = np.asarray(value)
    except ValueError:  # lists of unequal lengths
        rows = np.empty(0)
    if rows.ndim != 2 or not len(rows):
        raise ValueError("give a list for each version, all of the same items")
    if not np.isin(rows, (0, 1)).all():
        raise ValueError("say of each item whether it was right: True or False")
    return rows.astype(bool)


Versions = Annotated[np.ndarray, BeforeValidator(_as_versions)]
Change = Literal["typo", "case", "paraphrase"]
_WORD = re.compile(r"[^\W\d_]{4,}")


@checked
def with_typos(text: Text, share: Share = 0.3, seed: Whole = 0) -> str:
    """The text with two neighbouring letters exchanged in some words, in one at the least.

    Words of four letters or more may be hit, never at the first or last letter: the slips that
    readers hardly notice (Rawlinson 1976). A text without such a word stays as it is.
    """
    random = Random(seed_of("typo", seed, text))
    words = [word for word in _WORD.finditer(text) if _swaps(word[0])]
    if not words:
        return text
    hit = [word for word in words if random.random() < share] or [random.choice(words)]
    letters = list(text)
    for word in hit:
        at = word.start() + random.choice(_swaps(word[0]))
        letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def _swaps(word: str) -> list[int]:
    """Where a word may be hit: at an inner letter with another one behind it."""
    return [i for i in range(1, len(word) - 2) if word[i].lower() != word[i + 1].lower()]


@checked
def changed_case(text: Text) -> str:
    """The text in small letters; in capitals if it had no capital."""
    return text.lower() if text.lower() != text else text.upper()


@checked
def paraphrased(text: Text) -> str:
    """The text with contractions written out and neutral words in the place of their synonyms.

    What may stand for what is in `data/card.toml`. Around a text that has none of it comes a few
    words that say nothing.
    """
    said = _one_way() | {right: left for left, right in table("synonyms").items()}
    written = any_of(said).sub(lambda found: _like(found[0], said[found[0].lower()]), text)
    return written if written != text else table("frame")["before"] + text


def _one_way() -> dict[str, str]:
    return table("contractions") | table("synonyms")


def any_of(phrases: Sequence[str] | dict[str, str]) -> re.Pattern:
    """A pattern that finds whole phrases in either case, the longest first."""
    longest = sorted(phrases, key=len, reverse=True)
    return re.compile(rf"(?<![\w'])(?:{'|'.join(map(re.escape, longest))})(?![\w'])", re.IGNORECASE)


def _like(found: str, written: str) -> str:
    """A word that begins with a capital where the one that it replaces does."""
    return written[0].upper() + written[1:] if found[0].isupper() else written


@checked
def keeps_label(text: Text, changed: Text, change: Change) -> bool:
    """Whether a text was changed in nothing but what the change allows."""
    if change == "case":
        return text.casefold() == changed.casefold()
    if change == "typo":
        return len(text) == len(changed) and all(
            _shuffled_inside(a, b) for a, b in zip(_tokens(text), _tokens(changed), strict=True)
        )
    return _in_one_form(text) == _in_one_form(changed.removeprefix(table("frame")["before"]))


def _tokens(text: str) -> list[str]:
    """Words by letters, and all else character by character."""
    return re.findall(r"[^\W\d_]+|.", text, flags=re.DOTALL)


def _shuffled_inside(a: str, b: str) -> bool:
    return a == b or (a[0] == b[0] and a[-1] == b[-1] and sorted(a) == sorted(b))


def _in_one_form(text: str) -> str:
    """Small letters, contractions written out, and of two synonyms always the second."""
    one = _one_way()
    return any_of(one).sub(lambda found: one[found[0].lower()].lower(), text.lower())


@checked
def worst_case(right: Versions) -> np.ndarray:
    """Whether an item is right in *all* its versions: `[items]`, from `[versions, items]`.

    Raises:
        BadArgumentError: no versions, not as many items in each, or values that are not true or
            false.
    """
    return np.all(right, axis=0)
