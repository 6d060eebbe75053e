"""Labelled tasks about a world, as many examples as you like.

All draw from the world itself, so a model trained on its documents has met the language and the
facts. Each task and each seed has its own stream of documents, apart from that of
`World.documents`.
"""

import math
import re
from collections.abc import Callable, Iterator
from random import Random

from datasets import Dataset

from course_lib.corpora.world.facts import RELATIONS
from course_lib.corpora.world.grammar import Choice, Template
from course_lib.corpora.world.kinds import Draft, Kind, Mixture, draw_arrangement
from course_lib.corpora.world.lexicon import read
from course_lib.corpora.world.world import World
from course_lib.runtime import CourseError, seed_of
from course_lib.runtime.checks import NotNegativeCount, Whole, checked

TAGS = ["O", "PERSON", "TOWN", "COMPANY", "ANIMAL", "FOOD"]

# What the slots of the templates hold; a slot that is not listed holds no entity.
_ENTITIES = {
    "PERSON": "person first friend mayor director keeper cook",
    "TOWN": "town birthplace neighbour",
    "COMPANY": "company rival inn",
    "ANIMAL": "animal animals pet a_pet A_pet pet_name young a_young emblem an_emblem",
    "FOOD": "food Food foods dish side drink spice ingredients",
}
_TAG_OF = {slot: TAGS.index(tag) for tag, slots in _ENTITIES.items() for slot in slots.split()}
# Slots in which food or animals may stand as something else: such sentences are not used.
_UNCLEAR = {"known_for", "good", "goods", "Goods", "hobby", "does", "prepare", "heat", "festival"}
_NO_ENTITY = {"a", "an", "and", ","}
_TOKEN = re.compile(r"\w+|[^\w\s]")

# The kinds of documents that `sentiment` labels.
_LABELLED = ("review", "earnings")

Filled = tuple[Template, tuple[str, ...]]


@checked
def sentiment(world: World, n: NotNegativeCount, seed: Whole = 0) -> Dataset:
    """Reviews (finance: earnings reports) with the tone to be found.

    The text holds neither the opening nor the closing sentence, which would give the tone away.
    Each of its sentences agrees with the tone with probability 0.8, so single sentences mislead,
    and `bayes_accuracy(world)`, about 0.88, is the best that any classifier can do on average.
    That is so for any length of the tail (`World(tone_words=...)`); what grows with the tail is
    the number of labels that one needs to come near it, having learnt from labels alone.

    Returns:
        Columns `text` and `label` (0 bad, 1 good).
    """
    drafts = drafts_for(world, "sentiment", seed, lambda kind: kind.name in _LABELLED)
    rows = [next(drafts) for _ in range(n)]
    return Dataset.from_dict(
        {
            "text": [" ".join(t.format % values for _, t, values in d.body()) for d in rows],
            "label": [int(draft.script.tone == "good") for draft in rows],
        }
    )


@checked
def bayes_accuracy(world: World) -> float:
    """The accuracy of the best possible classifier on `sentiment(world, ...)`, exact.

    Given the side of each sentence (good or bad) the words say nothing more about the tone, and
    all sentences weigh the same. So the best guess is the majority, and on a tie either. A word of
    the tail is praise or blame and never both, so it tells its side, and no more than that.
    """
    toned = [(k, p) for k, p in world.mixture.kinds.items() if k.name in _LABELLED]
    total = math.fsum(p for _, p in toned)
    accuracy = 0.0
    for kind, p in toned:
        agreement = read(kind.name)["agreement"]
        for length, q in kind.lengths.items():
            accuracy += p / total * q * _majority_accuracy(length, agreement)
    return accuracy


def _majority_accuracy(votes: int, agreement: float) -> float:
    """Probability that most of the votes are right, half of it where they tie."""
    return math.fsum(
        math.comb(votes, right)
        * agreement**right
        * (1 - agreement) ** (votes - right)
        * (0.5 if 2 * right == votes else float(2 * right > votes))
        for right in range(votes + 1)
    )


@checked
def entities(world: World, n: NotNegativeCount, seed: Whole = 0) -> Dataset:
    """Sentences whose words are to be tagged as names of people, towns and so on.

    Context is needed: Alder is a town, Ivo Alder a person and Alder Glass a company.

    Returns:
        Columns `tokens` (words and punctuation marks) and `tags` (indices into `TAGS`).
    """
    random = Random(seed_of("world", world.seed, "entities: sentence", seed))
    tokens, tags = [], []
    for draft in drafts_for(world, "entities", seed, lambda kind: kind.name != "list"):
        if len(tokens) == n:
            break
        named = [
            (template, values)
            for _, template, values in draft.sentences
            if not _TAG_OF.keys().isdisjoint(template.names) and _UNCLEAR.isdisjoint(template.names)
        ]
        if named:
            words, labels = _tagged(named[int(random.random() * len(named))])
            tokens.append(words)
            tags.append(labels)
    return Dataset.from_dict({"tokens": tokens, "tags": tags})


