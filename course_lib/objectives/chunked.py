"""The loss of the next token in chunks, so that logits are never whole in memory.

A batch of 8 rows of 1,024 tokens has 8,192 x 50,257 logits in GPT-2, 1.6 GB in fp32, and cross
entropy makes two more tensors of that size on the way back. Here 512 positions at a time are scored
and forgotten, and scored again in the backward pass (Chen et al. 2016, Training Deep Nets with
Sublinear Memory Cost): one product with the vocabulary layer more for all of that memory.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from course_lib.corpora import NO_TARGET
from course_lib.objectives.loss import asked_places, kind_of, next_labels, unwrap
from course_lib.runtime.errors import CourseError

CHUNK = 512  # positions


def summed_loss_in_chunks(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """What `summed_loss` gives, of a model that stands in `giving_loss`.

    Within sums it is the same number; between chunks the order of a sum differs.
    """
    places = asked_places(batch)
    inputs = {key: value for key, value in batch.items() if key in ("input_ids", "attention_mask")}
    return model(**inputs, targets=next_labels(batch["labels"]), places=places)


@contextmanager
def giving_loss(model: nn.Module) -> Iterator[None]:
    """Within, a causal model that gets `targets` gives their summed loss in place of logits.

    It happens inside the model's own call, so that what wraps the model (data parallelism,
    sharding, compilation) sees the loss as a part of it. Without targets it answers as ever.

    Raises:
        CourseError: the model is not causal, or its vocabulary layer is more than a matrix.
    """
    bare = unwrap(model)
    head = bare.get_output_embeddings() if kind_of(model) == "causal" else None
    if not isinstance(head, nn.Linear) or head.bias is not None or not hasattr(bare, "lm_head"):
        raise CourseError(
            f"chunked_loss is for causal models such as GPT-2, not {type(bare).__name__}: leave it "
            "out; a masked model scores only the places that are hidden."
        )
    answer = model.forward

    def forward(*args: object, targets: Tensor | None = None, **inputs: object) -> object:
        if targets is None:
            return answer(*args, **inputs)
        places = inputs.pop("places")
        hidden = bare.base_model(**inputs, use_cache=False).last_hidden_state.flatten(0, 1)
        targets = targets.flatten()
        if places is not None:
            hidden, targets = hidden[places], targets[places]
        return _in_chunks(hidden, head.weight, targets)

    model.forward = forward
    try:
        yield
    finally:
        del model.forward


def _in_chunks(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Summed loss in nats of hidden states [positions, width] under a vocabulary layer."""
    total = hidden.new_zeros((), dtype=torch.float32)
    for part, wanted in zip(hidden.split(CHUNK), targets.split(CHUNK), strict=True):
        kept = (part, weight, wanted)
        total = total + checkpoint(_score, *kept, use_reentrant=False, preserve_rng_state=False)
    return total


def _score(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    logits = F.linear(hidden, weight).float()
    return F.cross_entropy(logits, targets, ignore_index=NO_TARGET, reduction="sum")
