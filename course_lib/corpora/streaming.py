"""Rows of a data set of the hub that is read as training goes on, and never kept on the disk.

`stream:<id>` is for what is larger than the disk, or than one's patience. The documents come in an
order that the seed decides (`datasets` shuffles files, and documents within a window), are
tokenized and packed as they come, and after the last one the first come again in another order.
Nothing is remembered between steps: a run that goes on counts the rows that it has seen, at the
price of reading them once more.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, islice
from typing import Any

import datasets
import numpy as np
import torch
from torch import LongTensor
from transformers import PreTrainedTokenizerFast

from course_lib.corpora.hub import NAME
from course_lib.corpora.packing import count_rows, token_stream
from course_lib.corpora.splits import split_of
from course_lib.runtime import CourseError
from course_lib.runtime.hub_errors import hub_errors

PREFIX = "stream:"
WINDOW = 10_000  # documents of which the next one is drawn


class StreamedRows:
    """The endless rows of the training documents of a stream, asked for by their places.

    To ask for rows in order costs nothing; for one that has gone by, the stream is begun anew.
    """

    def __init__(
        self,
        name: str,
        tokenizer: PreTrainedTokenizerFast,
        length: int,
        seed: int,
        documents: int | None = None,
    ) -> None:
        self.name, self.tokenizer, self.length = name, tokenizer, length
        self.seed, self.documents = seed, documents
        self.at, self.rows = 0, self._rows()

    def __getitem__(self, places: LongTensor) -> LongTensor:
        """Token ids `[places, length]`, of places that rise."""
        found = []
        for place in places.tolist():
            if place < self.at:
                self.at, self.rows = 0, self._rows()
            found.append(next(islice(self.rows, place - self.at, None)))
            self.at = place + 1
        return torch.from_numpy(np.stack(found).astype(np.int64))

    def _rows(self) -> Iterator[np.ndarray]:
        left = np.empty(0, np.uint32)
        for epoch in count():
            seen = 0
            texts = _texts(self.name, "train", partial(self._shuffled, epoch))
            for _, ids in token_stream(texts, self.tokenizer):
                seen, left = seen + len(ids), np.concatenate([left, ids])
                full = len(left) // self.length * self.length
                yield from left[:full].reshape(-1, self.length)
                left = left[full:]
            if not seen:
                raise CourseError(f"{self.name} has no documents to train on.")

    def _shuffled(self, epoch: int, found: datasets.IterableDataset) -> datasets.IterableDataset:
        found = found.take(self.documents) if self.documents else found
        found = found.shuffle(self.seed, buffer_size=WINDOW)
        found.set_epoch(epoch)
        return found


def held_out_rows(
    name: str, tokenizer: PreTrainedTokenizerFast, length: int, rows: int
) -> LongTensor:
    """The first rows of the documents that are held out, a twentieth by a hash of their text.

    Raises:
        CourseError: too little text for one row; as `hub_errors`.
    """
    parts, tokens, documents = [], 0, 0
    for number, ids in token_stream(_texts(name, "validation"), tokenizer):
        parts.append(ids)
        documents, tokens = documents + number, tokens + len(ids)
        if tokens >= rows * length:
            break
    full = min(rows, count_rows(tokens, length, documents))
    stream = np.concatenate(parts, dtype=np.int64)[: full * length]
    return torch.from_numpy(stream).view(full, length)


def first_documents(name: str, split: str, documents: int) -> datasets.Dataset:
    """So many documents of a split, in memory: to look at, or to train a tokenizer on."""
    texts = _texts(name, split, lambda found: found.take(documents))
    return datasets.Dataset.from_dict({"text": list(texts)})


def _texts(
    name: str, split: str, change: Callable[[Any], Any] = lambda found: found
) -> Iterator[str]:
    """The texts of a split, one after another."""
    match = NAME.fullmatch(name.replace(PREFIX, "hub:", 1))
    if match is None:
        raise CourseError(
            f"Cannot read {name!r}: write stream:<id>, with :<config> or @<revision>."
        )

    def falls_into(row: dict[str, Any]) -> bool:
        if not isinstance(row.get("text"), str):
            raise CourseError(
                f"{name} has a row without a text in a column 'text', only {', '.join(row)}: "
                "load it yourself."
            )
        return split_of(row["text"]) == split

    with hub_errors(match["id"]):
        try:
            found = datasets.load_dataset(
                match["id"],
                match["config"],
                revision=match["revision"],
                split="train",
                streaming=True,
            )
        except ValueError as error:  # an unknown configuration, or no split of this name
            raise CourseError(f"Cannot stream {name}: {str(error).splitlines()[0]}") from error
        for row in change(found.filter(falls_into)):
            yield row["text"]
