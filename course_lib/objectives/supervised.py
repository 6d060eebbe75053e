"""Supervised objectives: examples whose answer is given, padded into a batch.

The loss is on what a person wrote as the answer, and nowhere else: a completion's tokens, a text's
label, a word's tag. Nothing is corrupted and nothing is drawn.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Self

import torch
from pydantic import BeforeValidator
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from course_lib.corpora import NO_TARGET
from course_lib.corpora.padding import pad_rows
from course_lib.runtime.checks import checked


def _as_examples(value: Any) -> Any:
    if not isinstance(value, list) or not value:
        raise ValueError("give a list of at least one example")
    for number, example in enumerate(value):
        if not isinstance(example, dict) or not {"input_ids", "labels"} <= example.keys():
            raise ValueError(f"entry {number} is no dict with input_ids and labels")
    return value


@checked
@dataclass(frozen=True, eq=False)
class Supervised:
    """Pad examples, dicts of lists with `input_ids` and `labels`, on the right.

    Labels as long as their inputs stay beside them; those of a decoder have a length of their own,
    and a label of the whole text has none. Rows that several examples share have `position_ids`,
    too (`course_lib.corpora.packed_examples`): these stand for the mask, and padding has 0.
    """

    tokenizer: PreTrainedTokenizerBase
    text_labels: bool = False

    @classmethod
    def from_tokenizer(
        cls, tokenizer: PreTrainedTokenizerBase, *, text_labels: bool = False
    ) -> Self:
        """`text_labels` says that each example has one label for the whole text."""
        return cls(tokenizer, text_labels)

    @checked
    def __call__(
        self,
        examples: Annotated[list, BeforeValidator(_as_examples)],
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask` `[batch, length]`, and `labels`, -100 off target.

        With `position_ids` in place of the mask where the examples have them.
        """
        inputs = pad_rows([example["input_ids"] for example in examples], self.tokenizer)
        rows = [torch.tensor(example["labels"]) for example in examples]
        if self.text_labels:
            labels = torch.cat(rows)
        else:
            labels = torch.nn.utils.rnn.pad_sequence(rows, True, NO_TARGET)
        if "position_ids" in examples[0]:
            places = [torch.tensor(example["position_ids"]) for example in examples]
            inputs["position_ids"] = torch.nn.utils.rnn.pad_sequence(places, True)
            del inputs["attention_mask"]
        return inputs | {"labels": labels}
