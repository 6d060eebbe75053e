"""FSDP2: each process keeps its part of every weight, gradient and moment, and borrows the rest.

Zhao et al. 2023 (PyTorch FSDP), after ZeRO's third stage (Rajbhandari et al. 2020). The weights of
one block are together only while that block computes.
"""

import copy
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from course_lib.runtime import processes


def sharded_copy(model: nn.Module, device: torch.device, *, compiled: bool = False) -> nn.Module:
    """A copy of a model on a device, each weight cut along its first dimension among processes.

    Each block of a stack is gathered by itself. Compiled is each block by itself, too: what gathers
    weights between them would cut a graph of the whole anyhow. The model itself stays as it is.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    # BERT's and T5's outputs are views of what they computed; nothing here writes into them.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
    model = copy.deepcopy(model)
    mesh = init_device_mesh(device.type, (processes.world_size(),))
    for block in list(_blocks(model)):
        if compiled:
            block.compile()
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh, reshard_after_forward=True)
    return model.to(device)  # buffers, and weights that are in no block


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, on this device, in every process: all of them must ask for it."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def copy_from_main(value: Tensor | None, target: Tensor) -> Tensor:
    """The main process's value, on the device and with the placement of `target`, in every process.

    The others give None. Of a sharded target no process but the main one ever has the whole.
    """
    if processes.world_size() == 1:
        return value
    if not hasattr(target, "full_tensor"):
        held = torch.empty_like(target) if value is None else value.to(target.device).contiguous()
        torch.distributed.broadcast(held, src=0)
        return held
    from torch.distributed.tensor import distribute_tensor

    if value is None:
        value = torch.empty(target.shape, dtype=target.dtype)
    return distribute_tensor(value.contiguous(), target.device_mesh, target.placements)


@torch.no_grad()
def copy_whole(sharded: nn.Module, model: nn.Module) -> None:
    """Put the weights and buffers of a sharded copy back into the model that it was made of."""
    found = dict(sharded.named_parameters()) | dict(sharded.named_buffers())
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        tensor.copy_(whole(found[name].detach()))


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The blocks of the outermost stacks; what is tied across the model lies in none of them."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _blocks(child)
