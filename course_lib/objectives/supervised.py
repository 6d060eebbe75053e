"""Supervised objectives: examples whose answer is given, padded into a batch.

The loss is on what a person wrote as the answer, and nowhere else: a completion's tokens, a text's
label, a word's tag. Nothing is corrupted and nothing is drawn.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from course_lib.corpora.pairs import NO_TARGET


@dataclass(frozen=True, eq=False)
class Supervised:
    """Pad examples, dicts of lists with `input_ids` and `labels`, on the right.

    Labels as long as their inputs stay beside them; those of a decoder have a length of their own,
    and a label of the whole text has none.
    """

    tokenizer: PreTrainedTokenizerBase
    text_labels: bool = False

    @classmethod
    def from_tokenizer(
        cls, tokenizer: PreTrainedTokenizerBase, *, text_labels: bool = False
    ) -> Self:
        """`text_labels` says that each example has one label for the whole text."""
        return cls(tokenizer, text_labels)

    def __call__(
        self, examples: list[dict[str, list[int]]], generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask` `[batch, length]`, and `labels`, -100 off target."""
        inputs = self.tokenizer.pad(
            {"input_ids": [example["input_ids"] for example in examples]},
            padding_side="right",
            return_tensors="pt",
        )
        rows = [torch.tensor(example["labels"]) for example in examples]
        if self.text_labels:
            labels = torch.cat(rows)
        else:
            labels = torch.nn.utils.rnn.pad_sequence(rows, True, NO_TARGET)
        return {
            "input_ids": inputs["input_ids"],
            "attention_mask": inputs["attention_mask"],
            "labels": labels,
        }
