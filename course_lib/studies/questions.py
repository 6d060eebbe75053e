"""The same questions for models of any size: grammar, facts, two steps, comparisons.

They are about real things (`data/probes.toml`, the countries of the Factbook), put as the beginning
of a text, so that a model which was never tuned can be asked them, too. Of several endings, which
does it find likeliest? The floor is guessing: one half for grammar and sizes, a quarter elsewhere.
"""

import tomllib
from functools import cache
from statistics import fmean
from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase

from course_lib.corpora.countries import country_questions
from course_lib.finetuning import choice_log_probs
from course_lib.runtime import data_path
from course_lib.studies.pretraining import prefers_first

FLOORS = {"grammar": 0.5, "capital": 0.25, "continent": 0.25, "two steps": 0.25, "sizes": 0.5}


@cache
def _probes() -> dict[str, Any]:
    return tomllib.loads(data_path("probes.toml").read_text(encoding="utf-8"))


def grammar_pairs() -> list[tuple[str, str]]:
    """Sentences, each with a copy that is wrong."""
    return [(right, wrong) for pairs in _probes()["grammar"].values() for right, wrong in pairs]


def size_questions() -> list[tuple[str, tuple[str, str]]]:
    """A prompt and two endings, the right one first; each pair in both orders, both ways.

    So whoever likes the first of two things, or elephants, is right half of the time.
    """
    asked = []
    for pair in _probes()["size"]["pairs"]:
        for word, right in (("larger", 0), ("smaller", 1)):
            for first, second in (pair, pair[::-1]):
                prompt = f"Which is {word}, {first} or {second}? The {word} one is"
                asked.append((prompt, (pair[right], pair[1 - right])))
    return asked


def country_prompts(relation: str, count: int) -> list[tuple[str, tuple[str, ...]]]:
    """A prompt and four endings, the right one first: "capital", "continent" or "two steps".

    Two steps lead from a capital by its country to the continent, and the country is not named.
    """
    by_country = {
        (question.relation, question.country): question for question in country_questions()
    }
    asked = []
    for (kind, country), question in by_country.items():
        if relation == "two steps" and kind == "continent" and ("capital", country) in by_country:
            capital = by_country["capital", country].gold
            prompt = f"{capital} is the capital of a country on the continent of"
        elif kind == relation:
            prompt = question.statement
        else:
            continue
        others = [choice for choice in question.choices if choice != question.gold]
        asked.append((prompt, (question.gold, *others)))
    return asked[:: max(1, len(asked) // count)][:count]


def ask_all(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, count: int = 40
) -> dict[str, list[bool]]:
    """Question by question whether a model prefers the right answer; `count` of each on countries.

    Raises:
        CourseError: the model is not causal, or the package of the Factbook is missing.
    """
    found = {"grammar": prefers_first(model, tokenizer, grammar_pairs())}
    asked = {name: country_prompts(name, count) for name in ("capital", "continent", "two steps")}
    for name, these in (asked | {"sizes": size_questions()}).items():
        prompts, choices = zip(*these, strict=True)
        scores = choice_log_probs(model, tokenizer, list(prompts), list(choices), template="plain")
        found[name] = [int(score.argmax()) == 0 for score in scores]
    return found


def shares(found: dict[str, list[bool]]) -> dict[str, float]:
    """The share right of each kind of question."""
    return {name: fmean(right) for name, right in found.items()}
