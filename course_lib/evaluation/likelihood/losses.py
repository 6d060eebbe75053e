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
from torch import LongTensor, Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_lib.corpora import NO_TARGET
from course_lib.models import context_length, evaluation_mode, require_kind
from course_lib.objectives.loss import Batch, target_losses
from course_lib.runtime.errors import CourseError


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


def token_losses(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Negative log likelihood of each target of a batch, in nats: [batch, positions], no gradient.

    Column t belongs to `labels[:, t]` and is nan where there is no target, as in
    `course_lib.models.target_losses`; `.nanmean()` is the loss. Dropout is off.
    """
    with evaluation_mode(model) as device:
        return target_losses(model, {key: value.to(device) for key, value in batch.items()})


def document_losses(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    batch_size: int = 64,
) -> pd.DataFrame:
    """What a causal model says of whole documents: a row each, with `nats`, `tokens`, `bytes`.

    `nats` is -log p(document): the sum over the document's tokens and the boundary that closes it,
    given the boundary that opens it. `tokens` counts those, so `nats / tokens` is the loss. A
    document longer than the context is read in windows that overlap by half.

    Raises:
        CourseError: the model is not causal.
        ValueError: no texts, or a tokenizer without the tokens that open and close a document.
    """
    require_kind(model, "causal", "document_losses")
    if isinstance(texts, str) or not len(texts):
        raise ValueError("texts: give a list of at least one document.")
    if tokenizer.bos_token_id is None or tokenizer.eos_token_id is None:
        raise ValueError("The tokenizer needs a bos and an eos token, to open and close a text.")
    limit = context_length(model)
    encoded = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    rows = []
    for document, ids in enumerate(encoded):
        rows += _windows(document, [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id], limit)
    rows.sort(key=lambda row: len(row.ids))  # rows of like length share a batch: little padding

    nats = torch.zeros(len(texts), dtype=torch.float64)
    for start in range(0, len(rows), batch_size):
        group = rows[start : start + batch_size]
        losses = token_losses(model, _pad(group, tokenizer.pad_token_id or 0))
        totals = losses.double().nansum(dim=1).cpu()
        nats.index_add_(0, torch.tensor([row.document for row in group]), totals)
    return pd.DataFrame(
        {
            "nats": nats.numpy(),
            "tokens": [len(ids) + 1 for ids in encoded],
            "bytes": [len(text.encode()) for text in texts],
        }
    )


def pseudo_document_losses(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    batch_size: int = 256,
) -> pd.DataFrame:
    """What a masked model says of whole documents: a row each, with `nats`, `tokens`, `bytes`.

    `nats` is minus the pseudo-log-likelihood (Salazar et al. 2020, section 2): each token in turn
    is masked and predicted from all others, and the losses are summed. That is not -log of a
    probability of the text. What two tokens have in common is counted for both, so over all texts
    the "probabilities" do not sum to one, and the loss of a perfect model lies below the entropy.

    Raises:
        CourseError: the model is not a masked one, or a document is longer than its context.
        ValueError: no texts.
    """
    require_kind(model, "masked", "pseudo_document_losses")
    if isinstance(texts, str) or not len(texts):
        raise ValueError("texts: give a list of at least one document.")
    limit = context_length(model)
    totals = []
    for ids in tokenizer(list(texts))["input_ids"]:
        if limit is not None and len(ids) > limit:
            raise CourseError(f"A text has {len(ids)} tokens and the model reads {limit}: cut it.")
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
            nats += losses.double().nansum().item()
        totals.append((nats, len(places)))
    nats, tokens = zip(*totals, strict=True)
    return pd.DataFrame(
        {"nats": nats, "tokens": tokens, "bytes": [len(text.encode()) for text in texts]}
    )


def perplexity(nats_per_token: float) -> float:
    """exp(loss): how many equally likely tokens would leave a reader as uncertain."""
    return math.exp(nats_per_token)


def bits_per_byte(nats: float, bytes: float) -> float:
    """Bits that a text takes for each of its bytes, from the nats and the bytes of the whole text.

    Raises:
        ValueError: no bytes.
    """
    if bytes <= 0:
        raise ValueError(f"bytes={bytes}: the text must have at least one byte.")
    return nats / math.log(2) / bytes


def loss_by_position(
    model: PreTrainedModel, blocks: LongTensor, batch_size: int = 64
) -> PositionLosses:
    """How a causal model's loss falls with context, over packed blocks [rows, length].

    Raises:
        CourseError: the model is not causal.
        ValueError: fewer than two rows, of which no standard error can be taken.
    """
    require_kind(model, "causal", "loss_by_position")
    if blocks.dim() != 2 or len(blocks) < 2:
        raise ValueError(f"blocks of shape {tuple(blocks.shape)}: give [rows, length], rows >= 2.")
    losses = torch.cat(
        [
            token_losses(model, {"input_ids": rows, "labels": rows})[:, 1:].double().cpu()
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


def _pad(rows: Sequence[_Row], pad_id: int) -> dict[str, Tensor]:
    """A batch padded on the right, which a causal model's tokens to the left never see."""
    shape = (len(rows), max(len(row.ids) for row in rows))
    input_ids = torch.full(shape, pad_id)
    labels = torch.full(shape, NO_TARGET)
    attention_mask = torch.zeros(shape, dtype=torch.long)
    for i, row in enumerate(rows):
        ids = torch.tensor(row.ids)
        input_ids[i, : len(ids)] = ids
        attention_mask[i, : len(ids)] = 1
        labels[i, row.first_target : len(ids)] = ids[row.first_target :]
    return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}
