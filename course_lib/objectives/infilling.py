"""Text infilling with sentence permutation (BART): shuffle the sentences, hide spans, rebuild.

Lewis et al. 2020, section 2.2. Spans have Poisson(3) lengths and cover about 30 % of the tokens;
each becomes a single mask token, and a span of length zero inserts one. The model must therefore
also find out how many tokens are missing. The target is the whole original text.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import BoolTensor, LongTensor, Tensor
from transformers import PreTrainedTokenizerBase

from course_lib.corpora import NO_TARGET
from course_lib.objectives.rows import TokenRows
from course_lib.objectives.span_corruption import SpanLength
from course_lib.runtime.checks import BadArgumentError, NotNegativeCount, Share, checked


@checked
@dataclass(frozen=True, eq=False)
class TextInfilling:
    """Corrupt blocks of token ids as BART does.

    `sentence_end_ids` are the tokens that close a sentence. Special tokens are never masked, and
    sentences are shuffled only between two special tokens, so documents stay apart.
    """

    mask_id: NotNegativeCount
    pad_id: NotNegativeCount
    special_ids: LongTensor
    sentence_end_ids: LongTensor
    rate: Share = 0.3
    mean_span: SpanLength = 3.0
    permute: bool = True

    @classmethod
    @checked
    def from_tokenizer(
        cls,
        tokenizer: PreTrainedTokenizerBase,
        *,
        rate: Share = 0.3,
        mean_span: SpanLength = 3.0,
        permute: bool = True,
    ) -> Self:
        """Read the mask, padding and special tokens and the ends of sentences off a tokenizer.

        Raises:
            BadArgumentError: the tokenizer has no mask token or no padding token; a rate that is
                no share; a span of less than one token.
        """
        if tokenizer.mask_token_id is None or tokenizer.pad_token_id is None:
            raise BadArgumentError(
                "text infilling needs a tokenizer with a mask and a padding token, as bart's has"
            )
        ends = [i for token, i in tokenizer.get_vocab().items() if token in (".", "!", "?")]
        special = sorted(tokenizer.all_special_ids)
        return cls(
            tokenizer.mask_token_id,
            tokenizer.pad_token_id,
            torch.tensor(special),
            torch.tensor(ends, dtype=torch.long),
            rate,
            mean_span,
            permute,
        )

    @checked
    def __call__(self, blocks: TokenRows, generator: torch.Generator) -> dict[str, Tensor]:
        """Return `input_ids` and its `attention_mask`, padded, and `labels` `[batch, length]`."""
        shuffled = self.permute_sentences(blocks, generator) if self.permute else blocks
        inputs = self._infill(shuffled, *self._spans(shuffled, generator))
        return {
            "input_ids": inputs,
            "attention_mask": (inputs != self.pad_id).long(),
            "labels": torch.where(blocks == self.pad_id, NO_TARGET, blocks),
        }

    @checked
    def permute_sentences(self, blocks: TokenRows, generator: torch.Generator) -> LongTensor:
        """Shuffle the sentences of each document within its place in the row."""
        special = torch.isin(blocks, self.special_ids)
        end = torch.isin(blocks, self.sentence_end_ids) | special
        sentence = end.cumsum(dim=1) - end.long()  # the end belongs to the sentence it closes
        draw = torch.rand(blocks.shape, generator=generator, dtype=torch.float64)
        # A special token opens a new group and is its first member; sorting by group and then by
        # the sentence's draw keeps documents in place, and a stable sort keeps words in order.
        key = special.cumsum(dim=1) + draw.gather(1, sentence).masked_fill(special, 0)
        return blocks.gather(1, key.argsort(dim=1, stable=True))

    def _spans(
        self, blocks: LongTensor, generator: torch.Generator
    ) -> tuple[BoolTensor, BoolTensor]:
        """Which tokens are hidden `[batch, length]`; before which a mask goes `[.., length + 1]`.

        Each span sits in its own gap between kept tokens, so two spans never touch.
        """
        batch, length = blocks.shape
        budget = round(length * self.rate)
        gaps = length - budget + 1
        # Draw more spans than needed; the last one that counts is cut, or the last of all is made
        # longer if they are too short together, to meet the budget exactly.
        draws = min(gaps, budget + 1)
        rates = torch.full((batch, draws), float(self.mean_span))
        lengths = torch.poisson(rates, generator=generator).long()
        lengths[:, -1] += (budget - lengths.sum(dim=1)).clamp(min=0)
        total = lengths.cumsum(dim=1)
        exists = total - lengths < budget
        lengths = torch.where(exists, lengths - (total - budget).clamp(min=0), 0)

        gap = torch.rand(batch, gaps, generator=generator).argsort(dim=1)[:, :draws]
        hidden_at = torch.zeros(batch, gaps, dtype=torch.long).scatter(1, gap, lengths)
        masked_at = torch.zeros(batch, gaps, dtype=torch.bool).scatter(1, gap, exists)
        # Kept token g comes after g kept tokens and all tokens hidden in gaps 0 to g.
        kept = torch.arange(gaps) + hidden_at.cumsum(dim=1)
        hidden = torch.ones(batch, length + 1, dtype=torch.bool).scatter(1, kept, False)
        insert = torch.zeros(batch, length + 1, dtype=torch.bool).scatter(
            1, kept, masked_at & (hidden_at == 0)
        )
        # A mask may stand at the end of a text, but nowhere behind it, among the padding.
        insert[:, 1:] &= blocks != self.pad_id
        return hidden[:, :length] & ~torch.isin(blocks, self.special_ids), insert

    def _infill(self, blocks: LongTensor, hidden: BoolTensor, insert: BoolTensor) -> LongTensor:
        """Put one mask for each hidden run and each insertion; close up and pad on the right."""
        first = hidden & ~torch.nn.functional.pad(hidden, (1, 0))[:, :-1]
        # An inserted mask takes a place that a longer span has freed, so no row outgrows the
        # positions of the model.
        freed = (hidden & ~first).sum(dim=1, keepdim=True)
        insert = insert & (insert.cumsum(dim=1) <= freed)
        token = torch.where(first, self.mask_id, blocks)
        # Two places for each token: one for a mask inserted before it, one for itself.
        places = torch.stack([torch.full_like(token, self.mask_id), token], dim=2).flatten(1)
        keep = torch.stack([insert[:, :-1], first | ~hidden], dim=2).flatten(1)
        places = torch.nn.functional.pad(places, (0, 1), value=self.mask_id)
        keep = torch.cat([keep, insert[:, -1:]], dim=1)
        order = (~keep).long().argsort(dim=1, stable=True)
        closed = places.masked_fill(~keep, self.pad_id).gather(1, order)
        return closed[:, : int(keep.sum(dim=1).max())]
