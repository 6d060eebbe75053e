"""Pairs of a source and its target, as an encoder-decoder takes them."""

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from course_lib.corpora.packing import encode, encode_cloze
from course_lib.corpora.padding import pad_rows
from course_lib.runtime.checks import BadArgumentError, Count, SomeTexts, checked
from course_lib.runtime.errors import CourseError

NO_TARGET = -100  # the label of a position that is not asked for, here and in `transformers`


@checked
def encode_sources(
    tokenizer: PreTrainedTokenizerBase,
    sources: SomeTexts,
    *,
    gaps: bool = False,
    max_length: Count | None = None,
) -> dict[str, Tensor]:
    """What the encoder reads: `input_ids` and `attention_mask`, each [sources, positions].

    Padded on the right. T5 closes a text with </s>, BART also opens it with <s>.

    Args:
        tokenizer: the model's.
        sources: texts. A special token that one spells out is plain text, as everywhere.
        gaps: take what marks a gap for what it is: the mask token, or for T5 its sentinels.
        max_length: what the model reads at most, None for no limit.

    Raises:
        BadArgumentError: no sources, or a single string for a list.
        CourseError: a source has more than `max_length` tokens; no padding token.
    """
    rows = _with_gaps(tokenizer, sources) if gaps else encode(sources, tokenizer)
    require_length(sources, rows, max_length)
    return pad_rows(rows, tokenizer)


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
        BadArgumentError: no pairs, a single string for a list, or not one target for each source.
        CourseError: a tokenizer that closes no text, or a text with more than `max_length` tokens.
    """
    if len(sources) != len(targets):
        raise BadArgumentError(
            f"{len(sources)} sources and {len(targets)} targets: give one for one."
        )
    batch = encode_sources(tokenizer, sources, max_length=max_length)
    rows = encode(targets, tokenizer)
    require_length(targets, rows, max_length)
    if tokenizer.eos_token_id is None or any(ids[-1:] != [tokenizer.eos_token_id] for ids in rows):
        raise CourseError(
            "The tokenizer puts no end token behind a text: give its post-processor one, as t5's "
            "and bart's have."
        )
    padded = pad_rows(rows, tokenizer)
    labels = padded["input_ids"].masked_fill(padded["attention_mask"] == 0, NO_TARGET)
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


def require_length(texts: list[str], rows: list[list[int]], limit: int | None) -> None:
    """Refuse texts that are longer than a model reads.

    Raises:
        CourseError: a row has more than `limit` tokens; names the longest text.
    """
    longest = max(range(len(rows)), key=lambda row: len(rows[row]))
    if limit is not None and len(rows[longest]) > limit:
        raise CourseError(
            f"{texts[longest][:40]!r}... has {len(rows[longest])} tokens and the model reads "
            f"{limit}: shorten it or leave it out."
        )


def _with_gaps(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    if tokenizer.mask_token is not None:
        return encode_cloze(texts, tokenizer)
    # T5 has sentinels and no mask. Here its tokens are all meant, so none but they may be spelled.
    for text in texts:
        for token in (tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token):
            if token is not None and token in text:
                raise CourseError(f"{text[:40]!r} spells {token}: only gaps may be marked in it.")
    return tokenizer(texts, verbose=False)["input_ids"]
