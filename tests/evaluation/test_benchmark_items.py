"""Guards the items of the benchmarks: labels that are true, no item in two splits, the same anew.

pytest tests/evaluation/test_benchmark_items.py
"""

import json
import re
from collections import Counter
from itertools import islice

import pytest
from refusals import assert_refused

from course_lib.corpora import World
from course_lib.corpora.countries import country_questions
from course_lib.corpora.world import completions
from course_lib.evaluation.benchmarks import read_bigbench, splits
from course_lib.evaluation.benchmarks import world_items as world
from course_lib.evaluation.benchmarks.factbook_items import SUBJECTS, questions
from course_lib.evaluation.benchmarks.items import SHOTS, TEST
from course_lib.runtime import data_path

OF_THE_WORLD = (
    "acceptability", "paraphrase", "similarity", "inference", "yes_no", "word_in_context",
    "multi_sentence", "world",
)  # fmt: skip


def text_of(item):
    return json.dumps({k: v for k, v in item.items() if k not in ("label", "answer")})


@pytest.mark.parametrize("name", OF_THE_WORLD)
def test_items_are_distinct_and_no_split_holds_one_of_another(name):
    parts = splits(name)
    test, train = ([text_of(item) for item in parts[split]] for split in ("test", "train"))
    assert len(test) == TEST == len(set(test))
    assert len(set(train)) == len(train) > 400
    assert not set(test) & set(train)
    assert splits(name) == parts, "drawn anew, the same"


@pytest.mark.parametrize("name", OF_THE_WORLD)
def test_no_answer_is_right_nearly_always(name):
    items = splits(name)["test"]
    field = {"similarity": "rating", "world": "answer"}.get(name, "label")
    [(_, most)] = Counter(item[field] for item in items).most_common(1)
    assert most / len(items) < 0.75


def test_a_paraphrase_tells_the_same_names_and_the_others_differ_in_one():
    for item in splits("paraphrase")["test"]:
        names = [set(re.findall(r"[A-Z]\w+", item[f"sentence{k}"][1:])) for k in (1, 2)]
        assert item["sentence1"] != item["sentence2"]
        assert item["label"] in (0, 1)
        assert names[0] or names[1]


def made(make, count=400, seed=7):
    return list(islice(world.draw(make, seed), count))


def said_in(kind, facts):
    return {
        way.format_map(facts) for said in world.statements()[kind].values() for way in said["says"]
    }


def all_true_statements():
    """Everything that statements.toml can say of every subject of the world."""
    true = set()
    for kind in World().mixture.kinds.values:
        if kind.name in world.statements():
            for subject in kind.subjects.values:
                true |= said_in(kind.name, subject.facts)
    return true


def test_hypotheses_are_true_or_false_as_their_label_says():
    true = all_true_statements()
    labels = Counter()
    for item in made(world.inference):
        assert (item["hypothesis"] in true) == (item["label"] != 2), item
        labels[item["label"]] += 1
    assert set(labels) == {0, 1, 2}


def test_both_sentences_of_a_paraphrase_are_true_and_of_a_pair_that_is_none_only_the_first():
    true = all_true_statements()
    for item in made(world.paraphrase):
        assert item["sentence1"] in true
        assert (item["sentence2"] in true) == bool(item["label"])


def test_the_rating_is_the_number_of_facts_that_both_texts_tell():
    facts_of = {}
    for kind in World().mixture.kinds.values:
        if kind.name in world.statements():
            for subject in kind.subjects.values:
                for name, said in world.statements()[kind.name].items():
                    for way in said["says"]:
                        facts_of[way.format_map(subject.facts)] = (subject.name, name)
    for item in made(world.similarity, 200):
        told = [
            {facts_of[sentence] for sentence in re.split(r"(?<=\.) ", item[f"sentence{k}"])}
            for k in (1, 2)
        ]
        assert [len(one) for one in told] == [3, 3]
        assert len(told[0] & told[1]) == item["rating"]


def test_what_is_no_sentence_differs_by_an_exchange_or_an_ending():
    for item in made(world.acceptability):
        broken = re.search(r"\b(are|were|have)\b", item["sentence"])
        swapped = re.search(r"\b[\w-]+ (the|a|an|of|in|at|on|for)\b", item["sentence"])
        assert item["label"] or broken or swapped


def test_the_answer_of_multi_sentence_takes_the_passage():
    for item in made(world.multi_sentence, 100):
        town = re.search(r"lives in (.+) work\?", item["question"])[1]
        company = item["answer"].removeprefix("At ").removesuffix(".")
        [living] = [s for s in re.split(r"(?<=\.) ", item["passage"]) if town in s][:1]
        [working] = [s for s in re.split(r"(?<=\.) ", item["passage"]) if company in s][:1]
        people = [set(re.findall(r"[A-Z]\w+ [A-Z]\w+", s)) for s in (living, working)]
        assert bool(people[0] & people[1]) >= bool(item["label"])


@pytest.mark.parametrize("subject", SUBJECTS)
def test_questions_on_countries_have_four_choices_one_of_them_right(subject):
    items = questions(subject)
    assert len(items) > 70
    for item in items:
        assert len(set(item["choices"])) == 4
        assert 0 <= item["answer"] < 4
    asked = [item["question"] + " ".join(item["choices"]) for item in items]
    assert len(set(asked)) == len(asked)
    places = Counter(item["answer"] for item in items)
    assert max(places.values()) < 0.4 * len(items)
    parts = splits(subject)
    assert len(parts["train"]) == SHOTS
    assert parts["train"] + parts["test"] == list(items)


def test_two_steps_have_the_answer_of_the_two_questions():
    capital = {q.gold: q.country for q in country_questions() if q.relation == "capital"}
    known = {(q.relation, q.country): q.gold for q in country_questions()}
    checked = 0
    for item in questions("reasoning"):
        found = re.fullmatch(r"On which continent is the country whose capital is (.+)\?",
                             item["question"])  # fmt: skip
        if found:
            checked += 1
            right = known["continent", capital[found[1]]]
            assert item["choices"][item["answer"]] == right
    assert checked > 50


def test_causes_and_effects_do_not_give_themselves_away():
    parts = splits("cause_effect")
    items = parts["train"] + parts["test"]
    assert len({item["premise"] for item in items}) == len(items)
    assert 0.3 < sum(item["label"] for item in items) / len(items) < 0.6
    longer = [len(i["choices"][i["label"]]) > len(i["choices"][1 - i["label"]]) for i in items]
    assert 0.25 < sum(longer) / len(longer) < 0.75


def test_the_lists_are_drawn_from_the_world():
    task = read_bigbench(data_path("benchmarks", "bigbench", "animal_lists"))
    drawn = {row["prompt"]: row["answer"] for row in completions(World(), 400, seed=14, shots=3)}
    for example in task.examples:
        scores = example["target_scores"]
        assert scores[drawn[example["input"]]] == 1
        assert sum(scores.values()) == 1


def test_an_unknown_name_is_refused():
    assert_refused(lambda: splits("cola"), "items='cola'", "acceptability")
