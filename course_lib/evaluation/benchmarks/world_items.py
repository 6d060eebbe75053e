"""Items about the world in the forms of GLUE and SuperGLUE; every label is true by construction.

GLUE (Wang et al. 2018) asks of a sentence whether it is one, and of two sentences whether they say
the same; SuperGLUE (Wang et al. 2019) asks about passages. The world's own documents are the
passages. What is asked stands in `data/benchmarks/statements.toml`, in words of its own.
"""

import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from random import Random
from typing import Any

from course_lib.corpora import World
from course_lib.corpora.world.kinds import Draft
from course_lib.corpora.world.tasks import drafts_for
from course_lib.runtime import data_path, seed_of

Item = dict[str, Any]

_FUNCTION_WORD = re.compile(r"\b(the|a|an|of|in|at|on|for) ([\w-]+)")
_SINGULAR = re.compile(r"\b(is|was|has)\b")
_PLURAL = {"is": "are", "was": "were", "has": "have"}
_SHARED = 3  # facts in each text of a pair whose similarity is asked for
_LONGEST = 3  # sentences behind the opening of a passage


@cache
def statements() -> dict[str, dict[str, dict[str, Any]]]:
    """By kind of subject and fact: ways to say it, and two questions."""
    path = data_path("benchmarks", "statements.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def acceptability(draft: Draft, random: Random) -> Item | None:
    """CoLA's form: is this a sentence? One in three has two words exchanged or a wrong ending.

    Exchanged are an article or preposition and the word behind it ("the baker", "baker the"); the
    ending is a plural verb ("It have 2,700 inhabitants"). None of that is English.
    """
    sentence = random.choice(draft.sentences)
    text = sentence[1].format % sentence[2]
    if random.random() < 2 / 3:
        return {"sentence": text, "label": 1}
    found = [*_FUNCTION_WORD.finditer(text), *_SINGULAR.finditer(text)]
    if not found:
        return None
    at = random.choice(found)
    wrong = _PLURAL.get(at[0]) or f"{at[2]} {at[1]}"
    return {"sentence": text[: at.start()] + wrong + text[at.end() :], "label": 0}


def paraphrase(draft: Draft, random: Random) -> Item:
    """MRPC's form: do two sentences say the same? If not, they differ in one name alone."""
    facts, (name, said) = draft.subject.facts, random.choice(_statements(draft))
    one, other = random.sample(said["says"], 2)
    label = int(random.random() < 0.5)
    theirs = facts if label else facts | {name: _another(draft, name, random)}
    first, second = one.format_map(facts), other.format_map(theirs)
    return {"sentence1": first, "sentence2": second, "label": label}


def similarity(draft: Draft, random: Random) -> Item:
    """STS-B's form: two texts of three facts each; the rating is how many of them they share."""
    facts, known = draft.subject.facts, _statements(draft)
    random.shuffle(known)
    rating = random.randrange(_SHARED + 1)
    first, again = known[:_SHARED], known[:rating] + known[_SHARED : 2 * _SHARED - rating]
    random.shuffle(again)
    ways = [random.sample(said["says"], 2) for _, said in known]
    said = dict(zip([name for name, _ in known], ways, strict=True))
    texts = [
        " ".join(said[name][which].format_map(facts) for name, _ in part)
        for which, part in enumerate((first, again))
    ]
    return {"sentence1": texts[0], "sentence2": texts[1], "rating": rating}


def inference(draft: Draft, random: Random) -> Item | None:
    """MNLI's form: true (0), neither (1) or false (2), by what the passage tells."""
    facts, told = draft.subject.facts, _told(draft)
    label = random.randrange(3)
    pool = [one for one in _statements(draft) if (one[0] in told) == (label != 1)]
    if not pool:
        return None
    name, said = random.choice(pool)
    if label == 2:
        facts = facts | {name: _another(draft, name, random)}
    hypothesis = random.choice(said["says"]).format_map(facts)
    return {"premise": draft.text(), "hypothesis": hypothesis, "label": label}


def yes_no(draft: Draft, random: Random) -> Item | None:
    """BoolQ's form: a passage, and a question that it answers with yes or no."""
    facts, told = draft.subject.facts, _told(draft)
    pool = [one for one in _statements(draft) if one[0] in told]
    if not pool:
        return None
    name, said = random.choice(pool)
    label = int(random.random() < 0.5)
    if not label:
        facts = facts | {name: _another(draft, name, random)}
    return {"passage": draft.text(), "question": said["asks"].format_map(facts), "label": label}


def multi_sentence(draft: Draft, random: Random) -> Item | None:
    """MultiRC's form: the answer takes two sentences of the passage, about two people."""
    if draft.kind.name != "person":
        return None
    one, two = draft.subject.facts, draft.kind.subjects.draw(random).facts
    if any(one[name] == two[name] for name in ("person", "town", "company")):
        return None
    says = statements()["person"]
    passage = [
        random.choice(says[name]["says"]).format_map(facts)
        for facts in (one, two)
        for name in ("town", "company")
    ]
    random.shuffle(passage)
    asked, other = (one, two) if random.random() < 0.5 else (two, one)
    label = int(random.random() < 0.5)
    question = f"Where does the one who lives in {asked['town']} work?"
    answer = f"At {(asked if label else other)['company']}."
    return {"passage": " ".join(passage), "question": question, "answer": answer, "label": label}


def world_questions(draft: Draft, random: Random) -> Item:
    """MMLU's form on the world's own facts: four choices, three of them true of others.

    Question and answer are worded as the world's documents word them.
    """
    facts = draft.subject.facts
    name, said = random.choice([one for one in _statements(draft) if "gives" in one[1]])
    values = {facts[name]}
    while len(values) < 4:
        values.add(_another(draft, name, random))
    answers = {value: said["gives"].format_map({name: value}) for value in values}
    choices = [answer[0].upper() + answer[1:] for answer in answers.values()]
    gold = choices[list(answers).index(facts[name])]
    choices = random.sample(sorted(choices), 4)
    return {
        "question": said["wants"].format_map(facts),
        "choices": choices,
        "answer": choices.index(gold),
    }


def word_in_context(seed: int) -> Iterator[Item]:
    """WiC's form: is a word the name of the same kind of thing in two sentences?

    Alder is a town, Ivo Alder a person and Alder Glass a company.
    """
    random = Random(seed_of("benchmarks", "word in context", seed))
    drafts = drafts_for(World(), "benchmarks: word in context", seed, _can_be_asked)
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for draft in islice(drafts, 4000):
        for _, template, values in draft.sentences:
            for slot, value in zip(template.names, values, strict=True):
                place = {"person": -1, "friend": -1, "mayor": -1, "company": 0, "town": 0}
                if slot in place:
                    kind = "person" if place[slot] else slot
                    found[value.split()[place[slot]]][kind].append(template.format % values)
    words = sorted(word for word, kinds in found.items() if len(kinds) > 1)
    while True:
        word, label = random.choice(words), int(random.random() < 0.5)
        kinds = random.sample(sorted(found[word]), 2)
        one, other = (random.choice(found[word][kind]) for kind in (kinds[0], kinds[label - 1]))
        if label == int(kinds[0] == kinds[label - 1]) and one != other:
            yield {"word": word, "sentence1": one, "sentence2": other, "label": label}


def draw(make: Callable[[Draft, Random], Item | None], seed: int) -> Iterator[Item]:
    """Items without end, from drafts of the world that are short enough to be passages."""
    random = Random(seed_of("benchmarks", make.__name__, seed))
    drafts = drafts_for(World(), f"benchmarks: {make.__name__}", seed, _can_be_asked)
    for draft in drafts:
        if len(draft.body()) <= _LONGEST and (item := make(draft, random)):
            yield item


def _can_be_asked(kind: Any) -> bool:
    return kind.name in statements()


def _statements(draft: Draft) -> list[tuple[str, dict[str, Any]]]:
    return list(statements()[draft.kind.name].items())


def _told(draft: Draft) -> set[str]:
    """The facts that a document tells, by the slots of its sentences."""
    slots = {slot for _, template, _ in draft.sentences for slot in template.names}
    return slots | {"a_pet" for slot in slots if slot in ("pet", "A_pet")}


def _another(draft: Draft, name: str, random: Random) -> str:
    """What is true of another subject of the kind, and not of this one."""
    while True:
        value = draft.kind.subjects.draw(random).facts[name]
        if value != draft.subject.facts[name]:
            return value
