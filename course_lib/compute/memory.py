"""What a training step keeps in memory: weights, gradients, optimizer state and activations."""

import math
from dataclasses import dataclass
from typing import Literal

from course_lib.compute.flops import require_row_of
from course_lib.compute.rows import Row
from course_lib.compute.shapes import Shape
from course_lib.runtime.checks import Count, checked

# Bytes a parameter with AdamW. In mixed precision the weights that are multiplied and their
# gradients have 16 bits, and the optimizer keeps the weights and both moments in 32 (Rajbhandari et
# al. 2020, ZeRO, section 3.1). Under autocast, as this course trains, they split as in fp32; the
# sum is the same.
PER_PARAMETER = {"mixed": (2, 2, 12), "fp32": (4, 4, 8)}
NUMBER = {"mixed": 2, "fp32": 4}


@dataclass(frozen=True)
class Memory:
    """Bytes in memory at the end of the forward pass, when there is most of it."""

    weights: float
    gradients: float
    optimizer: float
    activations: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.weights + self.gradients + self.optimizer + self.activations


@checked
def training_memory(
    shape: Shape,
    row: Row,
    batch: Count,
    *,
    precision: Literal["mixed", "fp32"] = "mixed",
    fused_attention: bool = True,
    recomputed: bool = False,
    scored_at_once: Count | None = None,
    shards: Count = 1,
) -> Memory:
    """Bytes that one training step with AdamW keeps on one device.

    Activations follow Korthikanti et al. 2022 (section 4), with dropout and without recomputation:
    for a GPT in 16 bits and unfused attention 34 bytes a position, layer and unit of width, and 5
    for each pair of positions and head. Fused attention (Dao et al. 2022) keeps none of the pairs.
    What a framework holds besides, and gradients of activations, is not counted: expect more.

    Args:
        shape: the model.
        row: what goes through it.
        batch: rows on this device at a time.
        precision: "mixed" (16-bit multiplications) or "fp32".
        fused_attention: whether the scores of all pairs of positions are never stored.
        recomputed: whether of each block only its input is kept, and one block at a time is
            computed again in the backward pass (activation checkpointing; Chen et al. 2016).
        scored_at_once: positions whose scores over the vocabulary are in memory together, None for
            all of the batch.
        shards: devices among which weights, gradients and optimizer state are cut (ZeRO, stage 3).

    Raises:
        BadArgumentError: an unknown precision, a batch below 1, or a row that the family does not
            read (`forward_parts`).
    """
    require_row_of(shape, row)
    weights, gradients, optimizer = (
        shape.parameters * count / shards for count in PER_PARAMETER[precision]
    )
    number, positions = NUMBER[precision], row.inputs + row.outputs
    block = _block(shape, row, number, fused_attention)
    blocks = shape.layers * block
    if recomputed:
        blocks = shape.layers * positions * number * shape.width + block
    # Embedding dropout; the last norm and the vocabulary layer's input; scores, always in fp32.
    kept = blocks + positions * (shape.width + 2 * number * shape.width)
    scored = min(batch * row.scored, scored_at_once or math.inf)
    activations = batch * kept + scored * 4 * shape.vocab_size
    return Memory(weights, gradients, optimizer, activations)


def _block(shape: Shape, row: Row, number: int, fused: bool) -> float:
    """Bytes of one block and row: numbers of `number` bytes, and dropout masks of one."""
    width, attention = shape.width, shape.attention_width
    both = shape.architecture.stacks == "both"
    own = number * (2 * width + 4 * attention) + width  # norm, Q K V, the mix, input; a mask
    feed_forward = number * (2 * width + 2 * shape.inner_width) + width
    positions, pairs = row.inputs + row.outputs, row.inputs**2 + row.outputs**2
    stored = positions * (own + feed_forward)
    if both:
        across = number * (2 * width + 2 * attention) + width
        stored += row.outputs * across + row.inputs * number * 2 * attention
        pairs += row.inputs * row.outputs
    if not fused:
        stored += pairs * shape.heads * (2 * number + 1)
    return stored
