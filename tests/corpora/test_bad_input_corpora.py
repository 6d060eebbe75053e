"""Guards the boundary of corpora: what cannot be used is refused in one line that says why.

Run: pytest tests/corpora/test_bad_input_corpora.py
"""

import copy

import pytest
import torch
from refusals import assert_refused

from course_lib.corpora import (
    Permutation,
    count_bytes,
    encode,
    encode_cloze,
    load,
    pack,
    pad_documents,
    train_tokenizer,
)
from course_lib.corpora.blocks import blocks

TEXTS = [f"The cat sat on mat {number}, and the dog on the chair." for number in range(60)]
HALF = "half \ud83d a character"


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer("gpt2", TEXTS, 300)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


CALLS = {
    "no name": (lambda _: load(None), "name=None", "text"),
    "a misspelled corpus": (lambda _: load("wrold"), "'wrold'", "choose one of world"),
    "an empty name": (lambda _: load(""), "''", "choose one of"),
    "another word for a split": (lambda _: load("world", "dev"), "split='dev'", "'validation'"),
    "a split in capitals": (lambda _: load("world", "Train"), "split='Train'", "'train'"),
    "no split": (lambda _: load("world", None), "split=None", "'train'"),
    "no documents": (lambda _: load("world", documents=0), "documents=0", "at least 1"),
    "fewer than none": (lambda _: load("world", documents=-5), "documents=-5", "at least 1"),
    "half a document": (lambda _: load("world", documents=2.5), "documents=2.5", "whole number"),
    "a count as text": (lambda _: load("world", documents="9"), "documents='9'", "whole number"),
    "yes documents": (lambda _: load("world", documents=True), "documents=True", "whole number"),
    "a seed of text": (lambda _: load("world", documents=1, seed="a"), "seed='a'", "whole"),
    "a seed of none": (lambda _: load("world", documents=1, seed=None), "seed=None", "whole"),
    "text without a path": (lambda _: load("text:"), "text:<path>"),
    "hub without a name": (lambda _: load("hub:"), "hub:<id>"),
    "hub with two revisions": (lambda _: load("hub:a@b@c"), "hub:<id>"),
    "bytes of one text": (lambda _: count_bytes("cat"), "texts='cat'", "write [text]"),
    "bytes of none": (lambda _: count_bytes([None]), "entry 0 is None"),
    "bytes of a number": (lambda _: count_bytes(3), "texts=3", "list of texts"),
    "bytes of half": (lambda _: count_bytes([HALF]), "entry 0", "surrogate", "UTF-8"),
    "encode one text": (lambda t: encode("cat", t), "texts='cat'", "write [text]"),
    "encode bytes": (lambda t: encode(b"cat", t), "texts=b'cat'", "list of texts"),
    "encode none": (lambda t: encode(["cat", None], t), "entry 1 is None"),
    "encode nan": (lambda t: encode(["cat", float("nan")], t), "entry 1 is nan"),
    "encode words": (lambda t: encode([["the", "cat"]], t), "entry 0 is ['the', 'cat']"),
    "encode half": (lambda t: encode(["cat", HALF], t), "entry 1", "surrogate"),
    "encode with a name": (lambda _: encode(["cat"], "gpt2"), "tokenizer='gpt2'", "Tokenizer"),
    "encode the wrong way": (lambda t: encode(t, ["cat"]), "texts=", "list of texts"),
    "a cloze without a mask": (
        lambda t: encode_cloze(["the cat"], t),
        "no mask token",
        "no sentinels",
    ),
    "a cloze of one text": (lambda t: encode_cloze("the cat", t), "write [text]"),
    "pack one text": (lambda t: pack("cat " * 99, t, 8), "texts=", "write [text]"),
    "pack nothing": (lambda t: pack([], t, 8), "texts=[]", "at least one text"),
    "pack none": (lambda t: pack([None], t, 8), "entry 0 is None"),
    "pack half": (lambda t: pack([HALF], t, 8), "surrogate"),
    "pack too little": (lambda t: pack(["cat"], t, 512), "less than one row of 512"),
    "rows of one token": (lambda t: pack(TEXTS, t, 1), "length=1", "at least 2"),
    "rows of none": (lambda t: pack(TEXTS, t, 0), "length=0", "at least 2"),
    "rows of minus eight": (lambda t: pack(TEXTS, t, -8), "length=-8", "at least 2"),
    "rows of 8.0": (lambda t: pack(TEXTS, t, 8.0), "length=8.0", "whole number"),
    "rows of text": (lambda t: pack(TEXTS, t, "8"), "length='8'", "whole number"),
    "pack with a name": (lambda _: pack(TEXTS, "gpt2", 8), "tokenizer='gpt2'", "Tokenizer"),
    "pack with nothing": (lambda _: pack(TEXTS, None, 8), "tokenizer=None", "Tokenizer"),
    "pad nothing": (lambda t: pad_documents([], t, 8), "texts=[]", "at least one text"),
    "pad one text": (lambda t: pad_documents("cat", t, 8), "write [text]"),
    "pad to nothing": (lambda t: pad_documents(["cat"], t, 0), "length=0", "at least 1"),
    "pad into too little": (lambda t: pad_documents(TEXTS, t, 3), "60 of 60", "truncate=True"),
    "truncate='no'": (
        lambda t: pad_documents(TEXTS, t, 3, truncate="no"),
        "truncate='no'",
        "true or false",
    ),
    "pad without padding": (lambda t: pad_documents(["cat"], bare(t), 8), "no padding token"),
    "blocks of a list": (lambda t: blocks(TEXTS, "train", t, 8), "corpus=", "text"),
    "blocks of no corpus": (lambda t: blocks("wrold", "train", t, 8), "'wrold'"),
    "blocks of no split": (lambda t: blocks("world", "dev", t, 8), "split='dev'", "'test'"),
    "blocks of one token": (lambda t: blocks("world", "train", t, 1), "length=1", "at least 2"),
    "blocks with a name": (lambda _: blocks("world", "train", "gpt2", 8), "tokenizer='gpt2'"),
    "blocks of nothing": (
        lambda t: blocks("world", "train", t, 8, documents=0),
        "documents=0",
        "at least 1",
    ),
    "a row too far": (lambda t: small(t)[torch.tensor([0, 10**6])], "places: 1000000", "0 to"),
    "a row from behind": (lambda t: small(t)[torch.tensor([-1])], "places: -1", "0 to"),
    "half a row": (lambda t: small(t)[torch.tensor([0.5])], "places=", "LongTensor"),
    "rows by a list": (lambda t: small(t)[[0, 1]], "places=[0, 1]", "LongTensor"),
    "a slice of rows": (lambda t: small(t)[:3], "places=slice", "LongTensor"),
    "an order of nothing": (lambda _: Permutation(0, 1), "count=0", "at least 1"),
    "an order of half": (lambda _: Permutation(2.5, 1), "count=2.5", "whole number"),
    "an order by a list": (lambda _: Permutation(5, [1]), "key=[1]"),
    "a place too far": (lambda _: Permutation(5, 1)[torch.tensor([5])], "places: 5", "0 to 4"),
    "a place before": (lambda _: Permutation(5, 1)[torch.tensor([-1])], "places: -1", "0 to 4"),
    "a place by number": (lambda _: Permutation(5, 1)[3], "places=3", "LongTensor"),
}


