"""Kinds of documents, and the mixture of them that a world is.

A document is drawn in this order: kind, subject, tone, number of body sentences, which aspects
of the subject they treat, one sentence of each. Everything drawn can be read off the text again,
which makes the entropy a plain sum; `Mixture.check` tests the conditions for that.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from course_lib.corpora.world.distinct import Judge
from course_lib.corpora.world.grammar import Aspect, Choice, Facts, Tail, Template

# A question and its answer count as one sentence.
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?]) (?!Answer:)")
_WORD = re.compile(r"\w+")
_WHOLE_WORD = re.compile(r"\w[\w-]*")


@dataclass(frozen=True, eq=False)
class Subject:
    """What a document is about: its name as it stands in the text, and its facts."""

    name: str
    facts: Facts


@dataclass(frozen=True, eq=False)
class Script:
    """What can be said in one tone. Without tones there is one script, whose tone is ""."""

    tone: str
    opening: Aspect | None
    body: tuple[Aspect, ...]
    closing: Aspect | None


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of document.

    Attributes:
        lengths: the number of body sentences.
        shuffled: body sentences come in any order, not in the order of the aspects.
    """

    name: str
    subjects: Choice
    scripts: Choice
    lengths: Choice
    shuffled: bool = False


@dataclass(frozen=True, eq=False)
class Draft:
    """A drawn document before it is written out: the derivation of its text."""

    kind: Kind
    subject: Subject
    script: Script
    sentences: list[tuple[Aspect, Template, tuple[str, ...]]]

    def text(self) -> str:
        """The document."""
        return " ".join([template.format % values for _, template, values in self.sentences])

    def body(self) -> list[tuple[Aspect, Template, tuple[str, ...]]]:
        """The sentences between opening and closing."""
        first = self.script.opening is not None
        last = len(self.sentences) - (self.script.closing is not None)
        return self.sentences[first:last]


class Mixture:
    """A distribution over documents: a few kinds, each with its share."""

    def __init__(self, kinds: Choice) -> None:
        self.kinds = kinds
        self._index: dict[str, list[tuple[Kind, float, Subject]]] = {}
        for kind, share in kinds.items():
            for subject, p in kind.subjects.items():
                self._index.setdefault(subject.name, []).append((kind, share * p, subject))
        self._longest_name = max(len(name.split()) for name in self._index)
        tails = list(_tails(kinds))
        self._marks = {tail.mark for tail in tails}
        self._tail_words = {word: (tail.mark, p) for tail in tails for word, p in tail.items()}
        self._tables = lru_cache(maxsize=512)(_tables)

    def draw(self, random: Random) -> Draft:
        """One document."""
        kind = self.kinds.draw(random)
        subject, script = kind.subjects.draw(random), kind.scripts.draw(random)
        length = kind.lengths.draw(random)
        pick = draw_arrangement if kind.shuffled else _draw_subset
        aspects = pick(script.body, length, random)
        if script.opening is not None:
            aspects.insert(0, script.opening)
        if script.closing is not None:
            aspects.append(script.closing)
        facts = subject.facts
        return Draft(kind, subject, script, [(a, *a.draw(facts, random)) for a in aspects])

    def log_prob(self, document: str) -> float:
        """Log-probability of a text in nats, `-inf` where it cannot be drawn."""
        if any(mark in document for mark in self._marks):
            return -math.inf
        document, said = self._mark(document)
        sentences = _BETWEEN_SENTENCES.split(document)
        total = 0.0
        for kind, share, subject in self._candidates(sentences[0]):
            for script, p in kind.scripts.items():
                total += share * p * self._probability(kind, script, subject, sentences)
        return math.log(total) + said if total > 0.0 else -math.inf

    def _mark(self, document: str) -> tuple[str, float]:
        """The text with marks for the words of the tails, and the log-probability of the words."""
        if not self._tail_words:
            return document, 0.0
        found: list[float] = []

        def mark(word: re.Match) -> str:
            mark, p = self._tail_words.get(word[0], (word[0], 1.0))
            found.append(math.log(p))
            return mark

        return _WHOLE_WORD.sub(mark, document), math.fsum(found)

    def _candidates(self, sentence: str) -> Iterator[tuple[Kind, float, Subject]]:
        """Subjects named in the sentence, and those that go without a name."""
        words = _WORD.findall(sentence)
        names = {
            " ".join(words[start : start + length])
            for start in range(len(words))
            for length in range(1, self._longest_name + 1)
        }
        for name in sorted(names | {""}):
            yield from self._index.get(name, ())

    def _probability(
        self, kind: Kind, script: Script, subject: Subject, sentences: list[str]
    ) -> float:
        """Probability of the sentences when kind, script and subject are given."""
        opening, body, closing = self._tables(script, subject)
        probability, middle = 1.0, sentences
        if opening is not None:
            probability, middle = opening.get(middle[0], 0.0), middle[1:]
        if closing is not None and middle:
            probability, middle = probability * closing.get(middle[-1], 0.0), middle[:-1]
        lengths = dict(kind.lengths.items())
        if probability == 0.0 or len(middle) not in lengths:
            return 0.0
        found = [body.get(sentence) for sentence in middle]
        if None in found:
            return 0.0
        order = [index for index, _ in found]
        fits = len(set(order)) == len(order) and (kind.shuffled or order == sorted(order))
        ways = _arrangements(len(script.body), len(middle), kind.shuffled)
        parts = math.prod(p for _, p in found)
        return probability * lengths[len(middle)] * parts / ways if fits else 0.0

    def entropy(self) -> float:
        """Entropy of a document in nats: the sum of what each choice in turn adds."""
        return self.kinds.entropy() + math.fsum(p * _entropy(k) for k, p in self.kinds.items())

    def check(self) -> None:
        """Test that a derivation can be read off its text, on which `entropy` rests.

        Raises:
            ValueError: naming the kind and the sentence that could mean two things, or the word of
                a tail that is found elsewhere.
        """
        for text in _texts(self.kinds):
            for word in _WHOLE_WORD.findall(text):
                if word in self._tail_words:
                    raise ValueError(f"{word!r} of a tail also stands in {text!r}")
        owners: dict[str, tuple[Kind, Subject]] = {}
        for kind, _ in self.kinds.items():
            _check_kind(kind)
            for script in kind.scripts.values:
                # The sentences that can stand first must name one subject of one kind.
                first = [script.opening] if script.opening else script.body
                for subject in kind.subjects.values:
                    for sentence in {s: 0 for aspect in first for s in aspect.table(subject.facts)}:
                        owner = owners.setdefault(sentence, (kind, subject))
                        if owner != (kind, subject):
                            raise ValueError(f"{kind.name}: {sentence!r} opens two subjects")


