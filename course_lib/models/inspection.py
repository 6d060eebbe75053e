"""What every measurement needs first: dropout off, no gradients, the right kind of model."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

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


def require_kind(
    model: nn.Module,
    kind: Kind,
    purpose: str,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> None:
    """Refuse a model of another kind, and a tokenizer that is not the model's.

    A BERT run as a causal model answers, and wrongly; a token that the model has no embedding for
    ends in an index error, on a GPU in one that kills the process.

    Raises:
        CourseError: the model is not of this kind, or the tokenizer has more tokens than the model.
    """
    if (found := kind_of(model)) != kind:
        raise CourseError(
            f"{purpose} needs a {kind} model; {type(model).__name__} is a {found} one."
        )
    if tokenizer is not None:
        require_tokenizer(model, tokenizer)


def require_tokenizer(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that has tokens which the model has no embedding for.

    Raises:
        CourseError: it is another model's.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise CourseError(
            f"The tokenizer has {len(tokenizer)} tokens and the model {rows}: use the tokenizer "
            "that the model was trained with."
        )


def document_marks(tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """The tokens that open and close a document: bos and eos or, as BERT has them, cls and sep.

    Raises:
        CourseError: the tokenizer has no such tokens.
    """
    opening, closing = (
        next((mark for mark in pair if mark is not None), None)
        for pair in (
            (tokenizer.bos_token_id, tokenizer.cls_token_id),
            (tokenizer.eos_token_id, tokenizer.sep_token_id),
        )
    )
    if opening is None or closing is None:
        raise CourseError(
            "The tokenizer needs tokens that open and close a text: set bos_token and eos_token."
        )
    return opening, closing


def context_length(model: nn.Module) -> int | None:
    """The longest sequence that a model's table of positions holds; None without such a table."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and model.config.model_type == "roberta":
        return positions - model.config.pad_token_id - 1  # see course_lib.models.build
    return positions
