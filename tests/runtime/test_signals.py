"""Guards Ctrl-C and SIGTERM: the first is held until a step is finished, and none is lost.

pytest tests/runtime/test_signals.py
"""

import signal
import threading

import pytest

from course_lib.runtime import signals
from course_lib.runtime.signals import stop_requests

KINDS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def heard(monkeypatch):
    """What reaches whoever had the signals before."""
    numbers = []
    before = {
        kind: signal.signal(kind, lambda number, frame: numbers.append(number)) for kind in KINDS
    }
    yield numbers
    for kind, handler in before.items():
        signal.signal(kind, handler)


def step_with(*numbers, wait=lambda: None):
    """A step in which these signals come, and a look at its end."""
    with stop_requests() as request:
        assert not request.pending
        for number in numbers:
            signal.raise_signal(number)
            wait()
        assert request.pending
        raise request.interrupt("saved")


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_is_noted_and_says_which_it_was(kind, heard):
    with pytest.raises(signals.Stopped, match="saved") as stopped:
        step_with(kind)
    assert stopped.value.number == kind
    assert heard == []


def test_a_launcher_that_passes_on_the_same_ctrl_c_does_not_interrupt_the_step():
    with pytest.raises(signals.Stopped, match="saved") as stopped:
        step_with(signal.SIGINT, signal.SIGINT, signal.SIGTERM)
    assert stopped.value.number == signal.SIGINT


def test_a_later_one_interrupts_at_once(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(signals.time, "monotonic", lambda: now[0])

    def wait():
        now[0] += signals.REPEATED + 1

    with pytest.raises(KeyboardInterrupt) as stopped:
        step_with(signal.SIGINT, signal.SIGINT, wait=wait)
    assert not isinstance(stopped.value, signals.Stopped)


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_nobody_looked_at_goes_to_whoever_had_it_before(kind, heard):
    with stop_requests():
        signal.raise_signal(kind)
        assert heard == []
    assert heard == [kind]


def test_afterwards_signals_are_as_they_were(heard):
    before = [signal.getsignal(kind) for kind in KINDS]
    with stop_requests():
        assert [signal.getsignal(kind) for kind in KINDS] != before
    with pytest.raises(ValueError, match="inside"), stop_requests():
        raise ValueError("inside")
    assert [signal.getsignal(kind) for kind in KINDS] == before


def test_outside_the_main_thread_they_stay_as_they_are():
    before, seen = [signal.getsignal(kind) for kind in KINDS], []

    def within():
        with stop_requests() as request:
            seen.append((request.pending, [signal.getsignal(kind) for kind in KINDS]))

    thread = threading.Thread(target=within)
    thread.start()
    thread.join()
    assert seen == [(False, before)]
