"""Guards rows on the disk: those of `pack`, made once, whole or not at all, never trusted unseen.

Run: pytest tests/corpora/test_blocks.py
"""

import json
import multiprocessing
import os
import pickle
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from course_lib.corpora import load, loading, pack, packing, prepared, train_tokenizer
from course_lib.corpora.blocks import IDS, blocks
from course_lib.corpora.splits import split_of
from course_lib.runtime import CourseError, folders
from course_lib.runtime.folders import DamagedFolderError

ANIMALS = ("cat", "dog", "heron", "otter")
TEXTS = [f"The {a} sat on the {b}, {n} times." for n in range(9) for a in ANIMALS for b in ANIMALS]
UNIT = next(unit for unit in "abcdef" if split_of(unit) == "train")

texts_of_any_kind = st.lists(st.text(st.characters(codec="utf-8"), max_size=60), max_size=25)

# Children that have not tokenized yet, so that they may: they are forked from a process of one
# thread that has only imported the library.
forked = multiprocessing.get_context("forkserver")
forked.set_forkserver_preload(["course_lib.corpora.blocks"])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    return tmp_path / "blocks"


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer("gpt2", TEXTS, 280)


def everything(rows):
    return rows[torch.arange(len(rows))]


def packed(corpus, tokenizer, length, documents=None):
    return pack(load(corpus, documents=documents)["text"], tokenizer, length)


def the_folder(cache):
    (folder,) = (path for path in cache.iterdir() if path.is_dir())
    return folder


@given(texts=texts_of_any_kind, length=st.integers(2, 30), chunk=st.integers(1, 300))
@settings(max_examples=60, deadline=None)
def test_rows_are_those_of_pack_however_the_text_is_chunked(tokenizer, texts, length, chunk):
    rows = [{"id": str(n), "unit": UNIT, "text": t} for n, t in enumerate([*texts, *TEXTS[:9]])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(loading.READERS, "mine", lambda: rows)
        expected = packed("mine", tokenizer, length)
        patch.setattr(packing, "CHUNK", chunk)
        assert torch.equal(packed("mine", tokenizer, length), expected)
        found = blocks("mine", "train", tokenizer, length)
    assert len(found) == len(expected)
    assert torch.equal(everything(found), expected)
    assert everything(found).dtype == torch.int64


@pytest.mark.parametrize("family", ["bert", "t5", "bart"])
def test_the_world_in_blocks(family):
    texts = load("world", documents=300)["text"]
    tokenizer = train_tokenizer(family, texts, 600)
    found = blocks("world", "train", tokenizer, 32, documents=300)
    assert torch.equal(everything(found), packed("world", tokenizer, 32, documents=300))


def test_a_second_start_neither_loads_nor_tokenizes(tokenizer, monkeypatch):
    first = blocks("world", "train", tokenizer, 16, documents=60)
    monkeypatch.setattr("course_lib.corpora.blocks.token_stream", None)
    monkeypatch.setattr("course_lib.corpora.blocks.load", None)
    again = blocks("world", "train", tokenizer, 16, documents=60)
    assert torch.equal(everything(first), everything(again))
    other = blocks("world", "train", tokenizer, 5, documents=60)  # rows of any length
    assert torch.equal(everything(other).flatten()[:800], everything(first).flatten()[:800])


def test_what_decides_the_rows_decides_the_folder(tokenizer, cache, monkeypatch):
    def made():
        return {path.name for path in cache.iterdir() if path.is_dir()}

    blocks("world", "train", tokenizer, 16, documents=60)
    first = made()
    tokenizer(["cat", "the mat"], padding=True, truncation=True, max_length=3)
    blocks("world", "train", tokenizer, 16, documents=60)
    assert made() == first, "a caller who padded made another tokenizer of it"
    blocks("world", "train", tokenizer, 16, documents=61)
    blocks("world", "validation", tokenizer, 16, documents=60)
    blocks("world-finance", "train", tokenizer, 16, documents=60)
    blocks("world", "train", train_tokenizer("gpt2", TEXTS, 279), 16, documents=60)
    monkeypatch.setattr(loading, "code_of_texts", lambda: "another world")
    blocks("world", "train", tokenizer, 16, documents=60)
    assert len(made()) == 6


def test_the_code_of_every_text_counts(monkeypatch):
    files = []
    monkeypatch.setattr(prepared, "digest_of", lambda found: files.extend(found) or "digest")
    prepared.code_of_texts.__wrapped__()
    names = {file.name for file in files}
    assert names >= {"loading.py", "packing.py", "factbook.py", "docstrings.py", "world.py"}
    assert names >= {"grammar.py", "local.py", "hub.py", "seeds.py", "words.toml", "person.toml"}


def test_a_changed_text_is_tokenized_again(tokenizer, monkeypatch):
    rows = [{"id": "1", "unit": UNIT, "text": "The cat sat on the mat, and sat. " * 5}]
    monkeypatch.setitem(loading.READERS, "mine", lambda: rows)
    before = everything(blocks("mine", "train", tokenizer, 8))
    rows[0]["text"] = rows[0]["text"].replace("mat", "cat")
    after = everything(blocks("mine", "train", tokenizer, 8))
    assert torch.equal(after, packed("mine", tokenizer, 8))
    assert not torch.equal(before, after)


def test_ids_take_two_bytes_or_four(cache):
    vocabulary = {"?": 0, "cat": 1, "last": 2**16}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="?")), unk_token="?"
    )
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    path = cache.parent / "words.txt"
    path.write_text("cat last " * 10, encoding="utf-8")
    split = split_of(path.read_text(encoding="utf-8"))
    rows = blocks(f"text:{path}", split, tokenizer, 2)
    assert everything(rows).tolist() == [[1, 2**16]] * 10
    assert (the_folder(cache) / IDS).stat().st_size == 20 * 4
    small = train_tokenizer("gpt2", TEXTS, 280)
    folder = blocks("world", "train", small, 2, documents=60).folder
    made = json.loads((folder / "about.json").read_text(encoding="utf-8"))["made"]
    assert (folder / IDS).stat().st_size == made["tokens"] * 2
    assert made["documents"] == 60


