"""Guards tasks put as requests: phrasings are held apart, texts stay the world's.

pytest tests/corpora/test_requests.py
"""

import pytest
from refusals import assert_refused

from course_lib.corpora import World
from course_lib.corpora.examples import load_pairs
from course_lib.corpora.requests import LABELS, PHRASINGS, requests
from course_lib.corpora.world.pairs import reading
from course_lib.corpora.world.tasks import sentiment


@pytest.mark.parametrize("task", PHRASINGS)
def test_the_phrasing_of_the_test_is_none_of_those_of_training(task):
    seen, unseen = PHRASINGS[task]
    assert len(set(seen)) == len(seen) >= 4
    assert unseen not in seen
    assert all(phrasing.count("{}") == 1 for phrasing in (*seen, unseen))


@pytest.mark.parametrize("task", PHRASINGS)
def test_phrasings_take_turns_on_texts_that_do_not_depend_on_them(task):
    one, other = requests(task, 40, seed=3), requests(task, 40, seed=3, unseen=True)
    assert one["completion"] == other["completion"]
    seen, unseen = PHRASINGS[task]
    texts = []
    for prompt in other["prompt"]:
        before, after = unseen.split("{}")
        assert prompt.startswith(before)
        assert prompt.endswith(after)
        texts.append(prompt[len(before) : len(prompt) - len(after)])
    used = set()
    for prompt, text in zip(one["prompt"], texts, strict=True):
        assert text in prompt
        used.add(prompt.replace(text, "{}"))
    assert used == set(seen)


def test_texts_and_answers_are_those_of_the_task():
    rows = requests("sentiment", 5, seed=1)
    drawn = sentiment(World(), 5, 1)
    assert rows["completion"] == [LABELS[label] for label in drawn["label"]]
    assert all(t in p for t, p in zip(drawn["text"], rows["prompt"], strict=True))
    rows, drawn = requests("reading", 5, seed=1), reading(World(), 5, 1)
    assert rows["completion"] == drawn["target"]


def test_they_are_pairs_by_name_and_another_draw_for_each_split():
    train = load_pairs("requests/reading", "train", documents=50)
    test = load_pairs("requests/reading", "test", documents=50)
    assert train.column_names == ["prompt", "completion"]
    assert set(train["prompt"]) != set(test["prompt"])
    begun = PHRASINGS["reading"].unseen.partition("{}")[0]
    asked = load_pairs("requests/reading:unseen", "test", documents=50)
    assert all(prompt.startswith(begun) for prompt in asked["prompt"])
    assert asked["completion"] == test["completion"]


def test_another_task_is_refused():
    assert_refused(lambda: load_pairs("requests/poems"), "sentiment")
    assert_refused(lambda: requests("reading", 0), "at least 1")
