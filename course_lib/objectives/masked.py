"""Masked language modeling (BERT, RoBERTa): hide some tokens, predict them from both sides.

Of all ordinary tokens, 15 % become targets. Of the targets, 80 % are replaced by the mask token,
10 % by a random token, and 10 % are left as they are, so that the model cannot rely on a visible
mask to know where it will be asked (Devlin et al. 2019, section 3.1).
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import LongTensor, Tensor
from transformers import PreTrainedTokenizerBase

from course_lib.corpora import NO_TARGET
from course_lib.objectives.rows import TokenRows
from course_lib.runtime.checks import BadArgumentError, NotNegativeCount, Share, checked


@checked
@dataclass(frozen=True, eq=False)
class MaskedLM:
    """Corrupt blocks of token ids for a masked language model.

    `static=False` draws a new mask at every call (RoBERTa, Liu et al. 2019, section 4.1).
    `static=True` derives the mask from the content of the row, so the same row is masked the same
    way in every epoch, as when BERT's data was masked once in preprocessing.
    """

    mask_id: NotNegativeCount
    ordinary_ids: LongTensor
    special_ids: LongTensor
    rate: Share = 0.15
    static: bool = False

    @classmethod
    @checked
    def from_tokenizer(
        cls, tokenizer: PreTrainedTokenizerBase, *, rate: Share = 0.15, static: bool = False
    ) -> Self:
        """Read the mask token and the special tokens off a tokenizer.

        Raises:
            BadArgumentError: the tokenizer has no mask token, or `rate` is no share.
        """
        if tokenizer.mask_token_id is None:
            raise BadArgumentError(
                "masked language modeling needs a tokenizer with a mask token, as bert's has"
            )
        special = sorted(tokenizer.all_special_ids)
        ordinary = sorted(set(range(len(tokenizer))) - set(special))
        return cls(
            tokenizer.mask_token_id, torch.tensor(ordinary), torch.tensor(special), rate, static
        )

    @checked
    def __call__(self, blocks: TokenRows, generator: torch.Generator) -> dict[str, Tensor]:
        """Return `input_ids` and `labels`, both `[batch, length]`; labels are -100 off target."""
        if self.static:
            draw, choice = _draws_from_content(blocks)
        else:
            draw = torch.rand(blocks.shape, generator=generator)
            choice = torch.randint(len(self.ordinary_ids), blocks.shape, generator=generator)
        # One uniform draw decides both whether a token is a target and what becomes of it: below
        # `rate` it is a target, and where below `rate` it falls makes the 80/10/10 split.
        target = (draw < self.rate) & ~torch.isin(blocks, self.special_ids)
        masked = target & (draw < 0.8 * self.rate)
        random = target & ~masked & (draw < 0.9 * self.rate)

        inputs = torch.where(masked, self.mask_id, blocks)
        inputs = torch.where(random, self.ordinary_ids[choice % len(self.ordinary_ids)], inputs)
        return {"input_ids": inputs, "labels": torch.where(target, blocks, NO_TARGET)}


def _draws_from_content(blocks: LongTensor) -> tuple[Tensor, LongTensor]:
    """Uniforms in [0, 1) and non-negative integers that depend on the row and the position only."""
    position = torch.arange(1, blocks.shape[1] + 1)
    row = _mix((blocks * _mix(position)).sum(dim=1, keepdim=True))
    bits = _mix(row + position)
    return (bits >> 11 & 2**53 - 1).double() / 2**53, _mix(bits) >> 1 & 2**62 - 1


def _mix(x: LongTensor) -> LongTensor:
    """The finaliser of SplitMix64 (Steele et al. 2014): a hash of 64-bit integers, wrapping."""
    x = (x ^ (x >> 30 & 2**34 - 1)) * -0x40A7B892E31B1A47
    x = (x ^ (x >> 27 & 2**37 - 1)) * -0x6B2FB644ECCEEE15
    return x ^ (x >> 31 & 2**33 - 1)
