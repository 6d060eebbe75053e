"""Summaries of the world's documents, and whether what they say is true.

The world knows everything that can be said of a subject, so a text about it can be judged without
a reference: sentence by sentence, against the facts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import torch

from course_lib.corpora import World
from course_lib.corpora.world import summaries
from course_lib.corpora.world.kinds import Draft
from course_lib.corpora.world.lexicon import read
from course_lib.corpora.world.tasks import drafts_for
from course_lib.runtime import generator
from course_lib.runtime.checks import NotNegativeCount, SomeTexts, Whole, checked
from course_lib.runtime.errors import CourseError

_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?]) ")
_BODY = 3  # sentences behind the opening of a document that has a summary


@dataclass(frozen=True, eq=False)
class Item:
    """A document with its summary, and all that is true of its subject.

    Attributes:
        document: four sentences.
        summary: one: the subject, and two facts that the document tells.
        extract: the two sentences of the document that tell those facts.
        subject: how a summary opens, such as "Ida Holt, a baker in Alder,".
        clauses: every clause that a summary may go on with, by the fact that it tells.
        sentences: by the fact that it tells, every sentence that the world says of the subject,
            with its probability.
        told: the names of the summary's two facts.
    """

    document: str
    summary: str
    extract: str
    subject: str
    clauses: dict[str, str]
    sentences: dict[str, dict[str, float]]
    told: tuple[str, ...]

    def statements(self, text: str) -> list[bool]:
        """For each thing that a text says, whether the world says it of this subject.

        A summary's two clauses are two things, any other sentence is one. A sentence that the
        world could not write, of this subject, counts as false.
        """
        found: list[bool] = []
        for sentence in _BETWEEN_SENTENCES.split(text.strip()):
            said = sentence.removeprefix(self.subject).removesuffix(".")
            if any(sentence in known for known in self.sentences.values()):
                found.append(True)
            elif sentence.startswith(self.subject):
                found += self._clauses(said.strip())
            else:
                found.append(False)
        return found

    def _clauses(self, said: str) -> list[bool]:
        """The truth of the clauses that "and" joins; a fact may hold an "and" of its own."""
        known = set(self.clauses.values())
        ends = [match.start() for match in re.finditer(r" and ", said)]
        splits = [[said[:at] in known, said[at + 5 :] in known] for at in ends]
        return max(splits, key=sum, default=[said in known])


@checked
def truth(texts: SomeTexts, items: Sequence[Item]) -> list[float]:
    """For each text, the share of what it says that is true of its item's subject, 0 to 1.

    Raises:
        CourseError: not as many texts as items.
    """
    if len(texts) != len(items):
        raise CourseError(f"{len(texts)} texts for {len(items)} items: give one for each item.")
    return [fmean(item.statements(text)) for text, item in zip(texts, items, strict=True)]


@checked
def summary_items(n: NotNegativeCount, seed: Whole = 0) -> list[Item]:
    """The documents and summaries that `summaries(World(), n, seed)` draws, with their truth."""
    world, patterns = World(), read("summaries")
    drafts = drafts_for(world, "summaries", seed, lambda kind: kind.name in patterns)
    fitting = (draft for draft in drafts if len(draft.body()) == _BODY)
    pairs = summaries(world, n, seed)
    return [_item(d, p["source"], p["target"]) for p, d in zip(pairs, fitting, strict=False)]


def _item(draft: Draft, document: str, summary: str) -> Item:
    facts, pattern = draft.subject.facts, read("summaries")[draft.kind.name]
    clauses = {name: clause.format_map(facts) for name, clause in pattern["clauses"].items()}
    aspects = (draft.script.opening, *draft.script.body)
    told = {aspect.name: template.format % values for aspect, template, values in draft.body()}
    picked = [name for name in clauses if name in told][:2]
    return Item(
        document,
        summary,
        " ".join(sentence for name, sentence in told.items() if name in picked),
        pattern["subject"].format_map(facts),
        clauses,
        {aspect.name: aspect.table(facts) for aspect in aspects},
        tuple(picked),
    )


@checked
def with_false_facts(items: Sequence[Item], count: Literal[1, 2] = 1, seed: Whole = 0) -> list[str]:
    """The summaries with the first `count` of their two facts replaced by those of others.

    A fact is replaced by the same kind of fact of another item's subject: another employer, another
    pet. The sentence stays as good as it was.

    Raises:
        CourseError: no other item has such a fact.
    """
    draw = generator(seed, "false facts")
    return [_falsified(item, items, count, draw) for item in items]


def _falsified(item: Item, items: Sequence[Item], count: int, draw: torch.Generator) -> str:
    text = item.summary
    for name in item.told[:count]:
        others = {other.clauses[name] for other in items if name in other.clauses}
        others = sorted(others - {item.clauses[name]})
        if not others:
            raise CourseError(f"No item has another {name} than {item.subject!r}: give more items.")
        chosen = int(torch.randint(len(others), (), generator=draw))
        text = text.replace(item.clauses[name], others[chosen])
    return text


@checked
def in_other_words(items: Sequence[Item], seed: Whole = 0) -> list[str]:
    """The facts of each summary as another document might tell them: true, in other words."""
    draw = generator(seed, "in other words")
    return [" ".join(_said(item.sentences[name], draw) for name in item.told) for item in items]


def _said(sentences: dict[str, float], draw: torch.Generator) -> str:
    chances = torch.tensor(list(sentences.values()))
    return list(sentences)[int(torch.multinomial(chances, 1, generator=draw))]
