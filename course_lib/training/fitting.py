"""Whether a step fits into the memory of a device, and what to lower where it does not.

The need is estimated by formula (`course_lib.compute.training_memory`), which knows of weights,
gradients, moments and activations and of nothing that a framework holds besides: it is the least.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from course_lib.compute import Memory, Row, Shape, training_memory
from course_lib.compute.shapes import ARCHITECTURES
from course_lib.objectives.inside import CHUNK
from course_lib.objectives.loss import unwrap
from course_lib.runtime import processes
from course_lib.runtime.device import HALF
from course_lib.runtime.errors import CourseError
from course_lib.training.tables import Optimization

GB = 1e9
MOST = 0.9  # of a device's memory that a plan may fill


class OutOfMemoryError(CourseError):
    """A step needs more memory than the device has; the message says what to lower."""


def shape_of(config: Any) -> Shape:
    """The shape of a model by its `transformers` configuration.

    A family that is not among the seven counts as T5 if it has two stacks, else as GPT-2.
    """
    width, heads, family = config.hidden_size, config.num_attention_heads, config.model_type
    if family not in ARCHITECTURES:
        family = "t5" if config.is_encoder_decoder else "gpt2"
    inner = ("intermediate_size", "n_inner", "d_ff", "encoder_ffn_dim")
    return Shape(
        family=family,
        width=width,
        layers=config.num_hidden_layers,
        heads=heads,
        vocab_size=config.vocab_size,
        positions=getattr(config, "max_position_embeddings", 0) or 0,
        feed_forward=next((s for name in inner if (s := getattr(config, name, None))), None),
        head_width=getattr(config, "d_kv", None) or width // heads,
    )


def memory_needed(
    shape: Shape, row: Row, batch: int, settings: Optimization, *, mixed: bool, shards: int = 1
) -> Memory:
    """The least that a step with `batch` rows at a time needs on each of its devices, in bytes."""
    return training_memory(
        shape,
        row,
        batch,
        precision="mixed" if mixed else "fp32",
        recomputed=settings.activation_checkpointing,
        scored_at_once=CHUNK if settings.chunked_loss else None,
        shards=shards if settings.sharded else 1,
    )


def device_memory(device: torch.device) -> int:
    """Bytes of memory of a device, used or not."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@contextmanager
def told_what_to_lower(trainer: Any) -> Iterator[None]:
    """Within, memory that runs out is an error that says by how much, and what to lower.

    Raises:
        OutOfMemoryError: in place of torch's own.
    """
    try:
        yield
    except RuntimeError as error:
        short = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        if not short or trainer.rows is None:
            raise
        raise OutOfMemoryError(_advice(trainer)) from error


def _advice(trainer: Any) -> str:
    settings, device = trainer.settings, trainer.device
    rows, length = trainer.rows
    has = device_memory(device)

    def needs(count: int) -> Memory:
        return _of_model(trainer.model, count, length, settings, trainer.precision in HALF)

    need = needs(rows)
    kept = need.total - need.activations
    said = (
        f"Out of memory: {rows} rows of {length:,} tokens at a time need at least "
        f"{need.total / GB:.1f} GB ({kept / GB:.1f} for weights, gradients and moments, "
        f"{need.activations / GB:.1f} for activations), and {device} has {has / GB:.1f} GB"
    )
    said += f", {(need.total - has) / GB:.1f} too few. " if need.total > has else " in all. "
    # What ran out needed all that there is, so a smaller step is held against its true need.
    more = max(1.0, has / need.total)
    fitting = [n for n in range(1, rows) if rows % n == 0 and needs(n).total * more < MOST * has]
    changes = []
    if fitting:
        parts = settings.micro_batches * rows // fitting[-1]
        changes.append(f"micro_batches = {parts} ({fitting[-1]} rows at a time, the same result)")
    changes += [
        f"{name} = true"
        for name in ("chunked_loss", "activation_checkpointing", "sharded")
        if not getattr(settings, name) and (name != "sharded" or processes.world_size() > 1)
    ]
    changes.append(f"a batch below {settings.batch}, or shorter rows")
    return f"{said}Set {'; or '.join(changes)}."


def _of_model(
    model: nn.Module, rows: int, length: int, settings: Optimization, mixed: bool
) -> Memory:
    """The same for a model at hand: frozen weights have neither gradients nor moments."""
    shape = shape_of(unwrap(model).config)
    both = shape.architecture.stacks == "both"
    row = Row(length, length if both else 0, length)
    shards = processes.world_size()
    memory = memory_needed(shape, row, rows, settings, mixed=mixed, shards=shards)
    every = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    cut = shards if settings.sharded else 1
    return replace(
        memory, weights=4 * every / cut, gradients=4 * trained / cut, optimizer=8 * trained / cut
    )
