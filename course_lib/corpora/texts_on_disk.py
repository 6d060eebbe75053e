"""Texts in Arrow files, a file a split: written as they come, memory-mapped when they are read."""

import pickle
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import datasets
import pyarrow as pa

BATCH = 1_000_000  # characters that wait in memory, of each split
MAPPED = 100_000_000  # bytes of a file that are mapped into memory at a time

SCHEMA = pa.schema([("text", pa.string())])


def write_texts(folder: Path, documents: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Write documents, each a split and a text, to `folder/SPLIT.arrow`; returns their counts."""
    files: dict[str, _File] = {}
    with ExitStack() as stack:
        for split, text in documents:
            if split not in files:
                files[split] = stack.enter_context(_File(folder / f"{split}.arrow"))
            files[split].add(text)
    return {split: file.count for split, file in files.items()}


class _File:
    def __init__(self, path: Path) -> None:
        self.sink = pa.OSFile(str(path), "wb")
        self.writer = pa.ipc.new_stream(self.sink, SCHEMA)
        self.waiting: list[str] = []
        self.size = self.count = 0

    def add(self, text: str) -> None:
        self.waiting.append(text)
        self.size += len(text)
        if self.size >= BATCH:
            self.write()

    def write(self) -> None:
        texts = pa.array(self.waiting, pa.string())
        self.writer.write_batch(pa.record_batch([texts], schema=SCHEMA))
        self.count += len(texts)
        self.waiting, self.size = [], 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self.write()
        self.writer.close()
        self.sink.close()


def open_texts(folder: Path, split: str) -> datasets.Dataset:
    """The documents of a split, with a column `text`; none if the split has none."""
    file = folder / f"{split}.arrow"
    if not file.exists():
        return datasets.Dataset.from_dict({"text": []})
    return datasets.Dataset.from_file(str(file))


def texts_of(corpus: datasets.Dataset) -> Iterator[str]:
    """The texts of a corpus one by one, of which few are in memory at a time."""
    rows = max(1, len(corpus) * MAPPED // max(1, corpus.data.nbytes))
    for start in range(0, len(corpus), rows):
        # Pages of a memory-mapped file count as this process's from when they are read until the
        # map is closed, so it is opened anew for each part. (Pickled, a map is a path.)
        part = pickle.loads(pickle.dumps(corpus)) if corpus.cache_files else corpus
        yield from _texts(part.select(range(start, min(start + rows, len(corpus)))))


def _texts(part: datasets.Dataset) -> Iterator[str]:
    for table in part.select_columns("text").with_format("arrow").iter(batch_size=4096):
        column = table["text"]
        # As many rows at a time as have some megabyte between them.
        rows = max(1, len(column) * BATCH // max(1, column.nbytes))
        for start in range(0, len(column), rows):
            yield from column.slice(start, rows).to_pylist()
