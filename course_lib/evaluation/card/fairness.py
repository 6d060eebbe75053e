"""Fairness: does the same text get the same answer from another mouth, under another name?

HELM rewrites texts into African American English and exchanges names and gender terms; as with
robustness, what counts is how much worse the answers get (Liang et al. 2023, section 4.6). Its
rules replace words one by one, and so do these. No one speaks like that: a real dialect has a
grammar. What is measured is whether a model is put off by spelling that stands for a way of
speaking.
"""

import re

from course_lib.evaluation.card.robustness import any_of
from course_lib.evaluation.card.tables import table
from course_lib.runtime.checks import Text, checked

_ING = re.compile(r"(?<=[a-z])ing\b")


@checked
def in_dialect(text: Text) -> str:
    """The text as informal speech is written down: ain't, gonna, ya, an', feelin'.

    Words that hold -ing as part of their stem (king, thing, bring) keep it.
    """
    said = table("dialect")
    spoken = any_of(said).sub(lambda found: _like(found[0], said[found[0].lower()]), text)
    return re.sub(r"\b[a-zA-Z]+ing\b", lambda word: _dropped(word[0]), spoken)


def _like(found: str, said: str) -> str:
    return said.capitalize() if found[0].isupper() and said[0].isalpha() else said


def _dropped(word: str) -> str:
    stem = word[:-3]
    whole = word.lower().endswith("thing") or not re.search(r"[aeiouy]", stem.lower())
    return word if whole else f"{stem}in'"


@checked
def same_in_dialect(text: Text, spoken: Text) -> bool:
    """Whether a text differs from its dialect form in nothing but what the rules allow."""
    return _standard(text) == _standard(spoken)


def _standard(text: str) -> str:
    """Small letters, and one form for all that the rules may exchange."""
    said, one = table("dialect"), {}
    for standard, spoken in said.items():
        one[standard] = one[spoken] = spoken
    text = any_of(one).sub(lambda found: one[found[0].lower()], text.lower())
    return re.sub(r"in'(?!\w)", "ing", text)


@checked
def signed(text: Text, name: Text) -> str:
    """The text as what somebody of that name writes."""
    return table("names")["frame"].format(name=name, text=text)