def bare(tokenizer):
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.pad_token = None
    return tokenizer


def small(tokenizer):
    return blocks("world", "train", tokenizer, 8, documents=20)


@pytest.mark.parametrize("case", CALLS)
def test_what_cannot_be_used_is_refused_in_one_line(tokenizer, case):
    call, *words = CALLS[case]
    assert_refused(lambda: call(tokenizer), *words)


FILES = {
    "no file": ({}, "a.txt", ("no file or folder", "a.txt")),
    "no folder": ({}, "nothing", ("no file or folder", "nothing")),
    "an empty folder": ({"other/x.md": b"x"}, "other", ("holds no text", ".txt or .jsonl")),
    "another kind of file": ({"a.pdf": b"%PDF"}, "a.pdf", ("holds no text", ".txt or .jsonl")),
    "an empty file": ({"a.txt": b""}, "a.txt", ("a.txt is empty",)),
    "blank lines": ({"a.jsonl": b"\n \n"}, "a.jsonl", ("a.jsonl is empty",)),
    "Latin-1": (
        {"a.txt": "caf\u00e9 au lait".encode("latin-1")},
        "a.txt",
        ("UTF-8", "0xe9", "iconv"),
    ),
    "UTF-16": ({"a.txt": "cat".encode("utf-16")}, "a.txt", ("not UTF-8", "0xff")),
    "Latin-1 lines": ({"a.jsonl": b'{"text": "caf\xe9"}'}, "a.jsonl", ("UTF-8", "0xe9")),
    "no JSON": ({"a.jsonl": b'{"text": "x"}\n{"text": '}, "a.jsonl", ("line 2", "not JSON")),
    "plain lines": ({"a.jsonl": b"The cat sat."}, "a.jsonl", ("line 1", "not JSON", '"text"')),
    "another field": ({"a.jsonl": b'{"body": "x"}'}, "a.jsonl", ("line 1", 'no "text"')),
    "a list": ({"a.jsonl": b'["x"]'}, "a.jsonl", ("line 1", '{"text": "..."}')),
    "null": ({"a.jsonl": b'{"text": null}'}, "a.jsonl", ("line 1", '{"text": "..."}')),
    "a number": ({"a.jsonl": b'{"text": 3}'}, "a.jsonl", ("line 1", '{"text": "..."}')),
    "half": ({"a.jsonl": b'{"text": "\\ud83d"}'}, "a.jsonl", ("line 1", "lone surrogate")),
    "all in test": ({"x/test/a.txt": b"x"}, "x", ("falls into train", "call a file")),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_cannot_be_used_are_refused_in_one_line(tmp_path, case):
    files, path, words = FILES[case]
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert_refused(lambda: load(f"text:{tmp_path / path}"), *words)
