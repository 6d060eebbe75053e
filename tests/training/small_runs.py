"""Training runs of a second or less, and functions that a child process can be told to run."""

import json
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from tiny import FAMILY_OF, documents, packed_rows, tiny_model, tiny_recipe, word_tokenizer
from torch import nn

from course_lib.objectives import make_objective
from course_lib.training import Optimization, Recipe, fit
from course_lib.training.data import Batches

LENGTH = 24
HEAVY = [
    "course_lib.training.loop",
    "course_lib.training.data",
    "course_lib.training.run_recipe",
    "course_lib.models.architecture",
    "course_lib.objectives.registry",
]


def small(**changes: object) -> Optimization:
    """Eight steps; checkpoints at 2, 4, 6; entries of the history in between."""
    usual = {"steps": 8, "batch": 8, "warmup": 2, "log_every": 3, "checkpoint_every": 2}
    return Optimization(**usual | {"precision": "no", "seed": 3} | changes)


def batches(objective: str, batch: int = 8) -> Batches:
    """Batches of synthetic rows under an objective; 40 rows, so an epoch ends after five steps."""
    family = FAMILY_OF[objective]
    rows = packed_rows(family, 40, LENGTH, "training")
    return Batches([rows], make_objective(objective, word_tokenizer(family)), batch, seed=3)


def model_for(objective: str, dropout: float = 0.1) -> nn.Module:
    return tiny_model(FAMILY_OF[objective], length=LENGTH, dropout=dropout)


def trained(
    objective: str, *, folder: Path | None = None, dropout: float = 0.1, **changes: object
) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    """The weights and the history after training, resumed if the folder has checkpoints."""
    model = model_for(objective, dropout)
    history = fit(model, batches(objective), small(**changes), folder=folder)
    return model.state_dict(), history


def assert_same(found: tuple, expected: tuple) -> None:
    """Weights bit for bit, and the whole history."""
    for (name, one), other in zip(expected[0].items(), found[0].values(), strict=True):
        assert torch.equal(one, other), f"{name} differs"
    assert found[1] == expected[1]


class StoppedError(Exception):
    """Ends a run from outside, with no chance to save."""


def stopping_at(step: int, source: Callable) -> Callable:
    """The batches of `source`, until that of `step` is asked for."""

    def batch_at(number: int) -> dict[str, torch.Tensor]:
        if number == step:
            raise StoppedError
        return source(number)

    return batch_at


def recipe_on(folder: Path, **changes: object) -> Recipe:
    """A recipe on a text of one's own, written into the folder; six steps of a fresh GPT-2."""
    text = folder / "text.jsonl"
    lines = (json.dumps({"text": document}) for document in documents(300, "recipe"))
    text.write_text("\n".join(lines), encoding="utf-8")
    shape = {"width": 16, "layers": 1, "heads": 2, "length": LENGTH, "vocab_size": 300}
    run = {"steps": 6, "batch": 8, "warmup": 2, "log_every": 2, "precision": "no"}
    return tiny_recipe("gpt2", corpus=f"text:{text}", dropout=0.1, **shape | run | changes)


def in_child(target: Callable, *arguments: object) -> BaseProcess:
    """Start a function in a process of its own; torch is imported once for all of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(HEAVY)
    child = context.Process(target=target, args=arguments)
    child.start()
    return child


def in_processes(count: int, target: Callable, *arguments: object) -> list[BaseProcess]:
    """Start a function in processes that know each other, as `torchrun` does, without its wait."""
    port = free_port()
    return [in_child(as_one_of, count, rank, port, target, *arguments) for rank in range(count)]


def exit_codes(children: list[BaseProcess], seconds: float = 180) -> list[int | None]:
    """Wait for children; None for one that is still there after `seconds`, which is then killed."""
    for child in children:
        child.join(seconds)
    codes = [child.exitcode for child in children]
    for child in children:
        child.kill()
    return codes


def as_one_of(count: int, rank: int, port: int, target: Callable, *arguments: object) -> None:
    """Be one process of several; a signal that stops the training is the exit status."""
    torch.set_num_threads(1)
    os.environ |= {
        "WORLD_SIZE": str(count),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "CUDA_VISIBLE_DEVICES": "",
    }
    try:
        target(*arguments)
    except KeyboardInterrupt as stop:
        sys.exit(128 + getattr(stop, "number", signal.SIGINT))


def train_and_be_killed(objective: str, folder: Path, step: int) -> None:
    """Train until the batch of a step is asked for; then nothing is cleaned up."""
    torch.set_num_threads(1)
    source = batches(objective)

    def batch_at(number: int) -> dict[str, torch.Tensor]:
        if number == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return source(number)

    fit(model_for(objective), batch_at, small(), folder=folder)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
