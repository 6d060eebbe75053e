"""Guards `begin`: what it prints, returns, refuses and leaves alone.

pytest tests/classroom/test_session.py
"""

import copy
import os
import pickle
import random
import subprocess
import sys

import pytest
import torch
from refusals import assert_refused

from course_lib.classroom import begin, session
from course_lib.runtime import CourseError
from course_lib.studies.design import LIVE_SEED, SEEDS

NOTEBOOK = "00_start_here"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(session, "_current", None)
    for name in ("COURSE_BUDGET", "COURSE_TRACK", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


def test_it_returns_the_sizes_of_the_budget_and_prints_one_block(capsys):
    course = begin(NOTEBOOK, budget="smoke")
    printed = capsys.readouterr().out
    assert (course.budget, course.track, course.seed) == ("smoke", "offline", 0)
    assert isinstance(course.steps, int)
    assert course.device.type in printed
    assert len(printed.splitlines()) == 5
    assert session.current_budget() == "smoke"


def test_the_budget_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("COURSE_BUDGET", "gpu")
    assert begin(NOTEBOOK).budget == "gpu"


def test_an_unknown_size_is_an_attribute_error_that_lists_the_known_ones():
    with pytest.raises(AttributeError, match="steps"):
        _ = begin(NOTEBOOK, budget="cpu").stepz


def test_a_course_and_its_budget_can_be_copied():
    course = begin(NOTEBOOK, budget="smoke")
    for twin in (copy.copy(course), copy.deepcopy(course), pickle.loads(pickle.dumps(course))):
        assert twin == course
        assert twin.steps == course.steps


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"notebook": "01"}, "01_masked_language_modeling, 02_causal_language_modeling"),
        ({"notebook": None}, "notebook=None"),
        ({"notebook": ""}, "No notebook ''"),
        ({"budget": "huge"}, "Unknown budget 'huge'"),
        ({"budget": 3}, "budget=3"),
        ({"track": "online"}, "Unknown track 'online'"),
        ({"track": "hub"}, "no hub track yet"),
        ({"seed": -100}, "seed=-100: it must be at least 0"),
        ({"seed": "3"}, "seed='3'"),
        ({"seed": None}, "seed=None"),
    ],
)
def test_nonsense_is_refused_in_one_line(options, message):
    assert_refused(lambda: begin(**{"notebook": NOTEBOOK} | options), message)


def test_your_runs_never_have_a_recorded_seed():
    for seed in range(10):
        assert begin(NOTEBOOK, budget="smoke", seed=seed).live_seed not in SEEDS
    assert begin(NOTEBOOK, budget="smoke").live_seed == LIVE_SEED


def test_another_seed_draws_otherwise():
    drawn = []
    for seed in (0, 1):
        begin(NOTEBOOK, budget="smoke", seed=seed)
        drawn.append((random.random(), torch.rand(1).item()))
    assert drawn[0] != drawn[1]


def test_the_track_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("COURSE_TRACK", "hub")
    with pytest.raises(CourseError, match="hub track"):
        begin(NOTEBOOK)


def test_it_seeds_every_global_generator():
    begin(NOTEBOOK, budget="smoke")
    first = random.random(), torch.rand(1).item()
    begin(NOTEBOOK, budget="smoke")
    assert (random.random(), torch.rand(1).item()) == first


def test_offline_there_is_no_published_model_and_a_wrong_name_is_still_found():
    course = begin(NOTEBOOK, budget="smoke")
    assert course.published("bert-base-uncased", "gpt2") == {}
    with pytest.raises(CourseError, match="'gpt-2' is not pinned"):
        course.published("gpt-2")


def test_in_a_fresh_process_it_goes_offline_and_imports_nothing_slow():
    code = (
        "import sys, os, course_lib.classroom as c\n"
        f"c.begin({NOTEBOOK!r}, budget='smoke')\n"
        "import huggingface_hub.constants as h\n"
        "assert h.HF_HUB_OFFLINE\n"
        "slow = {'evaluate', 'lm_eval', 'peft', 'datasets', 'sklearn', 'scipy.stats'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)\n"
        "from transformers.utils import logging\n"
        "assert not logging.is_progress_bar_enabled()\n"
        "try:\n"
        "    c.begin('01_masked_language_modeling', budget='smoke', track='hub')\n"
        "except c.session.CourseError as error:\n"
        "    assert 'restart the kernel' in str(error)\n"
        "else:\n"
        "    raise AssertionError('a session that is offline went on to the hub')\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_the_package_exports_functions_whatever_was_imported_first():
    import importlib

    import course_lib.classroom as classroom

    for name in classroom.__all__:
        importlib.import_module("course_lib.classroom.session")
        assert not hasattr(getattr(classroom, name), "__path__"), name
        assert type(getattr(classroom, name)).__name__ != "module", name