def _tagged(filled: Filled) -> tuple[list[str], list[int]]:
    """The tokens of a sentence and their tags."""
    template, values = filled
    words, tags = [], []
    pieces = zip(template.literals, [*template.names, ""], [*values, ""], strict=True)
    for literal, name, value in pieces:
        for text, tag in ((literal, 0), (value, _TAG_OF.get(name, 0))):
            found = _TOKEN.findall(text)
            words += found
            tags += [0 if word in _NO_ENTITY else tag for word in found]
    return words, tags


# The subject of a kind as its templates name it.
_NAME_SLOTS = {"person": "person", "town": "town", "company": "company", "animal": "animal"}
# Of "on the mat" the last word is asked for.
_PLACES = ("somewhere", "place")


@checked
def cloze(world: World, n: NotNegativeCount, seed: Whole = 0) -> Dataset:
    """Single sentences with one word missing that the facts of the world decide.

    Returns:
        Columns `text` (with `{}` in place of the word), `answer` (one word), `kind`, and
        `evidence`: "left" or "right", the side of the gap on which the subject is named.
    """
    random = Random(seed_of("world", world.seed, "cloze: gap", seed))
    rows = []
    for draft in drafts_for(world, "cloze", seed, lambda kind: kind.name in _NAME_SLOTS):
        if len(rows) == n:
            break
        gaps = _gaps(draft)
        if gaps:
            rows.append(gaps[int(random.random() * len(gaps))])
    names = ("text", "answer", "evidence", "kind")
    return Dataset.from_dict({name: [row[name] for row in rows] for name in names})


def _gaps(draft: Draft) -> list[dict[str, str]]:
    """All examples that the sentences of a document allow."""
    facts, name, found = draft.subject.facts, _NAME_SLOTS[draft.kind.name], []
    for _, template, values in draft.sentences:
        if name not in template.names:
            continue
        home = template.names.index(name)
        for at, slot in enumerate(template.slots):
            fixed = facts["place"] if slot == "somewhere" else facts.get(slot)
            long = " " in values[at] and slot not in _PLACES
            if slot in (name, "sat") or values[at] != fixed or long:
                continue
            before, _, answer = values[at].rpartition(" ")
            gap = f"{before} {{}}".strip()
            text = template.format % (*values[:at], gap, *values[at + 1 :])
            if not re.search(rf"\b{re.escape(answer)}\b", text):
                side = "left" if home < at else "right"
                row = {"text": text, "answer": answer, "evidence": side, "kind": draft.kind.name}
                found.append(row)
    return found


@checked
def completions(
    world: World, n: NotNegativeCount, seed: Whole = 0, shots: NotNegativeCount = 2
) -> Dataset:
    """Lists to be continued, such as "dog: rug. hen: nest. cat:" with the answer "mat".

    The animal alone leaves four answers; the `shots` pairs before it tell which is meant.

    Returns:
        Columns `prompt`, `answer`, `relation`, `animal` and `choices` (the animal's four values).

    Raises:
        CourseError: the world has no lists, or fewer animals than `shots + 1`.
    """
    lists = [kind for kind in world.mixture.kinds.values if kind.name == "list"]
    if not lists:
        raise CourseError(f"the {world.register} register has no lists: use register='general'")
    relations = dict(zip(RELATIONS, (s.facts for s in lists[0].subjects.values), strict=True))
    animals = tuple(relations["place"])
    if shots >= len(animals):
        raise CourseError(f"shots={shots}: choose 0 to {len(animals) - 1}")
    random = Random(seed_of("world", world.seed, "completions", seed))
    rows = []
    for _ in range(n):
        relation = RELATIONS[int(random.random() * len(RELATIONS))]
        *shown, animal = draw_arrangement(animals, shots + 1, random)
        value = relations[relation]
        rows.append(
            {
                "prompt": "".join(f"{a}: {value[a]}. " for a in shown) + f"{animal}:",
                "answer": value[animal],
                "relation": relation,
                "animal": animal,
                "choices": [values[animal] for values in relations.values()],
            }
        )
    names = ("prompt", "answer", "relation", "animal", "choices")
    return Dataset.from_dict({name: [row[name] for row in rows] for name in names})


@checked
def questions(world: World, n: NotNegativeCount, seed: Whole = 0) -> Dataset:
    """Questions about people, towns and companies with their answers.

    Returns:
        Columns `prompt` ("Question: ... Answer:") and `answer` ("In Alder.").
    """
    drafts = drafts_for(world, "questions", seed, lambda kind: kind.name.endswith("_questions"))
    pairs = []
    while len(pairs) < n:
        _, template, values = next(drafts).sentences[0]
        pairs.append((template.format % values).split(" Answer: "))
    return Dataset.from_dict(
        {
            "prompt": [f"{question} Answer:" for question, _ in pairs],
            "answer": [answer for _, answer in pairs],
        }
    )


def drafts_for(
    world: World, purpose: str, seed: int, wanted: Callable[[Kind], bool]
) -> Iterator[Draft]:
    """Documents of the wanted kinds without end."""
    kinds = [(kind, p) for kind, p in world.mixture.kinds.items() if wanted(kind)]
    if not kinds:
        raise CourseError(f"the {world.register} register has no documents for {purpose}")
    mixture = Mixture(Choice([kind for kind, _ in kinds], [p for _, p in kinds]))
    random = Random(seed_of("world", world.seed, world.register, purpose, seed))
    while True:
        yield mixture.draw(random)
