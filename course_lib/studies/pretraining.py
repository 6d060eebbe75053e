"""What pre-training builds, probed at several lengths of it: the experiment of notebook 08.

A tiny GPT-2 reads the world for 100, 300 or 600 steps by Muon, or for 300 by AdamW, each run with
a schedule of its own length. Then it is asked for grammar, facts and conclusions, as it is, without
any tuning: of several sentences or answers, which does it find likeliest?

Written down before the runs were made:

- If pre-training taught nothing, every probe would stand where the untrained model stands: grammar
  and comparisons at 0.5 (one of two), facts and two-step questions at 0.25 (one of four).
- The laziest opponent of grammar counts pairs of words. Where the wrong word makes a pair that the
  text never has, it is right without any grammar; so the probe shows fluency in this text, no more.
- If facts were learnt as rules are, how often a fact stands in the text would not matter. The share
  right should then be the same for rare and for frequent ones. A model that only knew which answers
  are common would be above 0.25 at facts that were never told, too: that is the control.
- A two-step question asks for a person's town where no text names the two together, but texts name
  the person's company, and others the town of that company. If a model put two facts together, it
  would be above 0.25 here wherever it knows both parts.
- A comparison asks which of two towns is larger, and which is smaller. Large towns are also talked
  about more, so a model that prefers the better-known name is right half of the time, not more.
- If the optimizer made no difference at equal tokens, the losses would agree. Each has the best of
  three rates: AdamW of 3e-3, 6e-3 and 1.2e-2 by the validation loss of seed 0 after 300 steps, Muon
  of 5e-3, 1e-2 and 2e-2, for a model of this shape and this text, in notebook 04.
"""

from collections.abc import Sequence
from functools import cache
from random import Random
from statistics import fmean
from typing import Any, NamedTuple

from torch import nn
from transformers import PreTrainedTokenizerBase

from course_lib.corpora import load, world_of
from course_lib.corpora.world.kinds import Subject
from course_lib.evaluation import document_losses
from course_lib.finetuning import choice_log_probs
from course_lib.generation import generate
from course_lib.runtime import seed_of
from course_lib.studies.design import recipe, study
from course_lib.training import Recipe, Run, fresh_model

STEPS = (100, 300, 600)
RATES = {"adamw": 6e-3, "muon": 1e-2}
CHOICES = 4
# How often the training text tells a fact: from never to 64 times and more.
OFTEN = {
    "never": (0, 0),
    "1 to 3": (1, 3),
    "4 to 15": (4, 15),
    "16 to 63": (16, 63),
    "64 and more": (64, 10**6),
}
EACH = 40  # facts of each question and frequency
BEGINNING = "The cat"

READER = recipe("gpt2-world").replace(documents=30_000, steps=STEPS[-1])