def _templates(kind: Kind) -> Iterator[Template]:
    for script in kind.scripts.values:
        for aspect in filter(None, (script.opening, *script.body, script.closing)):
            yield from aspect.templates.values


def _tails(kinds: Choice) -> Iterator[Tail]:
    slots = (slot for kind in kinds.values for t in _templates(kind) for slot in t.slots)
    return (slot for slot in slots if isinstance(slot, Tail))


def _texts(kinds: Choice) -> Iterator[str]:
    """All that sentences are made of, but for the words of tails."""
    for kind in kinds.values:
        choices = [slot for t in _templates(kind) for slot in t.slots if not isinstance(slot, str)]
        for subject in kind.subjects.values:
            choices += [fact for fact in subject.facts.values() if not isinstance(fact, str)]
            yield from (fact for fact in subject.facts.values() if isinstance(fact, str))
        for template in _templates(kind):
            yield from template.literals
        for choice in choices:
            yield from () if isinstance(choice, Tail) else choice.values


def _tables(script: Script, subject: Subject) -> tuple:
    """Look-up tables of one subject: sentence to probability, in the body with the aspect."""
    facts, body = subject.facts, {}
    for index, aspect in enumerate(script.body):
        body.update({s: (index, p) for s, p in aspect.table(facts, marked=True).items()})
    ends = [
        aspect and aspect.table(facts, marked=True) for aspect in (script.opening, script.closing)
    ]
    return ends[0], body, ends[1]


def _entropy(kind: Kind) -> float:
    """Entropy in nats of a document of this kind."""
    total = kind.subjects.entropy() + kind.scripts.entropy() + kind.lengths.entropy()
    judge = Judge([subject.facts for subject in kind.subjects.values])
    for script, p in kind.scripts.items():
        count = len(script.body)
        for length, q in kind.lengths.items():
            total += p * q * math.log(_arrangements(count, length, kind.shuffled))
        # Given the length, each aspect is treated with probability length / count.
        treated = math.fsum(length * q for length, q in kind.lengths.items()) / count
        ends = [aspect for aspect in (script.opening, script.closing) if aspect is not None]
        total += p * math.fsum(_mean_entropy(aspect, kind, judge) for aspect in ends)
        total += p * treated * math.fsum(_mean_entropy(a, kind, judge) for a in script.body)
    return total


def _mean_entropy(aspect: Aspect, kind: Kind, judge: Judge) -> float:
    """Entropy in nats of a sentence, on average over the subjects."""
    plain = judge.plain(aspect)
    if plain and not any(isinstance(f, Choice) for f in _facts_used(aspect, kind)):
        return aspect.entropy(kind.subjects.values[0].facts, plain)  # the same for all
    return math.fsum(p * aspect.entropy(s.facts, plain) for s, p in kind.subjects.items())


def _facts_used(aspect: Aspect, kind: Kind) -> Iterator[str | Choice]:
    return (s.facts[name] for name in aspect.fact_names for s in kind.subjects.values)


def _arrangements(count: int, length: int, shuffled: bool) -> int:
    return math.perm(count, length) if shuffled else math.comb(count, length)


def _draw_subset(items: tuple, length: int, random: Random) -> list:
    """`length` of the items in their order, each subset equally likely (Knuth's algorithm S)."""
    chosen = []
    for seen, item in enumerate(items):
        if (len(items) - seen) * random.random() < length - len(chosen):
            chosen.append(item)
    return chosen


def draw_arrangement(items: tuple, length: int, random: Random) -> list:
    """`length` of the items in random order: the start of a Fisher-Yates shuffle."""
    pool = list(items)
    for at in range(length):
        other = at + int(random.random() * (len(pool) - at))
        pool[at], pool[other] = pool[other], pool[at]
    return pool[:length]


def _check_kind(kind: Kind) -> None:
    judge = Judge([subject.facts for subject in kind.subjects.values])
    closings = [script.closing for script in kind.scripts.values if script.closing is not None]
    if len(kind.scripts.values) > 1 and not judge.disjoint(closings):
        raise ValueError(f"{kind.name}: a closing sentence does not reveal the tone")
    for script in kind.scripts.values:
        if not judge.disjoint(script.body):
            raise ValueError(f"{kind.name}: two aspects share a sentence")
