"""Pairs of a source and its target, for models that read one text and write another.

All are drawn from the world, as the tasks in `course_lib.corpora.world.tasks` are. A source has
one target, whenever it is drawn. Draws repeat: what is popular in the world comes again, in
another seed's draw too, so leave out of a test what a model was trained on.
"""

from collections.abc import Iterator
from random import Random

from datasets import Dataset

from course_lib.corpora.world.kinds import Draft, Kind
from course_lib.corpora.world.language import to_inglosh
from course_lib.corpora.world.lexicon import read
from course_lib.corpora.world.tasks import drafts_for
from course_lib.corpora.world.world import World
from course_lib.runtime import CourseError, seed_of
from course_lib.runtime.checks import NotNegativeCount, Whole, checked

# Sentences after the opening: so few that most sources have under 64 tokens, in a vocabulary of
# 1,024, and nearly all under 80.
_SUMMED_UP = 3
_READ = 2

Pair = tuple[str, str]


@checked
def translation(world: World, n: NotNegativeCount, seed: Whole = 0) -> Dataset:
    """Sentences of the general register and their translation into Inglosh (`to_inglosh`).

    Returns:
        Columns `source` (English) and `target`.

    Raises:
        CourseError: the world has another register; Inglosh has no words for its sentences.
    """
    if world.register != "general":
        raise CourseError(f"the {world.register} register has no translation: use 'general'")
    random = Random(seed_of("world", world.seed, "translation: sentence", seed))
    drafts = drafts_for(world, "translation", seed, _is_prose)
    sentences = []
    for _ in range(n):
        filled = next(drafts).sentences
        _, template, values = filled[int(random.random() * len(filled))]
        sentences.append(template.format % values)
    return _dataset([(sentence, to_inglosh(sentence)) for sentence in sentences])


@checked
def summaries(world: World, n: NotNegativeCount, seed: Whole = 0) -> Dataset:
    """Documents of four sentences and a summary of one.

    The summary names the subject and says the two most important things that the document tells
    of it, in words of its own. What is more important stands first in `data/world/summaries.toml`.

    Returns:
        Columns `source` (the document) and `target` (its summary).
    """
    patterns = read("summaries")
    drafts = drafts_for(world, "summaries", seed, lambda kind: kind.name in patterns)
    fitting = (draft for draft in drafts if len(draft.body()) == _SUMMED_UP)
    return _dataset([(d.text(), _summary(d)) for d, _ in zip(fitting, range(n), strict=False)])


def _summary(draft: Draft) -> str:
    patterns = read("summaries")[draft.kind.name]
    told = {aspect.name for aspect, _, _ in draft.body()}
    first, second, *_ = (p for name, p in patterns["clauses"].items() if name in told)
    return f"{patterns['subject']} {first} and {second}.".format_map(draft.subject.facts)


@checked
def reading(world: World, n: NotNegativeCount, seed: Whole = 0) -> Dataset:
    """Questions whose answer is a span of the text beside them.

    The source is the text and then the question, as the world's own documents write it: "Ida Holt
    is a baker in Alder. ... Question: Where does Ida Holt work?"

    Returns:
        Columns `source` and `target`, the answer as it stands in the text.
    """
    asked = {kind.name: kind for kind in world.mixture.kinds.values if "questions" in kind.name}
    random = Random(seed_of("world", world.seed, "reading: question", seed))
    pairs = []
    for draft in drafts_for(world, "reading", seed, lambda k: f"{k.name}_questions" in asked):
        if len(pairs) == n:
            break
        if len(draft.body()) == _READ:
            found = list(_answered(draft, asked[f"{draft.kind.name}_questions"]))
            question, answer = found[int(random.random() * len(found))]
            pairs.append((f"{draft.text()} Question: {question}", answer))
    return _dataset(pairs)


def _answered(draft: Draft, questions: Kind) -> Iterator[Pair]:
    """The questions that the sentences of a document answer, and the answers."""
    facts = draft.subject.facts
    told = {_fact(slot) for _, template, _ in draft.sentences for slot in template.names}
    for aspect in questions.scripts.values[0].body:
        for template in aspect.templates.values:
            fact = _fact(template.names[-1])
            if fact in told:
                question, _, _ = template.text.removeprefix("Question: ").partition(" Answer: ")
                yield question.format_map(facts), facts[fact]


def _fact(slot: str) -> str:
    """The fact that a slot tells: "a_pet", "A_pet" and "pet" all tell "pet"."""
    return slot.lower().removeprefix("a_").removeprefix("an_")


def _is_prose(kind: Kind) -> bool:
    return all(script.opening is not None for script in kind.scripts.values)


def _dataset(pairs: list[Pair]) -> Dataset:
    return Dataset.from_dict({"source": [s for s, _ in pairs], "target": [t for _, t in pairs]})
