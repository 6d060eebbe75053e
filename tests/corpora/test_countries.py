"""Guards the questions on countries: answerable, not given away, and told right from wrong.

pytest tests/corpora/test_countries.py
"""

import pytest

from course_lib.corpora.countries import CHOICES, CONTESTED, country_questions, holds
from course_lib.corpora.instructions import general_questions

QUESTIONS = country_questions()


def by(relation, country):
    return next(q for q in QUESTIONS if (q.relation, q.country) == (relation, country))


def test_there_are_enough_for_an_interval_and_each_is_asked_once():
    assert len(QUESTIONS) >= 200
    assert (
        len({q.question for q in QUESTIONS})
        == len({q.statement for q in QUESTIONS})
        == len(QUESTIONS)
    )


def test_facts_that_anyone_can_check():
    assert by("capital", "Peru").gold == "Lima"
    assert by("capital", "Kyrgyzstan").gold == "Bishkek"
    assert by("continent", "Kenya").gold == "Africa"
    assert by("language", "Brazil").gold == "Portuguese"
    assert by("capital", "Netherlands").question == "What is the capital of the Netherlands?"
    assert by("continent", "Netherlands").statement.startswith("The Netherlands is")


def test_choices_are_four_different_ones_with_the_right_one_at_any_place():
    places = set()
    for question in QUESTIONS:
        assert len(set(question.choices)) == CHOICES
        places.add(question.choices.index(question.gold))
    assert places == set(range(CHOICES))


def test_wrong_capitals_are_mostly_neighbours():
    peru = by("capital", "Peru")
    near = {q.gold for q in QUESTIONS if q.country in ("Ecuador", "Paraguay", "Argentina")}
    assert len(near & set(peru.choices)) >= 2


def test_no_name_gives_its_answer_away_and_nothing_contested_is_asked():
    for question in QUESTIONS:
        assert question.gold.split()[0] not in question.country
        assert question.country not in CONTESTED
    capitals = {q.country for q in QUESTIONS if q.relation == "capital"}
    assert not capitals & {"Tunisia", "Mexico", "South Africa"}
    assert "none" not in {q.country for q in QUESTIONS}


def test_the_choices_do_not_depend_on_the_order_of_files():
    country_questions.cache_clear()
    assert country_questions() == QUESTIONS


@pytest.mark.parametrize(
    ("text", "gold", "right"),
    [
        ("The capital of Peru is Lima.", "Lima", True),
        ("lima", "Lima", True),
        ("Limassol is a town.", "Lima", False),
        ("It is Bogota.", "Bogotá", True),
        ("São Paulo", "Brasília", False),
        ("Peru is a South American country.", "South America", True),
        ("It lies in the African continent", "Africa", True),
        ("European", "Europe", True),
        ("", "Lima", False),
    ],
)
def test_an_answer_is_right_if_it_names_the_gold_as_a_word(text, gold, right):
    assert holds(text, gold) is right


def test_what_reminds_gives_no_answer_away():
    """The questions for replay share no country, capital, continent or language with the test."""
    told = " ".join(general_questions()["train"] + general_questions()["validation"]).lower()
    for word in ("capital", "continent", "language", "country"):
        assert word not in told
    for question in QUESTIONS:
        assert not holds(told, question.country)
        assert not holds(told, question.gold)
