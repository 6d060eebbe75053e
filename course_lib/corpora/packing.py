"""From documents to token ids, and to rows of them of equal length."""

import json
import re
import warnings
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from tokenizers import Encoding, Tokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from course_lib.runtime.checks import Count, SomeTexts, Texts, Whole, checked
from course_lib.runtime.errors import CourseError

RowLength = Annotated[Whole, Field(ge=2)]  # a row must hold a token and the next one

SENTINEL = re.compile(r"<extra_id_\d+>")
CHUNK = 1_000_000  # characters that are tokenized at a time: some 60 MB while it lasts


@checked
def count_bytes(texts: Texts) -> int:
    """Bytes of the texts in UTF-8: the unit in which losses of different tokenizers compare."""
    return sum(len(text.encode()) for text in texts)


@checked
def encode(
    texts: Texts, tokenizer: PreTrainedTokenizerBase, *, add_special_tokens: bool = True
) -> list[list[int]]:
    """Token ids of each text, with the special tokens of its family around it, or without.

    A special token that is spelled out *inside* a text ("[SEP]" in a page about BERT) is read as
    plain characters: only the encoder may mark where a document begins or ends.
    """
    if not texts:
        return []
    encoded = tokenizer(
        texts,
        add_special_tokens=add_special_tokens,
        split_special_tokens=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    return encoded["input_ids"]


@checked
def encode_cloze(texts: Texts, tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    """As `encode`, but a gap is meant where it is spelled: the mask token, or T5's sentinels.

    Raises:
        CourseError: the tokenizer has neither.
    """
    added = (str(token) for token in tokenizer.added_tokens_decoder.values())
    gaps = {tokenizer.mask_token} - {None} or {t for t in added if SENTINEL.fullmatch(t)}
    if not gaps:
        raise CourseError("This tokenizer has no mask token and no sentinels: it knows no gaps.")
    backend = _plain_backend(tokenizer, meant=gaps)
    return [encoding.ids for encoding in backend.encode_batch_fast(texts)]


@checked
def pack(
    texts: SomeTexts, tokenizer: PreTrainedTokenizerFast, length: RowLength
) -> torch.LongTensor:
    """Join all documents into one stream of tokens and cut it into rows: `[rows, length]`.

    No position is spent on padding, so every token that is computed is also learnt from. A row
    may hold the end of one document and the start of the next. The boundary is *marked*, by the
    special tokens that the tokenizer puts around each document (`<|endoftext|>`, `[CLS] [SEP]`,
    `<s> </s>` or `</s>`), and a model learns that what stands before it does not matter. Attention
    is not cut there and positions do not restart: so trained GPT-2 and GPT-3 (Brown et al. 2020,
    section 2), RoBERTa (FULL-SENTENCES, Liu et al. 2019, section 4.2) and T5 (Raffel et al. 2020,
    section 3.1.3), and it keeps the fast attention kernels. A last row that is not full is dropped.

    All rows are in memory; `course_lib.corpora.blocks` keeps those of a large corpus on the disk.

    Raises:
        BadArgumentError: no texts, or `length` below 2.
        CourseError: too little text for one row.
    """
    parts = [ids for _, ids in token_stream(texts, tokenizer)]
    rows = count_rows(sum(map(len, parts)), length, len(texts))
    stream = torch.from_numpy(np.concatenate(parts, dtype=np.int64))
    return stream[: rows * length].view(rows, length)


def count_rows(tokens: int, length: int, documents: int) -> int:
    """How many full rows the tokens of some documents give.

    Raises:
        CourseError: not one.
    """
    if tokens < length:
        raise CourseError(
            f"{documents} documents give {tokens} tokens, less than one row of {length}: "
            "load more documents or make the rows shorter."
        )
    return tokens // length


def token_stream(
    texts: Iterable[str], tokenizer: PreTrainedTokenizerFast
) -> Iterator[tuple[int, np.ndarray]]:
    """The token ids of all texts one behind the other, as `encode` gives them, chunk by chunk.

    Yields how many texts a chunk holds and their ids. Memory is that of a chunk or two, however
    many texts there are. The library tokenizes a chunk on all cores, without Python's lock; the
    ids of the chunk before are taken out meanwhile.
    """
    backend = _plain_backend(tokenizer)
    with ThreadPoolExecutor(max_workers=1) as worker:
        running = None
        for chunk in _chunks(texts):
            following = worker.submit(backend.encode_batch_fast, chunk)
            if running is not None:
                yield _joined(running.result())
            running = following
        if running is not None:
            yield _joined(running.result())


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Runs of texts with at least `CHUNK` characters, but for the last."""
    chunk: list[str] = []
    size = 0
    for text in texts:
        chunk.append(text)
        size += len(text)
        if size >= CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _joined(encodings: list[Encoding]) -> tuple[int, np.ndarray]:
    ids = chain.from_iterable(encoding.ids for encoding in encodings)
    return len(encodings), np.fromiter(ids, np.uint32)


def _plain_backend(tokenizer: PreTrainedTokenizerFast, meant: Collection[str] = ()) -> Tokenizer:
    """A copy of the tokenizer's core that reads special tokens in a text as characters.

    It neither cuts nor pads, whatever the last caller of the tokenizer has set. Tokens that are
    `meant` are taken for what they are: the library only splits those that are called special.
    """
    settings = json.loads(tokenizer.backend_tokenizer.to_str())
    settings |= {"truncation": None, "padding": None}
    for token in settings["added_tokens"]:
        token["special"] = token["special"] and token["content"] not in meant
    backend = Tokenizer.from_str(json.dumps(settings))
    backend.encode_special_tokens = True
    return backend


@checked
def pad_documents(
    texts: SomeTexts, tokenizer: PreTrainedTokenizerBase, length: Count, *, truncate: bool = False
) -> dict[str, torch.LongTensor]:
    """One document a row, padded on the right: `input_ids`, `attention_mask` `[documents, length]`.

    For measurements whose unit is the document, such as a loss to compare with the world's
    entropy. Families that mark only the start of a document (`<|endoftext|> x`) also get the
    mark behind it, since the probability of a document includes that it ends where it ends.

    Raises:
        BadArgumentError: no documents, or `length` below 1.
        CourseError: a document is longer than `length`, unless `truncate` is set (then the
            documents are cut, and a warning says how many); no padding token.
    """
    if tokenizer.pad_token_id is None:
        raise CourseError("This tokenizer has no padding token: set tokenizer.pad_token first.")
    documents = [_closed(ids, tokenizer) for ids in encode(texts, tokenizer)]
    too_long = sum(len(ids) > length for ids in documents)
    if too_long:
        message = f"{too_long} of {len(documents)} documents are longer than {length} tokens"
        if not truncate:
            raise CourseError(
                f"{message} (the longest has {max(map(len, documents))}): "
                "make the rows longer, or pass truncate=True to cut them."
            )
        warnings.warn(f"{message} and were cut.", stacklevel=3)  # past `checked`
    rows = {"input_ids": [ids[:length] for ids in documents]}
    padded = tokenizer.pad(
        rows,
        padding="max_length",
        max_length=length,
        padding_side="right",
        return_tensors="pt",
        verbose=False,
    )
    return {name: padded[name] for name in ("input_ids", "attention_mask")}


def _closed(ids: list[int], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    one_mark = tokenizer.bos_token_id is not None
    one_mark &= tokenizer.bos_token_id == tokenizer.eos_token_id  # begins the next, ends this
    return [*ids, tokenizer.eos_token_id] if one_mark else ids
