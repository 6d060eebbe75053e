"""Proof that sentences differ, without writing them all down.

The entropy of a world is a plain sum only if each sentence tells how it was made. Most pairs of
templates can be told apart from their texts and from the words that their slots can begin with;
the few that cannot are compared sentence by sentence.
"""

import re
from collections.abc import Sequence
from itertools import combinations

from course_lib.corpora.world.grammar import Aspect, Choice, Facts, Template

_TOKEN = re.compile(r"\w+|\W")


class Judge:
    """Tells templates apart for all subjects of one kind.

    Args:
        subjects: the facts of each subject; all have the same slots.
    """

    def __init__(self, subjects: Sequence[Facts]) -> None:
        self._subjects = subjects
        self._starts: dict[str, frozenset[str]] = {}

    def plain(self, aspect: Aspect) -> bool:
        """Whether each sentence of the aspect has one derivation, for each subject."""
        templates = aspect.templates.values
        slots = {slot for t in templates for slot in t.slots if isinstance(slot, Choice)}
        for name in aspect.fact_names:
            slots.update(f[name] for f in self._subjects if isinstance(f[name], Choice))
        return all(self._apart(a, b) for a, b in combinations(templates, 2)) and all(
            _prefix_free(slot) for slot in slots
        )

    def disjoint(self, aspects: Sequence[Aspect]) -> bool:
        """Whether no sentence belongs to two of the aspects, for any subject."""
        return all(
            self._apart(a, b) or not any(_meet(a, b, facts) for facts in self._subjects)
            for one, other in combinations(aspects, 2)
            for a in one.templates.values
            for b in other.templates.values
        )

    def _apart(self, a: Template, b: Template) -> bool:
        """Whether two templates surely give different sentences of one subject.

        Token by token, up to the first difference both hold the same words and the same slots.
        If the tokens that can stand there are different ones, so are the sentences. (A slot that
        both hold may be filled differently, but then the sentences differ already there.)
        """
        for one, other in zip(_tokens(a), _tokens(b), strict=False):
            if one != other:
                return self._first(one, a).isdisjoint(self._first(other, b))
        return False

    def _first(self, token: str, template: Template) -> frozenset[str]:
        """The tokens that can stand first: the token itself, or those that begin a slot."""
        if token.startswith("{"):
            name = token[1:-1]
            if name not in self._starts:
                self._starts[name] = self._slot_starts(template, name)
            return self._starts[name]
        return frozenset([token])

    def _slot_starts(self, template: Template, name: str) -> frozenset[str]:
        slot = template.slots[template.names.index(name)]
        values = [slot] if isinstance(slot, Choice) else [f[name] for f in self._subjects]
        texts = (text for v in values for text in (v.values if isinstance(v, Choice) else (v,)))
        return frozenset(_TOKEN.match(text).group() for text in texts)


def _tokens(template: Template) -> list[str]:
    """Words, other characters, and slots as `{name}`."""
    tokens: list[str] = []
    for literal, name in zip(template.literals, [*template.names, ""], strict=True):
        tokens += _TOKEN.findall(literal)
        tokens += [f"{{{name}}}"] if name else []
    return tokens


def _prefix_free(choice: Choice) -> bool:
    """Whether no value begins with another one, word for word."""
    rows = [_TOKEN.findall(value) for value in choice.values]
    return not any(a == b[: len(a)] or b == a[: len(b)] for a, b in combinations(rows, 2))


def _meet(a: Template, b: Template, facts: Facts) -> bool:
    """Whether the templates share a sentence of this subject."""
    said = {sentence for sentence, _ in a.sentences(facts, marked=True)}
    return any(sentence in said for sentence, _ in b.sentences(facts, marked=True))
