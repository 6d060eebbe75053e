"""Guards quizzes: one right answer each, feedback on every option, one output, stable bytes.

pytest tests/classroom/test_quizzes.py
"""

import json
import re

import pytest

from course_lib.classroom import quiz
from course_lib.classroom.quizzes import load_quiz
from course_lib.runtime import CourseError, data_path

NAMES = sorted(path.stem for path in data_path("quizzes").glob("*.toml"))


@pytest.mark.parametrize("name", NAMES)
def test_each_question_has_one_right_answer_and_feedback_on_every_option(name):
    questions = load_quiz(name)
    assert len(questions) >= 4
    for question in questions:
        assert sum(option.correct for option in question.options) == 1, question.question
        assert len({option.answer for option in question.options}) == len(question.options) >= 3
        assert all(len(option.feedback) > 20 for option in question.options), question.question


@pytest.mark.parametrize("name", NAMES)
def test_the_right_answer_is_not_always_in_the_same_place(name):
    places = {[o.correct for o in q.options].index(True) for q in load_quiz(name)}
    assert len(places) >= 2


def test_the_output_is_one_piece_with_both_faces_and_stable_bytes():
    card = quiz("01")
    assert card.html == quiz("01").html
    assert card.html.count("<script>") == card.html.count("</script>") == 1
    assert card.html.count("<div") == card.html.count("</div>")
    assert "<details>" in card.html.split("<script>")[0]
    assert repr(card).startswith("1. ")


def test_the_script_holds_the_questions_and_would_replace_the_plain_quiz():
    script = quiz("02").html.split("<script>")[1]
    embedded = re.search(r"var questionscourseQuiz02=(\[.*?\]);\n", script, re.DOTALL).group(1)
    assert len(json.loads(embedded)) == len(load_quiz("02"))
    assert 'getElementById("courseQuiz02-plain")' in script


def test_texts_are_escaped_in_both_faces():
    html = quiz("00").html
    assert "<x>" not in html
    assert "&lt;x&gt;" in html


def test_a_notebook_may_be_named_in_full_and_a_missing_quiz_is_one_clear_line():
    assert repr(quiz("01_masked_language_modeling")) == repr(quiz("01"))
    with pytest.raises(CourseError, match="No quiz for notebook '99'"):
        quiz("99")
