"""Parts of a sharded run are written behind its back, are all there or not at all, and survive it.

Run with: python -m pytest tests/training/test_shards.py
"""

import errno
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from small_runs import batches, exit_codes, in_processes, model_for, small
from together import LONG, losses, tell, told

from course_lib.runtime import CourseError, generator, processes
from course_lib.runtime.folders import verify_folder
from course_lib.training import fit
from course_lib.training.checkpoint import checkpoints

OFTEN = {"steps": 20, "checkpoint_every": 5, "sharded": True}


@pytest.fixture(scope="module")
def unbroken():
    return losses("causal", None)


def close(one, other):
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) < 1e-5


def watch_writing(before=None, after=None):
    """Do something when this process is about to write its part, or has; told which one it is."""
    from torch.distributed.checkpoint import HuggingFaceStorageWriter as Writer

    write, count = Writer.write_data, 0

    def watched(self, *arguments):
        nonlocal count
        count += 1
        if before:
            before(count)
        written = write(self, *arguments)
        if after:
            after(count)
        return written

    Writer.write_data = watched


def late(folder: Path) -> None:
    """The part of step 5 is held back until step 8, where the training fails."""
    further, waited = threading.Event(), []
    watch_writing(before=lambda count: waited.append(further.wait(60)))
    source = batches("causal")

    def batch_at(step: int) -> dict:
        if step == 8:
            further.set()
            raise CourseError("enough")
        return source(step)

    settings = small(**LONG | OFTEN)
    with pytest.raises(CourseError, match="enough"):
        fit(model_for("causal", dropout=0.0), batch_at, settings, folder=folder / "run")
    tell(folder, "waited", waited)


def test_training_goes_on_meanwhile_and_what_is_saved_is_of_its_step(unbroken, tmp_path):
    assert exit_codes(in_processes(2, late, tmp_path)) == [0, 0]
    assert told(tmp_path, "waited") == told(tmp_path, "waited", 1) == [True]
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["step-00000005"]
    assert close(losses("causal", tmp_path / "run"), unbroken)


def full(folder: Path) -> None:
    """In one of two, the disk is full when the second checkpoint is written."""

    def fill(count: int) -> None:
        if count == 2 and processes.rank() == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    watch_writing(before=fill)
    with pytest.raises(CourseError) as caught:
        losses("causal", folder / "run", **OFTEN)
    tell(folder, "said", str(caught.value))


def test_a_part_that_cannot_be_written_is_the_error_of_both(unbroken, tmp_path):
    assert exit_codes(in_processes(2, full, tmp_path)) == [0, 0]
    said = told(tmp_path, "said")
    assert said == told(tmp_path, "said", 1)
    assert "step-00000010 (process 1: No space left on device): free some space" in said
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["step-00000005"]
    assert close(losses("causal", tmp_path / "run"), unbroken)


def shared(folder: Path, sharded: bool) -> None:
    tell(folder, "after", losses("causal", folder / "run", sharded=sharded))


def killed(folder: Path, rank: int, when: str, number: int, seconds: float) -> None:
    """One of two dies before or after it writes its part of a checkpoint, or some time later."""

    def die(count: int) -> None:
        if count == number and processes.rank() == rank:
            time.sleep(seconds)
            os.kill(os.getpid(), signal.SIGKILL)

    watch_writing(**{when: die})
    losses("causal", folder / "run", **OFTEN)


def check_killed(folder, unbroken, rank, when, number, seconds=0.0, again=1):
    children = in_processes(2, killed, folder, rank, when, number, seconds)
    assert exit_codes(children, 60)[rank] == -signal.SIGKILL
    for checkpoint in checkpoints(folder / "run"):
        verify_folder(checkpoint)
    last = checkpoints(folder / "run")[-1].name
    assert int(last[-8:]) in (5 * number - 5, 5 * number)
    if again == 1:
        assert close(losses("causal", folder / "run"), unbroken)
    else:
        assert exit_codes(in_processes(again, shared, folder, number % 2 == 0)) == [0] * again
        assert close(told(folder, "after"), unbroken)
    return last


@pytest.mark.parametrize("rank", [0, 1])
def test_a_kill_while_parts_are_written_leaves_the_checkpoint_before(rank, unbroken, tmp_path):
    assert check_killed(tmp_path, unbroken, rank, "before", 2) == "step-00000005"
    left = [path.name for path in (tmp_path / "run").iterdir()]
    assert not [name for name in left if "partial" in name], "not swept"


@pytest.mark.torture
@pytest.mark.parametrize("again", [1, 2])
@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("rank", [0, 1])
def test_wherever_a_kill_falls_they_go_on(rank, when, number, again, unbroken, tmp_path):
    for place in range(3):
        seconds = place * 0.02 * float(torch.rand((), generator=generator("kill", place)))
        folder = tmp_path / str(place)
        folder.mkdir()
        check_killed(folder, unbroken, rank, when, number, seconds, again)
