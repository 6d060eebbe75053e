"""Guards the recorded evidence: records fit their studies, and can be made again.

pytest tests/studies/test_studies.py             # the whole file
pytest tests/studies/test_studies.py -m records  # retrain a random few (minutes)
"""

import random
from dataclasses import replace

import numpy as np
import pytest

from course_lib.generation import cloze, next_token_distribution
from course_lib.runtime import set_threads
from course_lib.studies import load_records
from course_lib.studies.catalogue import BASES, STUDIES
from course_lib.studies.design import LIVE_SEED
from course_lib.training import load_base, run_and_measure

SHORT = 2500  # steps; longer runs are left to `make runs`
# A run of these takes many minutes, for its measurement trains more models, or the model is a real
# one: they are left to `python -m course_lib runs --verify`.
SLOW = (
    "tuning-smollm2",
    "instructions-mistakes",
    "forgetting-world",
    "cures-world",
    "averaging-smollm2",
    "reminders-smollm2",
    "weighed-smollm2",
    "steps-world",
    "contamination-world",
    "card-smollm2",
    "domains-world",
    "docstrings-smollm2",
)
# One run a cell: what is repeated is the world, not the seed.
WORLDS_ARE_REPEATED = ("laws", "laws-pilot")


@pytest.mark.parametrize("name", STUDIES)
def test_every_run_of_a_study_is_on_record(name):
    found = {record.recipe.digest() for record in load_records(name)}
    assert found == {recipe.digest() for recipe in STUDIES[name].recipes}


@pytest.mark.parametrize("name", STUDIES)
def test_records_come_from_one_code_and_five_seeds_none_of_them_the_readers(name):
    records = load_records(name)
    assert len({record.info["code"] for record in records}) <= 1
    variants = {}
    for record in records:
        variants.setdefault(record.recipe.replace(seed=0), set()).add(record.seed)
    assert all(LIVE_SEED not in seeds for seeds in variants.values())
    assert name in WORLDS_ARE_REPEATED or all(len(seeds) >= 5 for seeds in variants.values())


@pytest.mark.records
def test_a_random_few_recorded_runs_can_be_made_again(capsys):
    """Not the seed of the test picks them but chance; the printed names tell which."""
    candidates = [
        (name, record)
        for name in STUDIES
        for record in load_records(name)
        if record.recipe.optimization.steps <= SHORT and name not in SLOW
    ]
    set_threads(1)  # as when they were recorded
    for name, record in random.SystemRandom().sample(candidates, 2):
        with capsys.disabled():
            print(f"retraining {name}: {record.recipe.name}, seed {record.seed}")
        again = run_and_measure(record.recipe, STUDIES[name].measure)
        assert not_met(record, again, STUDIES[name].tolerance) == []


def not_met(then, now, tolerance):
    """What a repetition does not meet: its last validation loss, and each measured number."""
    numbers = [dict(_numbers(record.measurements)) for record in (then, now)]
    if "validation_loss" in then.history[-1]:
        for found, record in zip(numbers, (then, now), strict=True):
            found["loss"] = record.history[-1]["validation_loss"]
    assert numbers[0].keys() == numbers[1].keys()
    return [
        f"{name}: {a} on record, {numbers[1][name]} now"
        for name, a in numbers[0].items()
        if not np.isclose(numbers[1][name], a, atol=tolerance * max(1, abs(a)), rtol=0)
    ]


def _numbers(value, name=""):
    """The numbers in nested lists and tables, with their places; texts are shown, not compared."""
    if isinstance(value, dict) and {"well_formed", "distinct"} <= value.keys():
        # The share of a share: with hardly a well-formed text it may be anything, of all it is not.
        value = value | {"distinct": value["distinct"] * value["well_formed"]}
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            yield from _numbers(part, f"{name}.{key}")
    elif not isinstance(value, str):
        yield name, value


def test_a_planted_change_of_a_measured_figure_is_not_met():
    record = load_records("masked-world", attention="both")[0]
    name = next(iter(record.measurements))
    changed = record.measurements | {name: record.measurements[name] + 1}
    assert not_met(record, record, 0.15) == []
    assert len(not_met(record, replace(record, measurements=changed), 0.15)) == 1


@pytest.mark.parametrize("name", BASES)
def test_base_models_are_those_of_their_recipes(name):
    assert load_base(name).recipe == BASES[name]


def test_base_models_know_the_cat():
    bert, gpt2 = load_base("bert-world"), load_base("gpt2-world")
    filled = cloze(bert.model, bert.tokenizer, ["The cat sat on the [MASK]."], k=1)
    assert filled["token"][0] == "mat"
    best = next_token_distribution(gpt2.model, gpt2.tokenizer, "The cat sat on the", k=1)
    assert best.index[0] == " mat"