def test_rows_are_read_from_the_disk_also_in_another_process(tokenizer):
    rows = blocks("world", "train", tokenizer, 16, documents=60)
    expected = rows.rows(torch.tensor([3, 0, 3]))
    assert isinstance(rows._mapped.base, np.memmap)
    sent = pickle.dumps(rows)
    assert len(sent) < 1000, "the map was sent as a copy of the file"
    assert torch.equal(pickle.loads(sent)[torch.tensor([3, 0, 3])], expected)


DAMAGES = {
    "first byte": lambda folder: _flip(folder / IDS, 0),
    "some byte": lambda folder: _flip(folder / IDS, 777),
    "last byte": lambda folder: _flip(folder / IDS, -1),
    "cut": lambda folder: os.truncate(folder / IDS, 1000),
    "cut by a byte": lambda folder: os.truncate(folder / IDS, (folder / IDS).stat().st_size - 1),
    "longer": lambda folder: (folder / IDS).open("ab").write(b"\0\0"),
    "no ids": lambda folder: (folder / IDS).unlink(),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "half a manifest": lambda folder: os.truncate(folder / "manifest.json", 20),
    "an empty manifest": lambda folder: (folder / "manifest.json").write_text("{}"),
    "another count": lambda folder: _replace(folder / "about.json", '"tokens": ', '"tokens": 1'),
    "not said what of": lambda folder: (folder / "about.json").write_text("[]"),
    "empty": lambda folder: [path.unlink() for path in folder.iterdir()],
}


def _flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def _replace(path, old, new):
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_made_again(tokenizer, cache, damage):
    expected = everything(blocks("world", "train", tokenizer, 16, documents=60))
    DAMAGES[damage](the_folder(cache))
    assert torch.equal(everything(blocks("world", "train", tokenizer, 16, documents=60)), expected)
    blocks("world", "train", tokenizer, 16, documents=60).verify()


@pytest.mark.parametrize("damage", ["first byte", "last byte", "cut by a byte", "longer"])
def test_a_large_file_is_looked_at_in_pieces(tokenizer, cache, monkeypatch, damage):
    monkeypatch.setattr(prepared, "HASHED_WHOLE", 0)
    monkeypatch.setattr(prepared, "PIECE", 64)
    rows = blocks("world", "train", tokenizer, 16, documents=300)
    expected = everything(rows)
    assert (rows.folder / IDS).stat().st_size > 2 * prepared.PIECES * prepared.PIECE
    monkeypatch.setattr(prepared, "verify_folder", None)  # nothing is read whole
    DAMAGES[damage](the_folder(cache))
    again = blocks("world", "train", tokenizer, 16, documents=300)
    assert torch.equal(everything(again), expected)
    again.verify()
    _flip(the_folder(cache) / IDS, 100)  # between the first piece and the second
    with pytest.raises(DamagedFolderError, match=r"ids\.bin"):
        again.verify()


def _prepare(cache, patch=None, barrier=None, answers=None):
    os.environ["COURSE_CACHE"] = str(cache)
    os.environ["COURSE_QUIET"] = "1"
    packing.CHUNK = 500
    made = []
    make = prepared._make
    prepared._make = lambda *arguments: (made.append(1), make(*arguments))
    tokenizer = train_tokenizer("gpt2", TEXTS, 280)
    if patch:
        KILLS[patch]()
    if barrier:
        barrier.wait()
    rows = blocks("world", "train", tokenizer, 16, documents=300)
    if answers:
        answers.put((len(made), everything(rows).tolist()))


