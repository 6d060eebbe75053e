"""Guards what is on record of benchmarks: scores that follow from what was said, runs made again.

Run with: pytest tests/studies/test_benchmark_studies.py
"""

import numpy as np
import pytest
from refusals import assert_refused
from sklearn.metrics import accuracy_score, matthews_corrcoef

from course_lib.evaluation import exact_interval
from course_lib.evaluation.benchmarks import evaluate_tasks, splits, task_names
from course_lib.models.real import real
from course_lib.runtime import CourseError
from course_lib.studies import benchmarks, suites
from course_lib.studies.design import SEEDS
from course_lib.training import load_base

COUNTRIES = splits("factbook")["test"]


def test_each_setting_is_on_record_once_with_a_hundred_questions():
    found = benchmarks.recorded("smollm2", "factbook")
    names = [one.setting for one in found]
    assert len(names) == len(set(names))
    assert set(names) == set(benchmarks.SETTINGS)
    assert {len(one.said) for one in found} == {100} == {len(COUNTRIES)}
    assert all("torch" in one.info for one in found)


@pytest.mark.parametrize("one", benchmarks.recorded("smollm2", "factbook"), ids=lambda o: o.setting)
def test_scores_of_countries_follow_from_what_was_said(one):
    turn = benchmarks.SETTINGS[one.setting].turn
    right = [
        int(np.argmax(said)) == (item["answer"] + turn) % 4
        for said, item in zip(one.said, COUNTRIES, strict=True)
    ]
    assert one.right == [float(x) for x in right]
    score = one.score("acc")
    exact = exact_interval(sum(right), len(right))
    assert (score.value, score.low, score.high) == pytest.approx(
        (exact.mean, exact.low, exact.high), abs=1e-5
    )


def test_other_records_are_of_items_as_they_are_drawn_today():
    for name, task in (("acceptability", "glue_acceptability"), ("world", "mmlu_world_by_text")):
        [one] = benchmarks.recorded("smollm2", task)
        field = "answer" if name == "world" else "label"
        items = splits(name)["test"][: len(one.said)]
        right = [
            float(np.argmax(said) == item[field])
            for said, item in zip(one.said, items, strict=True)
        ]
        assert one.right == right


def test_the_tuned_model_was_asked_what_the_notebook_compares():
    found = {(one.task, one.setting) for one in benchmarks.recorded("smollm2-tuned")}
    tasks = {task for tag in benchmarks.TUNED_TOO for task in task_names()[tag]}
    wanted = {(task, "0 shots") for task in tasks} | {("glue_sentiment", benchmarks.CHAT)}
    assert found == wanted | {("factbook", "letters"), ("factbook", "texts")}


def test_what_is_not_on_record_is_refused():
    assert_refused(lambda: benchmarks.recorded("gpt-9"), "gpt-9 has nothing on record")
    assert_refused(lambda: benchmarks.recorded("smollm2", "mmlu"), "nothing on record for mmlu")
    assert_refused(lambda: suites.tuned_encoders(task="cola"), "Nothing on record")
    assert_refused(lambda: benchmarks.recorded("smollm2", "factbook")[0].score("f1"), "no f1")


def test_the_turned_order_keeps_the_right_answer():
    plain, turned = benchmarks._turned(0)["test"], benchmarks._turned(3)["test"]
    for before, after in zip(plain, turned, strict=True):
        assert before["choices"][before["answer"]] == after["choices"][after["answer"]]
        assert (before["answer"] + 3) % 4 == after["answer"]


def test_bos_in_front_is_one_token_that_the_harness_leaves_out():
    try:
        tokenizer = real("smollm2").tokenizer
    except CourseError as error:
        pytest.skip(str(error))
    asked = benchmarks.SETTINGS["texts, BOS in front"].ask
    ids = tokenizer(asked, add_special_tokens=False)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert ids[1:] == tokenizer(benchmarks.PLAIN)["input_ids"]


def test_a_live_setting_is_kept_as_the_record_has_it():
    toy = load_base("gpt2-almanac")
    found = benchmarks.ask(toy.model, toy.tokenizer, benchmarks.SETTINGS["texts"], limit=3)
    [one] = benchmarks.keep("toy", "texts", found)
    assert one.score().metric == "acc"
    assert [len(said) for said in one.said] == [4, 4, 4]
    assert one.right == [
        float(np.argmax(said) == item["answer"])
        for said, item in zip(one.said, COUNTRIES[:3], strict=True)
    ]


def test_every_tuned_encoder_is_on_record_and_its_scores_follow_from_its_labels():
    tokenizer = load_base("bert-world").tokenizer
    found = suites.tuned_encoders()
    wanted = {(t, s, seed) for seed in SEEDS for t in suites.READS for s in suites.STARTS}
    assert {(one.task, one.start, one.seed) for one in found} == wanted
    right = {task: suites.rows_of(task, "test", tokenizer)["label"] for task in suites.READS}
    for one in found:
        labels = list(right[one.task])
        assert one.accuracy == pytest.approx(accuracy_score(labels, one.said), abs=1e-5)
        assert one.matthews == pytest.approx(matthews_corrcoef(labels, one.said), abs=1e-5)


def test_the_tuned_toy_is_on_record_with_five_seeds():
    found = benchmarks.recorded("toy-tuned")
    assert {(one.setting, one.task) for one in found} == {
        (f"seed {seed}", task) for seed in SEEDS for task in suites.TOY_TASKS
    }


@pytest.mark.records
def test_smollm2_says_again_what_is_on_record():
    """Other processors round differently; a hundredth of a nat is far below what decides."""
    try:
        smol = real("smollm2")
    except CourseError as error:
        pytest.skip(str(error))
    for name in ("texts", "letters"):
        again = benchmarks.ask(smol.model, smol.tokenizer, benchmarks.SETTINGS[name], limit=3)
        [kept] = [o for o in benchmarks.recorded("smollm2", "factbook") if o.setting == name]
        [now] = benchmarks.keep("smollm2", name, again)
        assert np.array(now.said) == pytest.approx(np.array(kept.said[:3]), abs=1e-2)
    found = evaluate_tasks(smol.model, smol.tokenizer, ["glue_sentiment"], limit=3)
    kept = next(
        o for o in benchmarks.recorded("smollm2", "glue_sentiment") if o.setting == "0 shots"
    )
    [now] = benchmarks.keep("smollm2", "0 shots", found)
    assert np.array(now.said) == pytest.approx(np.array(kept.said[:3]), abs=1e-2)


@pytest.mark.records
def test_an_encoder_tuned_again_scores_what_is_on_record():
    for start in suites.STARTS:
        [kept] = suites.tuned_encoders(task="acceptability", start=start, seed=1)
        again = suites.tune("acceptability", start, 1)
        assert again.accuracy == pytest.approx(kept.accuracy, abs=0.05)
