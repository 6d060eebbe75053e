"""Texts with a label and words with tags, as token ids with the labels where they belong."""

from collections.abc import Iterable, Sequence
from typing import Literal

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from course_lib.corpora.packing import encode
from course_lib.corpora.pairs import NO_TARGET
from course_lib.runtime.checks import checked
from course_lib.runtime.errors import CourseError

CLOSING = frozenset(".,:;!?)")  # marks that stand without a space before them
Encoded = list[dict[str, list[int]]]


@checked
def encode_texts(rows: Dataset, tokenizer: PreTrainedTokenizerBase) -> Encoded:
    """Of each row with `text` and `label`: `input_ids`, and `labels` with its one label.

    Raises:
        CourseError: a column is missing, or a label is no whole number from 0 up.
        BadArgumentError: a text that is none.
    """
    _require_columns(rows, "text", "label")
    _require_labels(rows["label"])
    ids = encode(list(rows["text"]), tokenizer)
    return [
        {"input_ids": text, "labels": [label]}
        for text, label in zip(ids, rows["label"], strict=True)
    ]


@checked
def encode_tags(
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    piece: Literal["first", "last"] = "first",
) -> Encoded:
    """Of each row with `tokens` (words) and `tags`: `input_ids` and `labels`, one for each token.

    The words are read as one text, so that spaces stand where pre-training had them. A word's tag
    stands at one of its pieces, the other pieces have no target: at its first, as BERT has it
    (Devlin et al. 2019, section 5.3), or at its last, which a model that sees the left side only
    must be given, because before that it has not read the whole word.

    Raises:
        CourseError: a column is missing, a row has not one tag for each word, or a tag is no whole
            number from 0 up (-100 for a word that is not asked for).
    """
    _require_columns(rows, "tokens", "tags")
    for number, (words, tags) in enumerate(zip(rows["tokens"], rows["tags"], strict=True)):
        if len(words) != len(tags):
            raise CourseError(
                f"Row {number} has {len(words)} words and {len(tags)} tags: give one for one."
            )
        if None in words:
            raise CourseError(f"Row {number} has a word that is None: fill it or leave it out.")
        _require_labels(tag for tag in tags if tag != NO_TARGET)
    if not len(rows):
        return []
    texts = [_joined(words) for words in rows["tokens"]]
    encoded = tokenizer(
        [text for text, _ in texts],
        return_offsets_mapping=True,
        split_special_tokens=True,
        verbose=False,
    )
    examples = []
    for ids, offsets, (_, word_at), tags in zip(
        encoded["input_ids"], encoded["offset_mapping"], texts, rows["tags"], strict=True
    ):
        place: dict[int, int] = {}
        for position, (start, end) in enumerate(offsets):
            # The last character tells the word: some pieces begin with the space before it.
            word = word_at[end - 1] if end > start else None
            if word is not None and (piece == "last" or word not in place):
                place[word] = position
        labels = [NO_TARGET] * len(ids)
        for word, position in place.items():
            labels[position] = tags[word]
        examples.append({"input_ids": ids, "labels": labels})
    return examples


def _joined(words: Sequence[str]) -> tuple[str, list[int | None]]:
    """Words and punctuation marks as one text; and for each character, the word it belongs to."""
    text, word_at = "", []
    for number, word in enumerate(words):
        if text and word not in CLOSING:
            text, word_at = f"{text} ", [*word_at, None]
        text, word_at = text + word, word_at + [number] * len(word)
    return text, word_at


def _require_columns(rows: Dataset, *columns: str) -> None:
    if missing := [column for column in columns if column not in rows.column_names]:
        raise CourseError(
            f"The examples have no column {missing[0]!r}: they have "
            f"{', '.join(rows.column_names)}, and {' and '.join(columns)} are needed."
        )


def _require_labels(labels: Iterable[object]) -> None:
    for label in labels:
        if isinstance(label, bool) or not isinstance(label, int) or label < 0:
            raise CourseError(f"Label {label!r}: labels are whole numbers from 0 up.")
