"""The loss of the next token as a part of the model, and in chunks if memory is short.

What wraps a model (data parallelism, sharding, compilation) then has the loss in it. Compiled, the
logits are not written down in one precision to be read again in another.

A batch of 8 rows of 1,024 tokens has 8,192 x 50,257 logits in GPT-2, 1.6 GB in fp32, and cross
entropy makes two more tensors of that size on the way back. In chunks, 512 positions at a time are
scored and forgotten, and scored again in the backward pass (Chen et al. 2016, Training Deep Nets
with Sublinear Memory Cost): one product with the vocabulary layer more for all of that memory.
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


def loss_inside(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """What `summed_loss` gives, of a model that stands in `giving_loss`."""
    places = asked_places(batch)
    inputs = {key: value for key, value in batch.items() if key in ("input_ids", "attention_mask")}
    return model(**inputs, targets=next_labels(batch["labels"]), places=places)


def has_plain_head(model: nn.Module) -> bool:
    """Whether a model is causal and its vocabulary layer a matrix, so that `giving_loss` takes it.

    Raises:
        CourseError: no language model.
    """
    bare = unwrap(model)
    head = getattr(bare, "lm_head", None)
    return kind_of(model) == "causal" and isinstance(head, nn.Linear) and head.bias is None


@contextmanager
def giving_loss(model: nn.Module, chunk: int | None = CHUNK) -> Iterator[None]:
    """Within, a causal model that gets `targets` gives their summed loss in place of logits.

    `chunk` is how many positions are scored at a time, None for all. Between chunks the order of a
    sum differs from that of `summed_loss`. Without targets the model answers as ever.

    Raises:
        CourseError: the model is not causal, or its vocabulary layer is more than a matrix.
    """
    if not has_plain_head(model):
        raise CourseError(
            f"chunked_loss is for causal models such as GPT-2, not {type(unwrap(model)).__name__}: "
            "leave it out; a masked model scores only the places that are hidden."
        )
    bare, answer = unwrap(model), model.forward

    def forward(*args: object, targets: Tensor | None = None, **inputs: object) -> object:
        if targets is None:
            return answer(*args, **inputs)
        places = inputs.pop("places")
        hidden = bare.base_model(**inputs, use_cache=False).last_hidden_state.flatten(0, 1)
        targets = targets.flatten()
        if places is not None:
            hidden, targets = hidden[places], targets[places]
        if chunk is None:
            return _score(hidden, bare.lm_head.weight, targets)
        return _in_chunks(hidden, bare.lm_head.weight, targets, chunk)

    model.forward = forward
    try:
        yield
    finally:
        del model.forward


def _in_chunks(hidden: Tensor, weight: Tensor, targets: Tensor, chunk: int) -> Tensor:
    """Summed loss in nats of hidden states [positions, width] under a vocabulary layer."""
    total = hidden.new_zeros((), dtype=torch.float32)
    for part, wanted in zip(hidden.split(chunk), targets.split(chunk), strict=True):
        kept = (part, weight, wanted)
        total = total + checkpoint(_score, *kept, use_reentrant=False, preserve_rng_state=False)
    return total


def _score(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    logits = F.linear(hidden, weight).float()
    return F.cross_entropy(logits, targets, ignore_index=NO_TARGET, reduction="sum")
