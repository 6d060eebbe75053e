"""Guards measured speeds: operations over time, and no time of this machine in a stored output.

pytest tests/classroom/test_machine.py
"""

import json
import time
from itertools import count

import pytest

from course_lib.classroom import machine
from course_lib.compute import recipe_flops
from course_lib.runtime import data_path

RECORD = json.loads(data_path("machine.json").read_text())


class Clock:
    """A clock that a second passes on between any two looks."""

    def __init__(self):
        self.perf_counter = count(1.0).__next__


def test_a_product_that_takes_a_second_runs_at_its_operations_a_second(monkeypatch):
    monkeypatch.setattr(machine, "time", Clock())
    assert machine.matmul_rate(8, seconds=0) == 2 * 8**3


def test_a_step_that_takes_a_second_runs_at_its_operations_a_second(monkeypatch):
    """Each step is logged once, so the fake clock is looked at once a step."""
    monkeypatch.setattr(machine, "time", Clock())
    recipe = machine.step_recipe(32, steps=5).replace(length=16, vocab_size=300)
    assert machine.training_rate(recipe) == pytest.approx(recipe_flops(recipe) / 5)


def test_real_speeds_are_those_of_a_computer():
    before = time.perf_counter()
    assert 1e6 < machine.matmul_rate(64, seconds=0.01) < 1e16
    assert time.perf_counter() > before


@pytest.mark.parametrize("name", ["matmul", "training"])
def test_nobody_watching_sees_the_record_whatever_was_measured(monkeypatch, name):
    monkeypatch.setenv("COURSE_QUIET", "1")
    shown, whose = machine.measured_or_recorded(name, {7: 1.0})
    assert shown == {int(size): rate for size, rate in RECORD[name].items()}
    assert whose == RECORD["machine"]


def test_a_reader_sees_the_own_machine(monkeypatch):
    monkeypatch.setattr(machine, "watched", lambda: True)
    assert machine.measured_or_recorded("matmul", {7: 1.0}) == ({7: 1.0}, "your machine")


def test_the_record_is_whole_and_possible():
    assert list(map(int, RECORD["matmul"])) == list(machine.MATRICES)
    assert list(map(int, RECORD["training"])) == list(machine.WIDTHS)
    peak = max(RECORD["matmul"].values())
    assert all(0.01 * peak < rate < peak for rate in RECORD["training"].values())
