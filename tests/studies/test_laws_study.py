"""Guards the design of notebooks 06 and 07: eight worlds, equal budgets, a frozen procedure.

pytest tests/studies/test_laws_study.py
"""

import tomllib

import pytest

from course_lib.compute import recipe_shape
from course_lib.corpora import world_of
from course_lib.runtime import data_path
from course_lib.scaling import floors
from course_lib.studies import laws


def tokens_of(recipe):
    return recipe["steps"] * recipe["batch"] * recipe["length"]


def test_every_world_has_four_budgets_of_seven_sizes_and_a_larger_model():
    runs = laws.design(laws.WORLDS[0])
    assert len(runs) == 29
    spent = [6 * recipe_shape(run).parameters * tokens_of(run) for run in runs]
    wanted = [budget for budget in laws.BUDGETS for _ in range(7)]
    for flop, budget in zip(spent, [*wanted, laws.LARGER[1]], strict=True):
        assert flop == pytest.approx(budget, rel=0.01)
    assert max(run["width"] for run in runs[:-1]) < runs[-1]["width"]


def test_no_run_reads_a_document_twice():
    for corpus in laws.WORLDS:
        texts = world_of(corpus).documents(300, seed=1)
        assert sum(len(text.split()) for text in texts) / 300 > 25
        for run in laws.design(corpus):
            assert run["documents"] * laws.FEWEST_TOKENS >= 0.98 * tokens_of(run)


def test_the_worlds_differ_in_entropy_and_the_pilot_is_none_of_them():
    assert len(set(laws.WORLDS)) == 8
    assert not set(laws.PILOTS) & set(laws.WORLDS)
    entropies = sorted(world_of(corpus).entropy() for corpus in laws.WORLDS)
    assert entropies[-1] > 1.5 * entropies[0]


def test_the_frozen_procedure_is_the_one_that_the_library_runs():
    frozen = tomllib.loads(data_path("laws.toml").read_text(encoding="utf-8"))
    assert frozen["fit"]["delta"] == floors.DELTA
    assert frozen["fit"]["form"] in floors.FORMS
    assert {*frozen["opponents"]["forms"], frozen["fit"]["form"]} == set(floors.FORMS)
