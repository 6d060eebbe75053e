"""Killed at any moment, a training ends as an unbroken one, bit for bit, and leaves nothing behind.

Ten kills here, two hundred with `-m torture`: at steps, and before what is done to files while a
checkpoint or a run is saved, evenly over all of these; and some at a random time.
Run with: python -m pytest tests/training/test_torture.py
"""

import shutil
import signal
import socket
import time
from collections import Counter

import pytest
import torch
from killing import events_of, save_until_killed, train_until_killed
from small_runs import exit_codes, in_child, recipe_on

from course_lib.runtime import CourseError, generator
from course_lib.training import Run, train


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return recipe_on(tmp_path_factory.mktemp("text"), checkpoint_every=2)


@pytest.fixture(scope="module")
def unbroken(recipe, tmp_path_factory):
    return train(recipe, folder=tmp_path_factory.mktemp("unbroken") / "run")


@pytest.fixture(scope="module")
def events(recipe, tmp_path_factory):
    """What happens in a training that nobody kills."""
    folder = tmp_path_factory.mktemp("events")
    (folder / "place").mkdir()
    child = in_child(train_until_killed, recipe, folder / "place")
    assert exit_codes([child]) == [0]
    return events_of(folder, child.pid)


def assert_same_run(one, other):
    assert one.history == other.history
    for name, weight in one.model.state_dict().items():
        assert torch.equal(weight, other.model.state_dict()[name]), name


def kill(recipe, place, **moment):
    """Train until the moment comes; returns what it was about to do, None if it came too late."""
    child = in_child(train_until_killed, recipe, place, *moment.values())
    (code,) = exit_codes([child])
    assert code in (0, -signal.SIGKILL)
    return events_of(place.parent, child.pid)[-1] if code else None


def check_end(recipe, place, unbroken):
    resumed = train(recipe, folder=place / "run")
    assert_same_run(resumed, unbroken)
    assert_same_run(Run.load(place / "run"), unbroken)
    assert sorted(path.name for path in place.iterdir()) == ["run", "run-log.csv"]


def part_of(event):
    if event.startswith("step"):
        return "training"
    return "checkpoint" if "/run-checkpoints" in event else "run"


def kill_at(moments, recipe, unbroken, folder):
    """Kill at each of some events, a third of the times once more on the way from there."""
    parts = Counter()
    for number, event in enumerate(moments):
        place = folder / str(event) / "place"
        place.mkdir(parents=True)
        parts[part_of(kill(recipe, place, event=event))] += 1
        if number % 3 == 0:
            kill(recipe, place, event=(7 * event) % 60)
        check_end(recipe, place, unbroken)
        shutil.rmtree(place.parent)
    return parts


def test_ten_kills(recipe, unbroken, events, tmp_path):
    wanted, moments = {"training": 2, "checkpoint": 4, "run": 4}, []
    for part, count in wanted.items():
        places = [number for number, event in enumerate(events) if part_of(event) == part]
        moments += [places[(2 * n + 1) * len(places) // (2 * count)] for n in range(count)]
    assert kill_at(moments, recipe, unbroken, tmp_path) == wanted


@pytest.mark.torture
def test_a_kill_before_each_thing_that_is_done_to_a_file(recipe, unbroken, events, tmp_path):
    assert len(events) > 90
    parts = kill_at(range(len(events)), recipe, unbroken, tmp_path)
    assert parts["training"] == 6
    assert min(parts["checkpoint"], parts["run"]) > 30


@pytest.mark.torture
def test_more_than_a_hundred_kills_at_random_times(recipe, unbroken, tmp_path):
    start = time.monotonic()
    (tmp_path / "timed" / "place").mkdir(parents=True)
    assert kill(recipe, tmp_path / "timed" / "place", event=10**9) is None
    seconds = time.monotonic() - start
    killed, tried = 0, 0
    while killed < 110:
        tried += 1
        assert tried < 300, f"only {killed} of {tried} came in time"
        place = tmp_path / str(tried) / "place"
        place.mkdir(parents=True)
        after = float(torch.rand((), generator=generator("kill", tried))) * seconds
        killed += kill(recipe, place, event=10**9, after=after) is not None
        check_end(recipe, place, unbroken)
        shutil.rmtree(place.parent)


# A run in the place of another: there is always one of them.


@pytest.fixture(scope="module")
def two_runs(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    return [train(recipe.replace(seed=s), folder=folder / str(s)) for s in (1, 2)], folder


def check_replaced(two_runs, place, event):
    """Kill a save at an event; returns whether the event came."""
    (old, new), folder = two_runs
    old.save(place)
    child = in_child(save_until_killed, folder / "2", place, event)
    (code,) = exit_codes([child])
    try:
        found = Run.load(place)
    except CourseError:  # between two renames; whoever writes there next puts it back
        (aside,) = place.parent.glob(f".run-before-partial-{socket.gethostname()}-*")
        assert_same_run(Run.load(aside), old)
        new.save(place.with_name("other"))
        found = Run.load(place)
        shutil.rmtree(place.with_name("other"))
    assert_same_run(found, new if found.recipe == new.recipe else old)
    new.save(place)
    assert_same_run(Run.load(place), new)
    assert [path.name for path in place.parent.iterdir()] == ["run"]
    return code != 0, found.recipe == new.recipe


@pytest.mark.torture
def test_a_run_that_replaces_another_is_killed_at_each_event(two_runs, tmp_path):
    killed, event, newer = True, 0, []
    while killed:
        place = tmp_path / str(event) / "place" / "run"
        place.parent.mkdir(parents=True)
        killed, new = check_replaced(two_runs, place, event)
        newer.append(new)
        event += 1
    assert event > 20
    assert newer == sorted(newer), "first the old one, from some event on the new one"


def test_a_run_put_aside_by_a_process_that_died_comes_back(two_runs, tmp_path):
    (old, new), _ = two_runs
    child = in_child(time.sleep, 0)
    assert exit_codes([child]) == [0]
    aside = tmp_path / f".run-before-partial-{socket.gethostname()}-{child.pid}"
    old.save(aside)
    new.save(tmp_path / "other")
    assert_same_run(Run.load(tmp_path / "run"), old)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "run"]
