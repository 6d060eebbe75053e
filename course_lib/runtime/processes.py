"""One process or several: who this one is, who may speak, and what all of them agree on.

`torchrun` says in environment variables how many processes there are; without it there is one.
"""

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


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


def from_main(value: Any) -> Any:
    """What the main process has, in all of them: it may be the only one that sees the files."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def wait_for_all() -> None:
    """Go on once every process is here."""
    if world_size() > 1:
        dist.barrier()


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()
