"""From documents to rows of token ids of equal length."""

import warnings
from collections.abc import Iterable
from itertools import chain

import torch
from transformers import PreTrainedTokenizerFast

from course_lib.runtime import CourseError


def count_bytes(texts: Iterable[str]) -> int:
    """Bytes of the texts in UTF-8: the unit in which losses of different tokenizers compare."""
    return sum(len(text.encode()) for text in texts)


def encode(texts: Iterable[str], tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    """Token ids of each text, with the special tokens of its family around it.

    A special token that is spelled out *inside* a text ("[SEP]" in a page about BERT) is read as
    plain characters: only the encoder may mark where a document begins or ends.
    """
    texts = list(texts)
    if not texts:
        return []
    encoded = tokenizer(
        texts,
        split_special_tokens=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    return encoded["input_ids"]


def pack(texts: Iterable[str], tokenizer: PreTrainedTokenizerFast, length: int) -> torch.LongTensor:
    """Join all documents into one stream of tokens and cut it into rows: `[rows, length]`.

    No position is spent on padding, so every token that is computed is also learnt from. A row
    may hold the end of one document and the start of the next. The boundary is *marked*, by the
    special tokens that the tokenizer puts around each document (`<|endoftext|>`, `[CLS] [SEP]`,
    `<s> </s>` or `</s>`), and a model learns that what stands before it does not matter. Attention
    is not cut there and positions do not restart: so trained GPT-2 and GPT-3 (Brown et al. 2020,
    section 2), RoBERTa (FULL-SENTENCES, Liu et al. 2019, section 4.2) and T5 (Raffel et al. 2020,
    section 3.1.3), and it keeps the fast attention kernels. A last row that is not full is dropped.

    Raises:
        ValueError: `length` below 2 (a row must hold a token and the next one).
        CourseError: too little text for one row.
    """
    if length < 2:
        raise ValueError(f"length must be at least 2, not {length}")
    documents = encode(texts, tokenizer)
    count = sum(map(len, documents))
    rows = count // length
    if rows == 0:
        raise CourseError(
            f"{len(documents)} documents give {count} tokens, less than one row of {length}: "
            "load more documents or make the rows shorter."
        )
    stream = torch.tensor(list(chain.from_iterable(documents)), dtype=torch.long)
    return stream[: rows * length].view(rows, length)


def pad_documents(
    texts: Iterable[str],
    tokenizer: PreTrainedTokenizerFast,
    length: int,
    *,
    truncate: bool = False,
) -> dict[str, torch.LongTensor]:
    """One document a row, padded on the right: `input_ids`, `attention_mask` `[documents, length]`.

    For measurements whose unit is the document, such as a loss to compare with the world's
    entropy. Families that mark only the start of a document (`<|endoftext|> x`) also get the
    mark behind it, since the probability of a document includes that it ends where it ends.

    Raises:
        CourseError: a document is longer than `length`, unless `truncate` is set (then the
            documents are cut, and a warning says how many); no documents; no padding token.
    """
    if tokenizer.pad_token_id is None:
        raise CourseError("This tokenizer has no padding token: set tokenizer.pad_token first.")
    documents = [_closed(ids, tokenizer) for ids in encode(texts, tokenizer)]
    if not documents:
        raise CourseError("No documents to pad: load at least one.")
    too_long = sum(len(ids) > length for ids in documents)
    if too_long:
        message = f"{too_long} of {len(documents)} documents are longer than {length} tokens"
        if not truncate:
            raise CourseError(
                f"{message} (the longest has {max(map(len, documents))}): "
                "make the rows longer, or pass truncate=True to cut them."
            )
        warnings.warn(f"{message} and were cut.", stacklevel=2)
    input_ids = torch.full((len(documents), length), tokenizer.pad_token_id, dtype=torch.long)
    attention_mask = torch.zeros_like(input_ids)
    for row, ids in enumerate(documents):
        kept = min(len(ids), length)
        input_ids[row, :kept] = torch.tensor(ids[:kept])
        attention_mask[row, :kept] = 1
    return {"input_ids": input_ids, "attention_mask": attention_mask}


def _closed(ids: list[int], tokenizer: PreTrainedTokenizerFast) -> list[int]:
    one_mark = tokenizer.bos_token_id is not None
    one_mark &= tokenizer.bos_token_id == tokenizer.eos_token_id  # begins the next, ends this
    return [*ids, tokenizer.eos_token_id] if one_mark else ids
