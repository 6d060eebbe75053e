"""Rows of different length as one batch: the one padder of the course."""

from collections.abc import Sequence

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from course_lib.runtime.errors import CourseError


def pad_rows(
    rows: Sequence[Sequence[int]], tokenizer: PreTrainedTokenizerBase
) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask`, each `[rows, longest row]`, padded on the right.

    Always on the right, also by a tokenizer that pads on the left of its own accord: positions
    are counted from the first token, and a causal model never sees what stands to the right.

    Raises:
        CourseError: the tokenizer has no padding token.
    """
    if tokenizer.pad_token_id is None:
        raise CourseError(
            "The tokenizer has no padding token: set tokenizer.pad_token = tokenizer.eos_token."
        )
    padded = tokenizer.pad(
        {"input_ids": list(rows)},
        padding_side="right",
        return_attention_mask=True,
        return_tensors="pt",
        verbose=False,
    )
    return {name: padded[name] for name in ("input_ids", "attention_mask")}
