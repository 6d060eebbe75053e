"""Span corruption (T5): cut out spans, leave a sentinel for each, write the spans out.

    text    The cat sat on the mat
    input   The cat <x> on the <y> </s>
    target  <x> sat <y> mat        </s>

Raffel et al. 2020, section 3.3.4. The mask always begins with a clean span and ends with a noise
span, as in T5's own code, which has a pleasant consequence: the target is the same operation as
the input with the roles of clean and noise exchanged.
"""

from dataclasses import dataclass
from typing import Annotated, Self

import torch
from pydantic import Field
from torch import BoolTensor, LongTensor, Tensor
from transformers import PreTrainedTokenizerBase

from course_lib.objectives.rows import TokenRows
from course_lib.runtime.checks import (
    BadArgumentError,
    NotNegativeCount,
    Number,
    Share,
    checked,
)

SpanLength = Annotated[Number, Field(ge=1)]  # tokens, on average


@checked
@dataclass(frozen=True, eq=False)
class SpanCorruption:
    """Corrupt `rate` of each row's tokens in spans of `mean_span` tokens on average.

    Exactly `round(length * rate)` tokens are noise, in `round(noise / mean_span)` spans, in every
    row; so all rows keep one length and need no padding.
    """

    sentinel_ids: LongTensor
    end_id: NotNegativeCount
    rate: Share = 0.15
    mean_span: SpanLength = 3.0
    pad_id: NotNegativeCount | None = None

    @classmethod
    @checked
    def from_tokenizer(
        cls, tokenizer: PreTrainedTokenizerBase, *, rate: Share = 0.15, mean_span: SpanLength = 3.0
    ) -> Self:
        """Read sentinels `<extra_id_0>`, `<extra_id_1>`, ... and the end token off a tokenizer.

        Raises:
            BadArgumentError: the tokenizer has no sentinels or no end token; a rate that is no
                share; a span of less than one token.
        """
        names = (f"<extra_id_{i}>" for i in range(100))
        vocabulary = tokenizer.get_vocab()
        sentinels = [vocabulary[name] for name in names if name in vocabulary]
        if not sentinels:
            raise BadArgumentError(
                "span corruption needs a tokenizer with sentinels <extra_id_0>, ..., as t5's has"
            )
        if tokenizer.eos_token_id is None:
            raise BadArgumentError(
                "span corruption needs a tokenizer with an end token, as t5's has"
            )
        end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
        return cls(torch.tensor(sentinels), end, rate, mean_span, None if pad == end else pad)

    @checked
    def __call__(self, blocks: TokenRows, generator: torch.Generator) -> dict[str, Tensor]:
        """Return `input_ids` `[batch, clean + spans + 1]`, `labels` `[batch, noise + spans + 1]`.

        Raises:
            BadArgumentError: a row needs more spans than there are sentinels, has under 2 tokens,
                or is padded: rows keep one length because all of it is text.
        """
        if self.pad_id is not None and (blocks == self.pad_id).any():
            raise BadArgumentError("blocks hold padding: give packed rows, as pack makes them")
        return self.corrupt(blocks, self.noise_mask(*blocks.shape, generator))

    @checked
    def corrupt(self, blocks: TokenRows, noise: BoolTensor) -> dict[str, Tensor]:
        """The same for a mask of your own, `[batch, length]`, with equally many spans in each row.

        Where a row ends in clean tokens, its target closes with one more sentinel, as in figure 2
        of the paper: `<x> sat <y> mat <z>`.

        Raises:
            BadArgumentError: a mask of another shape, or with more spans in some rows than others.
        """
        if noise.shape != blocks.shape:
            shapes = f"{tuple(noise.shape)} for blocks of {tuple(blocks.shape)}"
            raise BadArgumentError(f"noise of shape {shapes}: give one for each token")
        return {
            "input_ids": self._collapse(blocks, noise),
            "labels": self._collapse(blocks, ~noise),
        }

    def noise_mask(self, batch: int, length: int, generator: torch.Generator) -> BoolTensor:
        """Which tokens are noise: `[batch, length]`, clean and noise spans taking turns."""
        if length < 2:
            raise BadArgumentError(
                f"a row needs a clean and a noise token, so 2 or more, not {length}"
            )
        noise = min(max(round(length * self.rate), 1), length - 1)
        spans = min(max(round(noise / self.mean_span), 1), noise, length - noise)
        if spans > len(self.sentinel_ids):
            raise BadArgumentError(
                f"{length} tokens need {spans} sentinels and the tokenizer has "
                f"{len(self.sentinel_ids)}: use shorter rows or longer spans"
            )
        clean_lengths = _segment(batch, length - noise, spans, generator)
        noise_lengths = _segment(batch, noise, spans, generator)
        lengths = torch.stack([clean_lengths, noise_lengths], dim=2).flatten(1)
        ends = lengths.cumsum(dim=1)
        # Position p lies in the span whose number is how many spans end at or before p.
        span = torch.searchsorted(ends, torch.arange(length).repeat(batch, 1), right=True)
        return span % 2 == 1

    def _collapse(self, blocks: LongTensor, hidden: BoolTensor) -> LongTensor:
        """Replace each hidden span by the next sentinel and close with the end token."""
        before = torch.nn.functional.pad(hidden, (1, 0))[:, :-1]
        first = hidden & ~before
        sentinel = self.sentinel_ids[(first.cumsum(dim=1) - 1).clamp(min=0)]
        stays = first | ~hidden
        if stays.sum(dim=1).unique().numel() > 1:
            raise BadArgumentError("noise: give each row as many noise tokens, and as many spans")
        kept = torch.where(first, sentinel, blocks)[stays].view(len(blocks), -1)
        return torch.nn.functional.pad(kept, (0, 1), value=self.end_id)


def _segment(batch: int, items: int, parts: int, generator: torch.Generator) -> LongTensor:
    """Cut `items` into `parts` non-empty lengths, uniformly among all ways: `[batch, parts]`."""
    cuts = torch.rand(batch, items - 1, generator=generator).argsort(dim=1)[:, : parts - 1] + 1
    edges = torch.nn.functional.pad(cuts.sort(dim=1).values, (1, 0), value=0)
    return torch.nn.functional.pad(edges, (0, 1), value=items).diff(dim=1)
