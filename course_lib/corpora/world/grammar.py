"""Sentences with known probabilities: choices, templates, and the aspects made of them.

An *aspect* is one thing that can be said of a subject, such as where a person works. It is a
distribution over whole sentences, given by a few templates:

    "{person} works at {company}."        both slots are facts of the subject: one sentence
    "On {day} {they} sings in a choir."   {day} is drawn anew: seven sentences

so all its sentences can be listed with their probabilities. That list is the definition; drawing
a sentence is only a fast way to sample from it.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, product
from random import Random
from typing import Any


def zipf(count: int, shift: float = 2.0, power: float = 1.0) -> list[float]:
    """Probabilities proportional to `(rank + shift) ** -power` for ranks 0 to `count - 1`."""
    weights = [(rank + shift) ** -power for rank in range(count)]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


class Choice:
    """A distribution over a few values; by default the earlier value is the more common one.

    Args:
        values: what can be drawn, all different.
        weights: one positive number a value; `None` means `zipf(len(values))`.
    """

    __slots__ = ("_entropy", "cumulative", "probs", "values")

    def __init__(self, values: Sequence[Any], weights: Sequence[float] | None = None) -> None:
        weights = zipf(len(values)) if weights is None else weights
        if not values or len(weights) != len(values) or min(weights) <= 0:
            raise ValueError("a choice needs at least one value and a positive weight for each")
        total = math.fsum(weights)
        self.values = tuple(values)
        self.probs = tuple(weight / total for weight in weights)
        self.cumulative = list(accumulate(self.probs))
        self._entropy = entropy(self.probs)
        self.cumulative[-1] = 1.0  # so that a draw of 0.999... cannot fall off the end

    def draw(self, random: Random) -> Any:
        """One value."""
        return self.values[bisect_right(self.cumulative, random.random())]

    def items(self) -> Iterator[tuple[Any, float]]:
        """Pairs of value and probability."""
        return zip(self.values, self.probs, strict=True)

    def entropy(self) -> float:
        """Shannon entropy in nats."""
        return self._entropy


class Tail(Choice):
    """A choice among so many words that tables keep one sentence for all, with a mark in place.

    Args:
        mark: what stands in place of the word; it must be no text that anyone writes.
        values: the words; they must stand in no other sentence of the world.
        weights: as in `Choice`.
    """

    __slots__ = ("mark",)

    def __init__(self, mark: str, values: Sequence[str], weights: Sequence[float]) -> None:
        super().__init__(values, weights)
        self.mark = mark


Facts = Mapping[str, str | Choice]


def entropy(probs: Sequence[float]) -> float:
    """Shannon entropy of a list of probabilities, in nats."""
    return -math.fsum(p * math.log(p) for p in probs)


class Template:
    """A sentence with slots: `{name}` is looked up in the free slots, then in the facts.

    Args:
        text: the sentence.
        free: the slots that are drawn anew in every sentence.
    """

    def __init__(self, text: str, free: Mapping[str, Choice]) -> None:
        pieces = re.split(r"\{(\w+)\}", text)
        self.text = text
        self.literals = pieces[::2]
        self.names = tuple(pieces[1::2])
        self.slots = tuple(free.get(name, name) for name in self.names)
        self.format = "%s".join(piece.replace("%", "%%") for piece in self.literals)
        if re.search(r"\w\{|\}\w", text):
            raise ValueError(f"a slot must not touch a word: {text!r}")

    def draw(self, facts: Facts, random: Random) -> tuple[str, ...]:
        """Values for the slots."""
        values = []
        for slot in self.slots:
            value = facts[slot] if slot.__class__ is str else slot
            values.append(value if value.__class__ is str else value.draw(random))
        return tuple(values)

    def sentences(self, facts: Facts, marked: bool = False) -> Iterator[tuple[str, float]]:
        """Each way to fill the slots, as a sentence and a probability.

        With `marked`, the words of a `Tail` are not told apart: its mark stands for them.
        """
        options = []
        for slot in self.slots:
            value = facts[slot] if slot.__class__ is str else slot
            if marked and isinstance(value, Tail):
                value = value.mark
            options.append(((value, 1.0),) if value.__class__ is str else tuple(value.items()))
        for filling in product(*options):
            yield (
                self.format % tuple(value for value, _ in filling),
                math.prod(p for _, p in filling),
            )

    def entropy(self, facts: Facts) -> float:
        """Entropy of the filling in nats."""
        values = [facts[slot] if slot.__class__ is str else slot for slot in self.slots]
        return math.fsum(value.entropy() for value in values if isinstance(value, Choice))


class Aspect:
    """A distribution over the sentences that say one thing of a subject."""

    def __init__(self, name: str, templates: Choice) -> None:
        self.name = name
        self.templates = templates

    def draw(self, facts: Facts, random: Random) -> tuple[Template, tuple[str, ...]]:
        """A template and the values of its slots."""
        template = self.templates.draw(random)
        return template, template.draw(facts, random)

    def table(self, facts: Facts, marked: bool = False) -> dict[str, float]:
        """Every sentence of the aspect with its probability, summed over derivations."""
        table: dict[str, float] = {}
        for template, weight in self.templates.items():
            for sentence, p in template.sentences(facts, marked):
                table[sentence] = table.get(sentence, 0.0) + weight * p
        return table

    def entropy(self, facts: Facts, plain: bool) -> float:
        """Entropy of the sentence in nats.

        Where each sentence has one derivation (`plain`), it is a sum over the choices made;
        otherwise it is counted from the table.
        """
        if not plain:
            return entropy(list(self.table(facts).values()))
        parts = [weight * t.entropy(facts) for t, weight in self.templates.items()]
        return self.templates.entropy() + math.fsum(parts)

    @cached_property
    def fact_names(self) -> tuple[str, ...]:
        """The slots that the subject fills."""
        slots = (slot for template in self.templates.values for slot in template.slots)
        return tuple(dict.fromkeys(slot for slot in slots if isinstance(slot, str)))
