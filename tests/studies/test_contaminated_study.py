"""Guards the planted test: nothing but a copy gives its answers away, and the groups are as said.

pytest tests/studies/test_contaminated_study.py
"""

from collections import Counter

from course_lib.corpora import load
from course_lib.evaluation.contamination import overlap, words_of
from course_lib.studies.contaminated import CLEAN, COPIES, GROUPS, group_of, items, planted
from course_lib.studies.contaminated import training_text as text_of
from course_lib.studies.design import SEEDS


def test_items_are_long_enough_to_be_searched_and_have_one_right_choice():
    for item in items():
        assert len(words_of(item.question)) >= 13
        assert len(set(item.choices)) == 4
        assert item.text.endswith(f"Answer: {item.choices[item.answer]}")
        assert item.choices[item.answer] in item.told
        assert item.choices[item.answer].lower() not in words_of(item.question)


def test_the_world_that_is_read_knows_nobody_of_the_test():
    read = " ".join(load("world", documents=2000)["text"])
    for item in items():
        person = " ".join(item.again.split())
        assert person not in read


def test_who_always_takes_the_commonest_answer_is_little_better_than_chance():
    """Else a model that has read no copy could do better than guess."""
    tests = items()
    right = Counter(item.choices[item.answer] for item in tests)
    hits = 0
    for item in tests:
        own = item.choices[item.answer]
        others = [right[choice] - (choice == own) for choice in item.choices]
        hits += others.index(max(others)) == item.answer
    assert hits / len(tests) < 0.35


def test_every_item_is_in_another_group_in_every_seed():
    for number in range(len(GROUPS)):
        assert len({group_of(number, seed) for seed in SEEDS}) == len(SEEDS)
    sizes = Counter(group_of(number, 0) for number in range(len(items())))
    assert len(set(sizes.values())) == 1


def test_as_many_copies_are_planted_as_the_group_says():
    tests = items(1)
    documents = Counter(planted(tests, 3))
    for number, item in enumerate(tests):
        group = group_of(number, 3)
        copy = {"other words": item.told, "no answer": item.prompt}.get(group, item.text)
        assert documents[copy] == COPIES[group]


def test_thirteen_words_find_all_copies_and_no_clean_item():
    tests = items(4)
    recipe = CLEAN.replace(documents=2000)
    report = overlap([item.text for item in tests], text_of(recipe, tests), 13)
    found = {item.number for item in report.flagged}
    groups = {number: group_of(number, recipe.seed) for number in range(len(tests))}
    assert found == {n for n, group in groups.items() if group not in ("0", "other words")}
