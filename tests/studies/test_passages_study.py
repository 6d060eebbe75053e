"""The question-only control of notebook 03: what is taken from a passage, and what is put there."""

from datasets import Dataset

from course_lib.studies.passages import (
    question_of,
    with_changed_answers,
    with_other_passages,
    without_passages,
)
from course_lib.studies.spans import task_pairs

PAIRS = Dataset.from_dict(
    {
        "source": [
            "Holt is in Westland. Question: Where is Holt?",
            "Alder is in Eastmoor. It is in Eastmoor. Question: Where is Alder?",
            "Ida bakes. Question: Who bakes?",
        ],
        "target": ["Westland", "Eastmoor", "Ida"],
    }
)


def test_a_question_without_its_passage():
    assert without_passages(PAIRS)["source"][0] == "Question: Where is Holt?"
    assert list(without_passages(PAIRS)["target"]) == list(PAIRS["target"])


def test_another_passage_is_that_of_the_next_question():
    found = list(with_other_passages(PAIRS)["source"])
    assert found[0] == "Alder is in Eastmoor. It is in Eastmoor. Question: Where is Holt?"
    assert found[2] == "Holt is in Westland. Question: Who bakes?"


def test_a_changed_passage_holds_the_new_answer_and_not_the_old():
    found = with_changed_answers(PAIRS)
    assert list(found["target"]) == ["Eastmoor", "Westland"]
    assert list(found["old"]) == ["Westland", "Eastmoor"]
    assert found["source"][1] == (
        "Alder is in Westland. It is in Westland. Question: Where is Alder?"
    )


def test_most_questions_of_the_world_can_be_changed():
    _, test = task_pairs("reading", 0, test_pairs=100)
    found = with_changed_answers(test)
    assert len(found) > 80
    for row in found:
        passage = row["source"].removesuffix(question_of(row["source"]))
        assert row["target"] in passage
        assert row["old"] not in passage.split()
