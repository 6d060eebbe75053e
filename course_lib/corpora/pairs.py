"""Pairs of a source and its target, as an encoder-decoder takes them."""

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from course_lib.corpora.packing import encode
from course_lib.runtime.checks import Count, SomeTexts, checked
from course_lib.runtime.errors import CourseError

NO_TARGET = -100  # the label of a position that is not asked for, here and in `transformers`


@checked
def encode_sources(
    tokenizer: PreTrainedTokenizerBase, sources: SomeTexts, *, max_length: Count | None = None
) -> dict[str, Tensor]:
    """What the encoder reads: `input_ids` and `attention_mask`, each [sources, positions].

    Padded on the right. T5 closes a text with </s>, BART also opens it with <s>. `max_length` is
    what the model reads at most, None for no limit.

    Raises:
        BadArgumentError: no sources, or a single string for a list.
        CourseError: a source has more than `max_length` tokens.
    """
    encoded = _padded(tokenizer, sources, max_length)
    return {name: encoded[name] for name in ("input_ids", "attention_mask")}


@checked
def encode_pairs(
    tokenizer: PreTrainedTokenizerBase,
    sources: SomeTexts,
    targets: SomeTexts,
    *,
    max_length: Count | None = None,
) -> dict[str, Tensor]:
    """A batch: `encode_sources`, and `labels` [pairs, positions] with -100 where there is padding.

    The labels end with the end token: a decoder that never saw it would never stop. It reads them
    one place to the right, behind its start token, which the model's loss sees to.

    Raises:
        BadArgumentError: no pairs, or a single string for a list.
        CourseError: not as many targets as sources, a tokenizer that closes no text, or a text
            with more than `max_length` tokens.
    """
    if len(sources) != len(targets):
        raise CourseError(f"{len(sources)} sources and {len(targets)} targets: give one for one.")
    batch = encode_sources(tokenizer, sources, max_length=max_length)
    encoded = _padded(tokenizer, targets, max_length)
    labels = encoded["input_ids"].masked_fill(encoded["attention_mask"] == 0, NO_TARGET)
    if not (labels == tokenizer.eos_token_id).any(dim=1).all():
        raise CourseError("The tokenizer does not put its end token behind a text: set it up to.")
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


def _padded(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], max_length: int | None
) -> dict[str, Tensor]:
    rows = encode(texts, tokenizer)
    longest = max(range(len(rows)), key=lambda row: len(rows[row]))
    if max_length is not None and len(rows[longest]) > max_length:
        raise CourseError(
            f"{texts[longest][:40]!r}... has {len(rows[longest])} tokens and the model reads "
            f"{max_length}: shorten it or leave it out."
        )
    return tokenizer.pad({"input_ids": rows}, padding_side="right", return_tensors="pt")
