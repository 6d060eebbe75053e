"""One process or several: who this one is, who may speak, and what all of them agree on.

`torchrun` says in environment variables how many processes there are; without it there is one.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from course_lib.runtime.errors import CourseError

T = TypeVar("T")


def rank() -> int:
    """The number of this process among all of them, from 0."""
    return dist.get_rank() if _joined() else int(os.environ.get("RANK", 0))


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if _joined() else int(os.environ.get("WORLD_SIZE", 1))


def is_main() -> bool:
    """Whether this process prints, draws and writes; the others only compute."""
    return rank() == 0


def join_processes(device: torch.device) -> None:
    """Meet the other processes that `torchrun` has started; with one process, nothing."""
    if world_size() > 1 and not _joined():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")


def summed(value: Tensor) -> Tensor:
    """The sum of a tensor over all processes, the same in each."""
    if world_size() > 1:
        dist.all_reduce(value)
    return value


def any_of(*flags: bool) -> tuple[bool, ...]:
    """For each flag, whether it is set in any process: what one has noticed, all act on."""
    if world_size() == 1:
        return flags
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    return tuple((summed(torch.tensor(flags, dtype=torch.int32, device=device)) > 0).tolist())


def from_main(make: Callable[[], T]) -> T:
    """What `make` gives in the main process, in all of them: only it need see the files.

    Raises:
        CourseError: the one that `make` raises, in all of them, so that none waits for ever.
    """
    if world_size() == 1:
        return make()
    box: list[Any] = [None]
    if is_main():
        try:
            box = [make()]
        except CourseError as error:
            box = [error]
    dist.broadcast_object_list(box, src=0)
    if isinstance(box[0], CourseError):
        raise box[0]
    return box[0]


@contextmanager
def lost_process(left: Callable[[], str]) -> Iterator[None]:
    """Within, that another process has died is one line; what killed it `torchrun` says.

    `left` says what there is to go on from.

    Raises:
        CourseError: the connection to another process broke.
    """
    try:
        yield
    except RuntimeError as error:
        if world_size() == 1 or not _LOST.search(f"{type(error).__name__}: {error}"):
            raise
        raise CourseError(f"Another process of this training is gone. {left()}") from error


_LOST = re.compile("gloo|NCCL|DistBackendError|by peer")


def leave_processes() -> None:
    """Part from the other processes, at an end that all of them have reached."""
    if _joined():
        dist.destroy_process_group()


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()
