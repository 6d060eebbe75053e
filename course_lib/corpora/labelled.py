"""Texts with a label and words with tags, as token ids with the labels where they belong."""

from collections.abc import Sequence
from typing import Literal

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from course_lib.corpora.packing import encode
from course_lib.corpora.pairs import NO_TARGET

CLOSING = frozenset(".,:;!?)")  # marks that stand without a space before them


def encode_texts(rows: Dataset, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, list[int]]]:
    """Of each row with `text` and `label`: `input_ids`, and `labels` with its one label."""
    ids = encode(list(rows["text"]), tokenizer)
    return [
        {"input_ids": text, "labels": [label]}
        for text, label in zip(ids, rows["label"], strict=True)
    ]


def encode_tags(
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    piece: Literal["first", "last"] = "first",
) -> list[dict[str, list[int]]]:
    """Of each row with `tokens` (words) and `tags`: `input_ids` and `labels`, one for each token.

    The words are read as one text, so that spaces stand where pre-training had them. A word's tag
    stands at one of its pieces, the other pieces have no target: at its first, as BERT has it
    (Devlin et al. 2019, section 5.3), or at its last, which a model that sees the left side only
    must be given, because before that it has not read the whole word.
    """
    texts = [_joined(words) for words in rows["tokens"]]
    encoded = tokenizer(
        [text for text, _ in texts], return_offsets_mapping=True, split_special_tokens=True
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
