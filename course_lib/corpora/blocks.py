"""Rows of token ids on the disk: tokenized once, memory-mapped ever after.

A corpus of any size becomes one file of ids, two or four bytes each, beside a manifest. Rows are
read where they are asked for, as nanoGPT does it, so a training run needs as little memory for a
terabyte as for a page, and a second start reads nothing again.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import tokenizers
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerFast

from course_lib.corpora.loading import fingerprint, load
from course_lib.corpora.packing import RowLength, count_rows, token_stream
from course_lib.corpora.permutation import require_places
from course_lib.corpora.prepared import about, code_of_texts, prepared_folder
from course_lib.corpora.splits import Split
from course_lib.corpora.texts_on_disk import texts_of
from course_lib.runtime import progress
from course_lib.runtime.checks import Count, Text, checked
from course_lib.runtime.folders import verify_folder

IDS = "ids.bin"


@dataclass(frozen=True)
class Blocks:
    """Rows of a corpus, read from the disk when they are asked for: `blocks[places]`.

    Attributes:
        folder: where the ids lie, with a manifest.
        dtype: of the ids on the disk, NumPy's name, lowest byte first.
        tokens: how many ids there are; those of a last row that is not full are left out.
        length: of a row.
    """

    folder: Path
    dtype: str
    tokens: int
    length: int

    def __len__(self) -> int:
        return self.tokens // self.length

    def __getitem__(self, places: torch.LongTensor) -> torch.LongTensor:
        return self.rows(places)

    @checked
    def rows(self, places: torch.LongTensor) -> torch.LongTensor:
        """The rows at some places: `[len(places), length]`, int64. No others are read.

        Raises:
            BadArgumentError: a place without a row, or no int64.
        """
        require_places(places, len(self))
        return torch.from_numpy(self._mapped[places.numpy()].astype(np.int64))

    def verify(self) -> None:
        """Compare every byte with the manifest: `blocks` looks at files over 1 GB in part only.

        Raises:
            DamagedFolderError: they differ: delete `folder`, and `blocks` makes it again.
        """
        verify_folder(self.folder)

    @cached_property
    def _mapped(self) -> np.ndarray:
        ids = np.memmap(self.folder / IDS, dtype=self.dtype, mode="r")
        return ids[: len(self) * self.length].reshape(len(self), self.length)

    def __getstate__(self) -> dict:
        # A memory map would be sent to another process as a copy of the file.
        return {name: value for name, value in self.__dict__.items() if name != "_mapped"}


@checked
def blocks(
    corpus: Text,
    split: Split,
    tokenizer: PreTrainedTokenizerFast,
    length: RowLength,
    *,
    documents: Count | None = None,
) -> Blocks:
    """`pack(load(corpus, split, documents=documents)["text"], tokenizer, length)`, on the disk.

    The first call tokenizes, on all cores, into the cache; later ones, of whatever `length`, open
    what is there, if it was made of the same text by the same tokenizer and is still what was
    written (`prepared_folder` says how that is found out). Several processes may ask at once.

    Raises:
        BadArgumentError: an argument of a wrong kind, `length` below 2.
        CourseError: as `load` and `pack`; the cache cannot be written.
    """

    @cache
    def texts() -> Dataset:
        return load(corpus, split, documents=documents)

    dtype = "<u2" if max(tokenizer.get_vocab().values()) < 2**16 else "<u4"
    of = {
        "corpus": corpus,
        "split": split,
        "documents": documents,
        "text": fingerprint(corpus, texts),
        "tokenizer": _fingerprint_of(tokenizer),
        "code": code_of_texts(),
        "dtype": dtype,
    }

    def write(folder: Path) -> dict[str, int]:
        count, tokens = len(texts()), 0
        bar = progress(total=count, desc=f"Tokenizing {corpus}", unit=" documents")
        with (folder / IDS).open("wb") as file, bar:
            for done, ids in token_stream(texts_of(texts()), tokenizer):
                file.write(ids.astype(dtype))
                tokens += len(ids)
                bar.update(done)
        return {"documents": count, "tokens": tokens}

    folder = prepared_folder("blocks", of, write)
    made = about(folder)["made"]
    count_rows(made["tokens"], length, made["documents"])  # at least one
    return Blocks(folder, dtype, made["tokens"], length)


def _fingerprint_of(tokenizer: PreTrainedTokenizerFast) -> str:
    """Changes with whatever changes how a text is cut, and not with what the last caller padded."""
    settings = json.loads(tokenizer.backend_tokenizer.to_str())
    settings |= {"truncation": None, "padding": None, "library": tokenizers.__version__}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
