"""Pairs of a source and its target as an encoder-decoder takes them, and its loss on them."""

from collections.abc import Sequence

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_lib.evaluation.inference import context_length, evaluating, require
from course_lib.models.likelihood import NO_TARGET
from course_lib.runtime.errors import CourseError


def encode_sources(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sources: Sequence[str]
) -> dict[str, Tensor]:
    """What the encoder reads: `input_ids` and `attention_mask`, each [sources, positions].

    Padded on the right. T5 closes a text with </s>, BART also opens it with <s>.

    Raises:
        ValueError: no sources, or a single string for a list.
        CourseError: a source has more tokens than the model has positions.
    """
    _check_texts("sources", sources)
    encoded = tokenizer(list(sources), padding=True, padding_side="right", return_tensors="pt")
    _check_length(model, encoded["attention_mask"], sources)
    return {name: encoded[name] for name in ("input_ids", "attention_mask")}


def encode_pairs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sources: Sequence[str],
    targets: Sequence[str],
) -> dict[str, Tensor]:
    """A batch: `encode_sources`, and `labels` [pairs, positions] with -100 where there is padding.

    The labels end with the end token: a decoder that never saw it would never stop. It reads them
    one place to the right, behind its start token, which the model's loss sees to.

    Raises:
        ValueError: no pairs, not as many targets as sources, a single string for a list, or a
            tokenizer that closes no text.
        CourseError: a text has more tokens than the model has positions.
    """
    _check_texts("targets", targets)
    if len(sources) != len(targets):
        raise ValueError(f"{len(sources)} sources and {len(targets)} targets: give one for one.")
    batch = encode_sources(model, tokenizer, sources)
    encoded = tokenizer(list(targets), padding=True, padding_side="right", return_tensors="pt")
    seen = encoded["attention_mask"]
    _check_length(model, seen, targets)
    labels = encoded["input_ids"].masked_fill(seen == 0, NO_TARGET)
    if not (labels == tokenizer.eos_token_id).any(dim=1).all():
        raise ValueError("The tokenizer does not put its end token behind a text: set it up to.")
    return batch | {"labels": labels}


def without_padding(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same batch without the columns that are padding in each of its rows."""
    source = int(batch["attention_mask"].sum(dim=1).max())
    target = int((batch["labels"] != NO_TARGET).sum(dim=1).max())
    return {
        "input_ids": batch["input_ids"][:, :source],
        "attention_mask": batch["attention_mask"][:, :source],
        "labels": batch["labels"][:, :target],
    }


def teacher_forcing(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sources: Sequence[str],
    targets: Sequence[str],
    batch_size: int = 64,
) -> pd.DataFrame:
    """Score given targets: a row each, with `nats`, `tokens` and `right`.

    The model predicts each token of a target from the *true* tokens before it (Williams and Zipser
    1989), in one pass. `nats` is -log p(target | source), `right` the number of tokens that were
    the likeliest; `nats / tokens` is the loss and `right / tokens` the accuracy. Writing by itself
    is harder: see `generate_targets`.

    Raises:
        CourseError: the model is no encoder-decoder, or a text has more tokens than it can read.
        ValueError: no pairs, or not as many targets as sources.
    """
    require(model, "seq2seq", "teacher_forcing")
    pairs = encode_pairs(model, tokenizer, sources, targets)
    order = pairs["attention_mask"].sum(dim=1).argsort()  # like lengths together: little padding
    nats = torch.zeros(len(order), dtype=torch.float64)
    right = torch.zeros(len(order), dtype=torch.long)
    for rows in order.split(batch_size):
        batch = without_padding({name: value[rows] for name, value in pairs.items()})
        with evaluating(model) as device:
            batch = {name: value.to(device) for name, value in batch.items()}
            labels = batch.pop("labels")
            shifted = model.prepare_decoder_input_ids_from_labels(labels)
            logits = model(**batch, decoder_input_ids=shifted, use_cache=False).logits.float()
        losses = F.cross_entropy(logits.mT, labels, ignore_index=NO_TARGET, reduction="none")
        nats[rows] = losses.double().sum(dim=1).cpu()
        right[rows] = (logits.argmax(dim=-1) == labels).sum(dim=1).cpu()
    tokens = (pairs["labels"] != NO_TARGET).sum(dim=1)
    return pd.DataFrame({"nats": nats.numpy(), "tokens": tokens.numpy(), "right": right.numpy()})


def _check_texts(name: str, texts: Sequence[str]) -> None:
    if isinstance(texts, str) or not len(texts):
        raise ValueError(f"{name}: give a list of at least one text.")


def _check_length(model: PreTrainedModel, seen: Tensor, texts: Sequence[str]) -> None:
    limit, lengths = context_length(model), seen.sum(dim=1)
    if limit is not None and int(lengths.max()) > limit:
        text = texts[int(lengths.argmax())]
        raise CourseError(
            f"{text[:40]!r}... has {int(lengths.max())} tokens and the model reads {limit}: "
            "shorten it or leave it out."
        )
