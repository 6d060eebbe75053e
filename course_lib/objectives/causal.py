"""Causal language modeling (GPT-2, GPT-3, BLOOM): predict each token from those before it."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from course_lib.corpora import NO_TARGET
from course_lib.objectives.rows import TokenRows
from course_lib.runtime.checks import NotNegativeCount, checked


@checked
@dataclass(frozen=True)
class CausalLM:
    """Nothing is corrupted and every position is a target, but for padding.

    The labels are the inputs: `transformers` causal models compare the prediction at position t
    with the label at position t + 1. Shift them here as well and the model learns to predict two
    tokens ahead, a bug that shows only as a loss a little too high.
    """

    pad_id: NotNegativeCount | None = None

    @classmethod
    @checked
    def from_tokenizer(cls, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Read the padding token off a tokenizer.

        Where padding is written with the end token, as GPT-2's is by custom, the two cannot be
        told apart and neither is left out: that a text ends is something to learn, and rows that
        are packed hold no padding.
        """
        marks = (tokenizer.eos_token_id, tokenizer.bos_token_id)
        pad_id = tokenizer.pad_token_id
        return cls(None if pad_id in marks else pad_id)

    @checked
    def __call__(self, blocks: TokenRows, generator: torch.Generator) -> dict[str, Tensor]:
        """Return `input_ids` and `labels`, both `[batch, length]`, unshifted."""
        labels = blocks.clone()
        if self.pad_id is not None:
            labels[blocks == self.pad_id] = NO_TARGET
        return {"input_ids": blocks, "labels": labels}
