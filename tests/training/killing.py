"""A training that is killed at a chosen moment, with nothing cleaned up."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import torch

from course_lib.training import Recipe, Run, train
from course_lib.training.data import Batches

NEVER = 10**9


def train_until_killed(recipe: Recipe, folder: Path, event: int = NEVER, after: float = 0) -> None:
    """Train into `folder / "run"`, and die at an event, or some seconds after the first step.

    An event is a step, or a file below the folder that is opened, or a folder that is made,
    renamed, listed or removed. `events-PID.json` says which there were, up to the last.
    """
    torch.set_num_threads(1)
    tell = os.open(folder.parent / f"events-{os.getpid()}.json", os.O_WRONLY | os.O_CREAT)
    watch(folder, event, tell)
    step = Batches.__call__

    def stepping(self: Batches, number: int) -> dict:
        if number == 0 and after:
            threading.Thread(target=die, args=(after,), daemon=True).start()
        sys.audit("step", str(folder))
        return step(self, number)

    Batches.__call__ = stepping
    train(recipe, folder=folder / "run")


def save_until_killed(first: Path, place: Path, event: int) -> None:
    """Save a run in the place of another, and die at an event."""
    run = Run.load(first)
    tell = os.open(place.parent.parent / f"events-{os.getpid()}.json", os.O_WRONLY | os.O_CREAT)
    watch(place.parent, event, tell)
    run.save(place)


def watch(folder: Path, event: int, tell: int) -> None:
    """Count what Python is about to do below a folder, and die at the event of that number."""
    seen: list[str] = []
    main = threading.get_ident()

    def hook(name: str, arguments: tuple) -> None:
        if threading.get_ident() != main or not any(str(folder) in str(a) for a in arguments):
            return
        seen.append(f"{name} {arguments[0]}")
        os.pwrite(tell, json.dumps(seen).encode(), 0)
        if len(seen) > event:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def die(after: float) -> None:
    time.sleep(after)
    os.kill(os.getpid(), signal.SIGKILL)


def events_of(folder: Path, process: int) -> list[str]:
    return json.loads((folder / f"events-{process}.json").read_text(encoding="utf-8"))
