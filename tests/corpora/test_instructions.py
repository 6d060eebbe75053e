"""Guards the general questions and the answers that a model gave to them before any tuning.

pytest tests/corpora/test_instructions.py
"""

from itertools import combinations

import pytest
from refusals import assert_refused

from course_lib.corpora.countries import country_questions, holds
from course_lib.corpora.examples import load_pairs
from course_lib.corpora.instructions import general_questions, own_answers
from course_lib.corpora.splits import SPLITS
from course_lib.finetuning.own_answers import first_sentence


def test_no_question_is_in_two_splits_and_none_comes_twice():
    splits = [set(general_questions()[split]) for split in SPLITS]
    assert all(not one & other for one, other in combinations(splits, 2))
    assert sum(map(len, splits)) == sum(len(asked) for asked in general_questions().values())


@pytest.mark.parametrize("split", SPLITS)
def test_nearly_every_question_has_an_answer_that_ends_a_sentence(split):
    rows = own_answers("smollm2", split)
    assert len(rows) >= 0.95 * len(general_questions()[split])
    assert [row["prompt"] for row in rows] == [
        prompt for prompt in general_questions()[split] if prompt in {r["prompt"] for r in rows}
    ]
    ended = [row["completion"][-1] in ".!?\"')" for row in rows]
    assert sum(ended) >= 0.9 * len(ended)
    assert all(row["completion"].strip() for row in rows)


def test_brief_answers_are_beginnings_of_whole_ones_and_end_at_a_sentence():
    for split in SPLITS:
        for long, short in zip(
            own_answers("smollm2", split), own_answers("smollm2-brief", split), strict=True
        ):
            assert long["prompt"] == short["prompt"]
            assert short["completion"] == first_sentence(long["completion"])
            assert long["completion"].startswith(short["completion"])


def test_a_first_sentence_has_four_words_or_is_all_there_is():
    assert first_sentence("A cat. It sleeps. Then it eats.") == "A cat. It sleeps."
    assert first_sentence('It is called "the sea." And more.') == 'It is called "the sea."'
    assert first_sentence("About 3.5 million people live there. Yes.").endswith("there.")
    for text in ("Au.", "no end at all", ""):
        assert first_sentence(text) == text


def test_the_answers_that_remind_name_no_country_of_the_test():
    told = " ".join(row["completion"] for row in own_answers("smollm2", "train"))
    named = {q.country for q in country_questions() if holds(told, q.country)}
    assert named == set()


def test_they_are_pairs_by_name():
    pairs = load_pairs("own-answers/smollm2", "train", documents=5)
    assert pairs.column_names == ["prompt", "completion"]
    assert pairs["prompt"] == general_questions()["train"][:5]


def test_a_model_that_nobody_asked_is_refused():
    assert_refused(lambda: own_answers("gpt5"), "smollm2")
    assert_refused(lambda: load_pairs("own-answers/gpt5"), "smollm2")
