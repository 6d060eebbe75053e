"""Recorded runs: what is on record is kept, what is missing or out of date is made, by name.

Run with: python -m pytest tests/studies/test_records.py
"""

import json

import pytest
from tiny import tiny_recipe

from course_lib.runtime import CourseError
from course_lib.studies import Study, load_records, record, records, stale, verification, verify
from course_lib.training import Run, sweep

RECIPES = tuple(tiny_recipe("bert", seed=seed) for seed in range(3))
OTHER = tuple(
    tiny_recipe("bert", name="static", objective="masked-static", seed=seed) for seed in (1, 0)
)
STUDY = Study("small", RECIPES, lambda run: {"loss": run.validation_loss}, tolerance=0.1)


@pytest.fixture(autouse=True)
def made(monkeypatch, tmp_path):
    """Instead of training, note the seed; records go to a folder of the test's own."""
    seeds = []

    def train(recipe):
        seeds.append(recipe.seed)
        history = [
            {"step": step, "loss": 1 / 3 / step, "targets": 1234567 * step}
            for step in range(1, 101)
        ]
        history[-1]["validation_loss"] = recipe.seed + 1 / 3
        return Run(None, None, recipe, history, {"code": records.code_digest(), "seconds": 1.5})

    monkeypatch.setattr(sweep, "train", train)
    monkeypatch.setattr(records, "code_digest", lambda: "first")
    monkeypatch.setattr(records, "data_path", lambda *parts: tmp_path.joinpath(*parts))
    return seeds


def lines_of(tmp_path, name="small"):
    return (tmp_path / "runs" / f"{name}.jsonl").read_text().splitlines()


def test_a_study_is_made_once_in_the_order_of_its_recipes(made, tmp_path):
    found = record(STUDY, jobs=1)
    assert made == [0, 1, 2]
    assert [r.recipe for r in found] == list(RECIPES)
    assert [r.measurements for r in found] == [{"loss": seed + 1 / 3} for seed in range(3)]
    assert [json.loads(line)["recipe"]["optimization"]["seed"] for line in lines_of(tmp_path)] == [
        0,
        1,
        2,
    ]
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["small.jsonl"]


def test_made_again_nothing_is_trained_and_no_byte_changes(made, tmp_path):
    first = record(STUDY, jobs=1)
    file = tmp_path / "runs" / "small.jsonl"
    before = file.read_bytes()
    assert record(STUDY, jobs=1) == first
    assert len(made) == 3
    assert file.read_bytes() == before


def test_only_what_is_missing_is_made(made):
    record(Study("small", RECIPES[1:2], STUDY.measure, 0.1), jobs=1)
    record(STUDY, jobs=1)
    assert made == [1, 0, 2]


def test_a_renamed_recipe_is_still_on_record_and_a_changed_one_is_not(made):
    record(STUDY, jobs=1)
    renamed = tuple(r.replace(name="other") for r in RECIPES)
    record(Study("small", renamed, STUDY.measure, 0.1), jobs=1)
    assert len(made) == 3
    changed = tuple(r.replace(width=32) for r in RECIPES)
    record(Study("small", changed, STUDY.measure, 0.1), jobs=1)
    assert len(made) == 6


def test_recipes_that_left_the_study_leave_the_record(tmp_path):
    record(STUDY, jobs=1)
    record(Study("small", RECIPES[:2], STUDY.measure, 0.1), jobs=1)
    assert len(lines_of(tmp_path)) == 2
    with pytest.raises(CourseError, match="no run with"):
        load_records("small", seed=2)


def test_what_other_code_has_trained_is_stale_and_made_again(made, monkeypatch, tmp_path):
    record(STUDY, jobs=1)
    assert stale(STUDY) == {}
    monkeypatch.setattr(records, "code_digest", lambda: "second")
    assert set(stale(STUDY).values()) == {"trained by other code (first)"}
    record(STUDY, jobs=1)
    assert made == [0, 1, 2] * 2
    assert {json.loads(line)["info"]["code"] for line in lines_of(tmp_path)} == {"second"}


def test_what_other_code_has_measured_is_stale_though_training_is_not(made, monkeypatch):
    record(STUDY, jobs=1)
    monkeypatch.setattr(records, "measure_digest", lambda study: "other")
    assert set(stale(STUDY).values()) == {"measured by other code ()"}
    record(STUDY, jobs=1)
    assert stale(STUDY) == {}


def test_verified_recipes_are_current_and_only_those_that_come_out(made, monkeypatch, capsys):
    both = Study("both", RECIPES + OTHER, STUDY.measure, 0.1)
    record(both, jobs=1)
    monkeypatch.setattr(records, "code_digest", lambda: "second")
    monkeypatch.setattr(verification, "code_digest", lambda: "second")
    train = sweep.train

    def changed(recipe):
        run = train(recipe)
        if recipe.objective.name == "masked-static":
            run.history[-1]["validation_loss"] += 0.01
        return run

    monkeypatch.setattr(sweep, "train", changed)
    outcome = verify(both, jobs=1)
    assert sorted(outcome.values()) == [False, True]
    assert len(made) == 7, "one run of each recipe is made again"
    assert "validation_loss at step 100 was" in capsys.readouterr().out
    left = stale(both)
    assert set(left) == {recipe.digest() for recipe in OTHER}


def test_one_that_fails_is_named_and_takes_no_other_with_it(made, monkeypatch, tmp_path, capsys):
    train = sweep.train

    def fragile(recipe):
        if recipe.seed == 1:
            raise FloatingPointError("too steep")
        return train(recipe)

    monkeypatch.setattr(sweep, "train", fragile)
    with pytest.raises(CourseError, match="1 runs failed: small seed 1: FloatingPointError: too s"):
        record(STUDY, jobs=1)
    assert "failed: small seed 1: FloatingPointError" in capsys.readouterr().err
    assert [json.loads(line)["recipe"]["optimization"]["seed"] for line in lines_of(tmp_path)] == [
        0,
        2,
    ]
    monkeypatch.setattr(sweep, "train", train)
    record(STUDY, jobs=1)
    assert made == [0, 2, 1]


def test_an_interruption_keeps_what_was_finished(monkeypatch, tmp_path):
    train = sweep.train

    def stopped(recipe):
        if recipe.seed == 2:
            raise KeyboardInterrupt
        return train(recipe)

    monkeypatch.setattr(sweep, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        record(STUDY, jobs=1)
    assert len(lines_of(tmp_path)) == 2


def test_histories_are_thinned_to_readable_numbers_and_keep_the_end(tmp_path):
    (first, *_) = record(STUDY, jobs=1)
    assert 40 <= len(first.history) <= 80
    assert first.history[0] == {"step": 2, "loss": 0.166667, "targets": 2469134}
    assert first.history[-1]["validation_loss"] == 0.333333
    assert max(map(len, lines_of(tmp_path))) < 6_000


def test_records_are_chosen_by_the_fields_of_their_recipes():
    record(Study("both", RECIPES + OTHER, STUDY.measure, 0.1), jobs=1)
    static = load_records("both", objective="masked-static")
    assert [(r.recipe.objective.name, r.seed) for r in static] == [
        ("masked-static", 0),
        ("masked-static", 1),
    ]
    assert len(load_records("both")) == 5
    assert load_records("both", objective="auto", seed=2)[0].recipe == RECIPES[2]


def test_a_study_or_a_run_that_is_not_there_says_so():
    with pytest.raises(CourseError, match="make them with `make runs`"):
        load_records("none")
    record(STUDY, jobs=1)
    with pytest.raises(CourseError, match=r"no run with \{'seed': 7\}"):
        load_records("small", seed=7)