def _kill_at(owner, name, call):
    """Let the process die at the n-th call of a function."""
    function, calls = getattr(owner, name), []

    def dying(*arguments, **options):
        calls.append(name)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)

    setattr(owner, name, dying)


KILLS = {
    "before the first ids": lambda: _kill_at(packing, "_joined", 1),
    "among the ids": lambda: _kill_at(packing, "_joined", 50),
    "before it is said what of": lambda: _kill_at(prepared, "_pieces", 1),
    "before the manifest": lambda: _kill_at(folders, "_fingerprint", 1),
    "before the first flush": lambda: _kill_at(folders, "_flush", 1),
    "before the last flush": lambda: _kill_at(folders, "_flush", 4),
    "before it gets its name": lambda: _kill_at(Path, "rename", 1),
    "behind the name": lambda: _kill_at(folders, "_flush", 5),
}


@pytest.mark.parametrize("moment", KILLS)
def test_nothing_that_a_killed_process_left_is_trusted(tokenizer, cache, moment):
    child = forked.Process(target=_prepare, args=(cache.parent, moment))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    (left,) = (path for path in cache.iterdir() if path.is_dir())
    assert left.name.startswith(".") == (moment != "behind the name")
    rows = blocks("world", "train", tokenizer, 16, documents=300)
    assert torch.equal(everything(rows), packed("world", tokenizer, 16, documents=300))
    assert the_folder(cache) == rows.folder, "what the dead process left is still there"


def test_of_several_processes_one_prepares_and_all_get_the_rows(cache, tokenizer):
    barrier, answers = forked.Barrier(3), forked.Queue()
    children = [
        forked.Process(target=_prepare, args=(cache.parent, None, barrier, answers))
        for _ in range(3)
    ]
    for child in children:
        child.start()
    found = [answers.get(timeout=60) for _ in children]
    for child in children:
        child.join(60)
    expected = packed("world", tokenizer, 16, documents=300).tolist()
    assert all(rows == expected for _, rows in found)
    assert sum(made for made, _ in found) == 1
    assert the_folder(cache)


def test_a_folder_that_was_prepared_opens_where_nothing_can_be_written(
    tokenizer, cache, monkeypatch
):
    blocks("world", "train", tokenizer, 16, documents=60)
    for lock in cache.glob("*.lock"):
        lock.unlink()
    monkeypatch.setattr(prepared, "FileLock", None)
    monkeypatch.setattr(prepared, "whole_folder", None)
    blocks("world", "train", tokenizer, 16, documents=60)


def test_without_locks_it_is_still_made(tokenizer, monkeypatch):
    class NoLocks:
        def __init__(self, path):
            pass

        def acquire(self):
            raise NotImplementedError("flock")

    monkeypatch.setattr(prepared, "FileLock", NoLocks)
    rows = blocks("world", "train", tokenizer, 16, documents=60)
    assert torch.equal(everything(rows), packed("world", tokenizer, 16, documents=60))


def test_an_interrupted_preparation_leaves_nothing(tokenizer, cache, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(packing, "_joined", interrupt)
        with pytest.raises(KeyboardInterrupt):
            blocks("world", "train", tokenizer, 16, documents=60)
    assert [path for path in cache.iterdir() if path.is_dir()] == []
    blocks("world", "train", tokenizer, 16, documents=60)


def test_a_full_disk_is_one_line(tokenizer, cache, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing, "_joined", full)
    with pytest.raises(CourseError, match=r"No space left on device.*COURSE_CACHE"):
        blocks("world", "train", tokenizer, 16, documents=60)
    assert [path for path in cache.iterdir() if path.is_dir()] == []


def test_too_little_text_is_said_as_pack_says_it(tokenizer):
    for _ in range(2):  # made now, and found
        with pytest.raises(CourseError, match=r"2 documents give \d+ tokens, less than one row"):
            blocks("world", "train", tokenizer, 5000, documents=2)


def test_a_mark_spelled_out_in_a_text_is_no_boundary(tokenizer, cache):
    path = cache.parent / "spelled.jsonl"
    texts = [f"{n} <|endoftext|> cat <pad>" for n in range(200)]
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), encoding="utf-8")
    rows = blocks(f"text:{path}", "train", tokenizer, 2)
    marks = int((everything(rows) == tokenizer.bos_token_id).sum())
    assert abs(marks - len(load(f"text:{path}"))) <= 1
    assert not (everything(rows) == tokenizer.pad_token_id).any()
