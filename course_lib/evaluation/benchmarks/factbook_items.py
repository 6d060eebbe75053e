"""Questions with four choices, by subject, from the World Factbook: the form of MMLU.

Hendrycks et al. 2021 took theirs from examinations. These are about countries of five million
people or more (`course_lib.corpora.countries` says which, and why), so that a real model's real
knowledge is asked for. The wrong choices are right for other countries. The last subject asks for
a comparison or for two facts in a row, none of which the question names.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from course_lib.corpora.countries import (
    country_questions,
    factbook_pages,
    page_field,
    with_article,
)
from course_lib.runtime import seed_of

Item = dict[str, Any]

SUBJECTS = ("geography", "government", "economy", "people", "reasoning")
_CURRENCY = re.compile(r"([a-z]+) \([A-Z]{3}\) per US dollar")
_BORDER = re.compile(r"([A-Z][\w' -]+?) [\d,.]+ km")
_CITY = re.compile(r"(?:^|, )[\d.,]+(?: million)? ([A-Z][a-z]+(?: [A-Z][a-z]+)?)(?=,| \(\d)")
_PEOPLE = re.compile(r"[\d,]+")
_SINGULAR = {  # of those that do not end in "s"
    "leva": "lev", "koruny": "koruna", "kroner": "krone", "kronor": "krona", "lei": "leu",
    "quetzales": "quetzal", "colones": "colon", "meticais": "metical", "zlotych": "zloty",
}  # fmt: skip
_APART = 1.5  # the most populous of four has at least so many times the people of the next


@cache
def questions(subject: str) -> tuple[Item, ...]:
    """All questions of a subject, shuffled: `question`, four `choices`, `answer` (a place)."""
    found = list(_SUBJECTS[subject]())
    return tuple(sorted(found, key=lambda item: seed_of("benchmarks", item["question"])))


def _known(*relations: str) -> Iterator[Item]:
    for one in country_questions():
        if one.relation in relations:
            yield _item(one.question, one.gold, one.choices)


def _geography() -> Iterator[Item]:
    yield from _known("continent")
    for name, page in _pages():
        near = _BORDER.findall(page_field(page, "Geography", "Land boundaries", "border countries"))
        bordering = sorted({other for other in near if other in _names()})
        apart = [other for other in _same_region(name) if other not in (name, *near)]
        if bordering and len(apart) >= 3:
            gold = _first(bordering, "border", name)
            wrong = _shuffled(apart, "apart", name)[:3]
            yield _item(
                f"Which of these countries has a border with {with_article(name)}?", gold, wrong
            )


def _economy() -> Iterator[Item]:
    units = {}
    for name, page in _pages():
        found = _CURRENCY.search(page_field(page, "Economy", "Exchange rates", "Currency"))
        if found:
            units[name] = _SINGULAR.get(found[1], re.sub("(?<=[a-z]{3})s$", "", found[1]))
    for name, unit in units.items():
        wrong = _shuffled(sorted(set(units.values()) - {unit}), "unit", name)[:3]
        yield _item(f"What is the unit of currency of {with_article(name)}?", unit, wrong)


def _people() -> Iterator[Item]:
    yield from _known("language")
    for name, page in _pages():
        cities = _CITY.findall(
            page_field(page, "People and Society", "Major urban areas - population")
        )
        wrong = _shuffled([o for o in _same_region(name) if o != name], "city", name)[:3]
        if cities and len(wrong) == 3:
            yield _item(f"In which country is the city of {cities[0]}?", name, wrong)


def _reasoning() -> Iterator[Item]:
    people = {}
    for name, page in _pages():
        found = _PEOPLE.match(page_field(page, "People and Society", "Population", "total"))
        people[name] = int(found[0].replace(",", ""))
    for name in people:
        smaller = [other for other in people if people[other] * _APART <= people[name]]
        if len(smaller) >= 3:
            wrong = _shuffled(smaller, "smaller", name)[:3]
            yield _item("Which of these countries has the most people?", name, wrong)
    capital = {q.country: q.gold for q in country_questions() if q.relation == "capital"}
    for one in country_questions():
        if one.relation != "capital" and one.country in capital:
            asked = _TWO_STEPS[one.relation].format(capital[one.country])
            yield _item(asked, one.gold, one.choices)


_TWO_STEPS = {
    "continent": "On which continent is the country whose capital is {}?",
    "language": "What is the official language of the country whose capital is {}?",
}
_SUBJECTS = {
    "geography": _geography,
    "government": lambda: _known("capital"),
    "economy": _economy,
    "people": _people,
    "reasoning": _reasoning,
}


def _item(question: str, gold: str, others: tuple[str, ...] | list[str]) -> Item:
    """With the choices in an order that follows from the question and from nothing else."""
    choices = _shuffled(sorted({gold, *others}), question, gold)
    return {"question": question, "choices": choices, "answer": choices.index(gold)}


def _shuffled(values: list[str], *key: str) -> list[str]:
    return sorted(values, key=lambda value: seed_of("benchmarks", *key, value))


def _first(values: list[str], *key: str) -> str:
    return _shuffled(values, *key)[0]


@cache
def _names() -> frozenset[str]:
    return frozenset(question.country for question in country_questions())


def _same_region(name: str) -> list[str]:
    regions = _regions()
    return [other for other in sorted(regions) if regions[other][0] == regions[name][0]]


def _pages() -> Iterator[tuple[str, dict[str, Any]]]:
    regions = _regions()
    return ((name, regions[name][1]) for name in sorted(regions))


@cache
def _regions() -> dict[str, tuple[str, dict[str, Any]]]:
    """By name of the country: its region of the world, and its page."""
    found = {}
    for region, page in factbook_pages():
        name = page_field(page, "Government", "Country name", "conventional short form")
        if name in _names():
            found[name] = (region, page)
    return found
