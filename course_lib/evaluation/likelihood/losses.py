"""How well a model predicts text: nats per token, perplexity, bits per byte.

Nats per token and perplexity depend on the tokenizer: longer tokens are fewer and harder. Two
models with different tokenizers are compared by what they say of the same bytes, in bits per byte,
or of the same documents, in nats per document. The latter also compares with the true distribution,
where that is known: no model's mean can fall below its entropy.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from course_lib.corpora import NO_TARGET, encode
from course_lib.corpora.padding import pad_rows
from course_lib.corpora.pairs import require_length
from course_lib.corpora.templates import encode_inside
from course_lib.models import context_length, evaluation_mode, require_kind
from course_lib.models.inspection import document_marks
from course_lib.objectives.loss import Batch, target_losses, to_device
from course_lib.objectives.rows import TokenRows
from course_lib.runtime.checks import (
    BadArgumentError,
    Count,
    NotNegative,
    Positive,
    SomeTexts,
    checked,
)


class PositionLosses(NamedTuple):
    """Loss by place in the block: `mean` and its standard `error`, each [length - 1], in nats.

    Entry i is the loss of token i + 1, which is predicted from the i + 1 tokens before it.
    """

    mean: Tensor
    error: Tensor


class _Row(NamedTuple):
    """A window of a document: its tokens, and the first of them that counts as a target."""

    document: int
    ids: list[int]
    first_target: int


def token_losses(model: nn.Module, batch: Batch) -> Tensor:
    """Negative log likelihood of each target of a batch, in nats: [batch, positions], no gradient.

    Column t belongs to `labels[:, t]` and is nan where there is no target, as in
    `course_lib.objectives.target_losses`; `.nanmean()` is the loss. Dropout is off.
    """
    with evaluation_mode(model) as device:
        return target_losses(model, to_device(model, batch, device))


@checked
def document_losses(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    texts: SomeTexts,
    batch_size: Count = 64,
) -> pd.DataFrame:
    """What a causal model says of whole documents: a row each, with `nats`, `tokens`, `bytes`.

    `nats` is -log p(document): the sum over the document's tokens and the boundary that closes it,
    given the boundary that opens it. `tokens` counts those, so `nats / tokens` is the loss. A
    document longer than the context is read in windows that overlap by half.

    Raises:
        CourseError: the model is not causal, the tokenizer another model's, or one without the
            tokens that open and close a document.
        BadArgumentError: no texts.
    """
    require_kind(model, "causal", "document_losses", tokenizer)
    opening, closing = document_marks(tokenizer)
    limit = context_length(model)
    encoded = encode_inside(texts, tokenizer)
    rows = []
    for document, ids in enumerate(encoded):
        rows += _windows(document, [opening, *ids, closing], limit)
    rows.sort(key=lambda row: len(row.ids))  # rows of like length share a batch: little padding

    nats = torch.zeros(len(texts), dtype=torch.float64)
    for start in range(0, len(rows), batch_size):
        group = rows[start : start + batch_size]
        losses = token_losses(model, _batch(group, tokenizer))
        totals = losses.cpu().double().nansum(dim=1)
        nats.index_add_(0, torch.tensor([row.document for row in group]), totals)
    return pd.DataFrame(
        {
            "nats": nats.numpy(),
            "tokens": [len(ids) + 1 for ids in encoded],
            "bytes": [len(text.encode()) for text in texts],
        }
    )


@checked
def pseudo_document_losses(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    texts: SomeTexts,
    batch_size: Count = 256,
) -> pd.DataFrame:
    """What a masked model says of whole documents: a row each, with `nats`, `tokens`, `bytes`.

    `nats` is minus the pseudo-log-likelihood (Salazar et al. 2020, section 2): each token in turn
    is masked and predicted from all others, and the losses are summed. That is not -log of a
    probability of the text. What two tokens have in common is counted for both, so over all texts
    the "probabilities" do not sum to one, and the loss of a perfect model lies below the entropy.

    Raises:
        CourseError: the model is not a masked one, the tokenizer another model's, or a document
            is longer than the context.
        BadArgumentError: no texts.
    """
    require_kind(model, "masked", "pseudo_document_losses", tokenizer)
    encoded = encode(texts, tokenizer)
    require_length(texts, encoded, context_length(model))
    totals = []
    for ids in encoded:
        row = torch.tensor(ids)
        special = torch.tensor(sorted({tokenizer.cls_token_id, tokenizer.sep_token_id}))
        places = (~torch.isin(row, special)).nonzero().squeeze(1)
        nats = 0.0
        for start in range(0, len(places), batch_size):
            group = places[start : start + batch_size]
            asked = torch.zeros(len(group), len(row), dtype=torch.bool)
            asked[torch.arange(len(group)), group] = True
            inputs = torch.where(asked, tokenizer.mask_token_id, row)
            labels = torch.where(asked, row, NO_TARGET)
            losses = token_losses(model, {"input_ids": inputs, "labels": labels})
            nats += losses.cpu().double().nansum().item()
        totals.append((nats, len(places)))
    nats, tokens = zip(*totals, strict=True)
    return pd.DataFrame(
        {"nats": nats, "tokens": tokens, "bytes": [len(text.encode()) for text in texts]}
    )


@checked
def perplexity(nats_per_token: NotNegative) -> float:
    """exp(loss): how many equally likely tokens would leave a reader as uncertain.

    Infinite where the loss is above 709 nats and a float cannot hold it.
    """
    try:
        return math.exp(nats_per_token)
    except OverflowError:
        return math.inf


@checked
def bits_per_byte(nats: NotNegative, bytes: Positive) -> float:
    """Bits that a text takes for each of its bytes, from the nats and the bytes of the whole text.

    Raises:
        BadArgumentError: no bytes.
    """
    return nats / math.log(2) / bytes


@checked
def loss_by_position(model: nn.Module, blocks: TokenRows, batch_size: Count = 64) -> PositionLosses:
    """How a causal model's loss falls with context, over packed blocks [rows, length].

    Raises:
        CourseError: the model is not causal.
        BadArgumentError: fewer than two rows, of which no standard error can be taken, or of two
            tokens; rows that are longer than the context.
    """
    require_kind(model, "causal", "loss_by_position")
    limit = context_length(model) or blocks.shape[1]
    if min(blocks.shape) < 2 or blocks.shape[1] > limit:
        raise BadArgumentError(
            f"blocks of shape {tuple(blocks.shape)}: give at least 2 rows of at least 2 tokens"
            f"{f', and at most {limit}' if limit < blocks.shape[1] else ''}."
        )
    losses = torch.cat(
        [
            token_losses(model, {"input_ids": rows, "labels": rows})[:, 1:].cpu().double()
            for rows in blocks.split(batch_size)
        ]
    )
    return PositionLosses(losses.mean(dim=0), losses.std(dim=0) / math.sqrt(len(losses)))


def _windows(document: int, ids: list[int], limit: int | None) -> list[_Row]:
    """Cut a document into rows of at most `limit` tokens that score each token once."""
    if limit is None or len(ids) <= limit:
        return [_Row(document, ids, 1)]
    rows, scored = [], 1  # the opening boundary is given, not scored
    for start in range(0, len(ids), max(1, limit // 2)):
        rows.append(_Row(document, ids[start : start + limit], scored - start))
        scored = min(start + limit, len(ids))
        if scored == len(ids):
            break
    return rows


def _batch(rows: Sequence[_Row], tokenizer: PreTrainedTokenizerBase) -> dict[str, Tensor]:
    """A batch padded on the right, which a causal model's tokens to the left never see."""
    batch = pad_rows([row.ids for row in rows], tokenizer)
    first = torch.tensor([row.first_target for row in rows])
    given = torch.arange(batch["input_ids"].shape[1]) < first[:, None]
    labels = batch["input_ids"].masked_fill(given | (batch["attention_mask"] == 0), NO_TARGET)
    return batch | {"labels": labels}