def arm(optimizer: str, steps: int) -> Recipe:
    """The recipe of one optimizer and one length."""
    return READER.replace(
        name=f"probed-{optimizer}",
        optimizer=optimizer,
        learning_rate=RATES[optimizer],
        steps=steps,
        warmup=min(50, steps // 4),
        evaluate_every=max(10, steps // 20),
    )


# ---------------------------------------------------------------- grammar

# A word and what it becomes in the wrong sentence.
SLIPS = (
    (" has ", " have "),
    (" works ", " work "),
    (" an ", " a "),
    (" is ", " are "),
    (" a ", " an "),
    (" lives ", " live "),
    (" was ", " were "),
    (" in the ", " the in "),
)


@cache
def minimal_pairs(count: int = 100) -> tuple[tuple[str, str], ...]:
    """Held-out sentences of the world, each with a copy that one slip makes wrong."""
    pairs: list[tuple[str, str]] = []
    for text in load("world", "test")["text"]:
        right, wrong = SLIPS[len(pairs) % len(SLIPS)]
        if right in text:
            place = text.index(right)
            pairs.append((text, text[:place] + wrong + text[place + len(right) :]))
        if len(pairs) == count:
            break
    return tuple(pairs)


def prefers_first(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, pairs: Sequence[tuple[str, str]]
) -> list[bool]:
    """For each pair of texts, whether a causal model finds the first one likelier."""
    texts = [text for pair in pairs for text in pair]
    nats = document_losses(model, tokenizer, texts)["nats"].to_numpy()
    return (nats[::2] < nats[1::2]).tolist()


# ---------------------------------------------------------------- facts


class Fact(NamedTuple):
    """A prompt, its right answer first among the choices, and how often the text tells it."""

    prompt: str
    choices: tuple[str, ...]
    told: int


class Asked(NamedTuple):
    """The beginning of a sentence of the world about a kind of subject, and the fact asked for."""

    kind: str
    prompt: str
    key: str


COMPANY = Asked("company", "There is a company called {company} in", "town")
ASKED = (
    Asked("animal", "The {animal} {sat}", "place"),
    Asked("animal", "The {animal} {sat} {place}. It eats", "food"),
    Asked("town", "{town} lies on the river", "river"),
    Asked("person", "{person} lives in", "town"),
    COMPANY,
)


@cache
def subjects(kind: str) -> tuple[Subject, ...]:
    """All subjects of a kind, the best known first."""
    kinds = {one.name: one for one in world_of("world").mixture.kinds.values}
    return tuple(kinds[kind].subjects.values)


@cache
def _texts() -> tuple[str, ...]:
    return tuple(load("world", documents=READER.data.documents)["text"])


@cache
def _naming(kind: str) -> dict[str, list[str]]:
    """The texts that name each subject of a kind."""
    found: dict[str, list[str]] = {subject.name: [] for subject in subjects(kind)}
    longest = max(len(name.split()) for name in found)
    for text in _texts():
        words = [word.strip(".,:;!?") for word in text.split()]
        spans = {
            " ".join(words[at : at + length])
            for at in range(len(words))
            for length in range(1, longest + 1)
        }
        for name in spans & found.keys():
            found[name].append(text)
    return found


def told(kind: str, name: str, value: str) -> int:
    """How many training texts name a subject and a value of it."""
    return sum(value in text for text in _naming(kind)[name])


def _four(gold: str, values: Sequence[str], *key: object) -> tuple[str, ...]:
    """The right answer and three others, drawn by a key as often as they are right elsewhere.

    So a model that only knows which answers are common is right one time in four.
    """
    drawn, draw = [gold], Random(seed_of("choices", *key))
    while len(drawn) < CHOICES:
        other = draw.choice(values)
        if other not in drawn:
            drawn.append(other)
    return tuple(drawn)


@cache
def facts() -> dict[str, tuple[Fact, ...]]:
    """Up to `EACH` facts of each question, by how often the training text tells them."""
    found: dict[str, list[Fact]] = {often: [] for often in OFTEN}
    for kind, prompt, key in ASKED:
        values = [subject.facts[key] for subject in subjects(kind)]
        room = dict.fromkeys(OFTEN, EACH)
        order = list(subjects(kind))
        Random(0).shuffle(order)
        for subject in order:
            gold = subject.facts[key]
            times = told(kind, subject.name, gold)
            often = next(name for name, (low, high) in OFTEN.items() if low <= times <= high)
            if room[often]:
                room[often] -= 1
                choices = _four(gold, values, subject.name)
                found[often].append(Fact(prompt.format(**subject.facts), choices, times))
    return {often: tuple(kept) for often, kept in found.items()}


def share_right(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, asked: Sequence[Fact]
) -> float:
    """Share of facts whose right answer is the likeliest of its choices."""
    prompts, choices = [fact.prompt for fact in asked], [fact.choices for fact in asked]
    scores = choice_log_probs(model, tokenizer, prompts, choices, template="plain")
    return fmean(int(found.argmax()) == 0 for found in scores)


# ---------------------------------------------------------------- conclusions


@cache
def two_steps(count: int = 100) -> dict[str, tuple[Fact, ...]]:
    """Persons whose town no text names beside them, but whose company and its town texts do name.

    "whole" asks where the person lives, "first" where they work, "second" where that company is.
    """
    people = subjects("person")
    towns, companies = ([person.facts[key] for person in people] for key in ("town", "company"))
    found: dict[str, list[Fact]] = {"whole": [], "first": [], "second": []}
    for person in people:
        town, company = person.facts["town"], person.facts["company"]
        times = told("person", person.name, company), told("company", company, town)
        if told("person", person.name, town) or not all(times):
            continue
        key = person.name
        found["whole"].append(Fact(f"{key} lives in", _four(town, towns, key), 0))
        question = f"Question: Where does {key} work? Answer: At"
        found["first"].append(Fact(question, _four(company, companies, key), times[0]))
        question = COMPANY.prompt.format(company=company)
        found["second"].append(Fact(question, _four(town, towns, company), times[1]))
        if len(found["whole"]) == count:
            break
    return {part: tuple(kept) for part, kept in found.items()}


@cache
def comparisons(count: int = 100) -> tuple[Fact, ...]:
    """Which of two well-known towns is larger, and which is smaller, each pair asked both ways."""
    known, draw = subjects("town")[:40], Random(0)
    found: list[Fact] = []
    while len(found) < count:
        pair = draw.sample(known, 2)
        people = [int(town.facts["population"].replace(",", "")) for town in pair]
        if people[0] == people[1]:
            continue
        for word, best in (("more", max(people)), ("fewer", min(people))):
            right = pair[people.index(best)].name
            names = [town.name for town in pair]
            question = f"Question: Which town has {word} people, {names[0]} or {names[1]}? Answer:"
            other = next(name for name in names if name != right)
            found.append(Fact(question, (right, other), 1))
    return tuple(found)


# ---------------------------------------------------------------- what is measured


def probes(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The share right at each probe, and a sentence that the model goes on with."""
    both = model, tokenizer
    return {
        "grammar": fmean(prefers_first(*both, minimal_pairs())),
        "facts": {often: share_right(*both, asked) for often, asked in facts().items()},
        "two_steps": {part: share_right(*both, asked) for part, asked in two_steps().items()},
        "comparisons": share_right(*both, comparisons()),
        "writes": BEGINNING + generate(*both, BEGINNING, max_new_tokens=40),
    }


def measure_probes(run: Run) -> dict[str, Any]:
    """The probes on a run, and for the shortest runs on the same model untrained."""
    found = probes(run.model, run.tokenizer)
    if run.recipe.optimization.steps == STEPS[0]:
        fresh = fresh_model(run.recipe, run.tokenizer).to(run.model.device)
        found["untrained"] = probes(fresh, run.tokenizer)
    return found


ARMS = [*(arm("muon", steps) for steps in STEPS), arm("adamw", STEPS[1])]
STUDIES = (study("pretraining-world", ARMS, measure_probes, tolerance=0.2),)
