"""Causal language modeling (GPT-2, GPT-3, BLOOM): predict each token from those before it."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import LongTensor, Tensor
from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class CausalLM:
    """Nothing is corrupted and every position is a target.

    The labels are the inputs: `transformers` causal models compare the prediction at position t
    with the label at position t + 1. Shift them here as well and the model learns to predict two
    tokens ahead, a bug that shows only as a loss a little too high.
    """

    @classmethod
    def from_tokenizer(cls, tokenizer: PreTrainedTokenizerFast) -> Self:
        """Causal language modeling needs nothing of the tokenizer."""
        return cls()

    def __call__(self, blocks: LongTensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return `input_ids` and `labels`, both `[batch, length]`, unshifted."""
        return {"input_ids": blocks, "labels": blocks.clone()}
