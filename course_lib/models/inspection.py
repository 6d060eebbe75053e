"""What every measurement needs first: dropout off, no gradients, the right kind of model."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel

from course_lib.objectives.loss import Kind, kind_of
from course_lib.runtime.errors import CourseError


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[torch.device]:
    """Within, the model has no dropout and keeps no gradients; afterwards it is as it was.

    As it was, part by part: a part that somebody has put into evaluation mode by itself, as one
    does with a frozen one, is still in it afterwards. Yields the model's device.
    """
    training = [part for part in model.modules() if part.training]
    model.eval()
    try:
        with torch.no_grad():
            yield next(model.parameters()).device
    finally:
        for part in training:
            part.training = True


def require_kind(model: PreTrainedModel, kind: Kind, purpose: str) -> None:
    """Refuse a model of another kind: a BERT run as a causal model answers, and wrongly.

    Raises:
        CourseError: the model is not of this kind.
    """
    if (found := kind_of(model)) != kind:
        raise CourseError(
            f"{purpose} needs a {kind} model; {type(model).__name__} is a {found} one."
        )


def context_length(model: PreTrainedModel) -> int | None:
    """The longest sequence that a model's table of positions holds; None without such a table."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and model.config.model_type == "roberta":
        return positions - model.config.pad_token_id - 1  # see course_lib.models.build
    return positions
