"""Guards text of one's own: every character, in documents, in splits that anyone can predict.

Run: pytest tests/corpora/test_local_text.py
"""

import json
import os
from contextlib import suppress
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.corpora import SPLITS, load, loading, local
from course_lib.corpora.local import local_documents
from course_lib.corpora.splits import split_of
from course_lib.runtime import CourseError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "my text"
    folder.mkdir()
    return folder


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())  # bytes: no line end is translated


def lines(*texts):
    return "".join(json.dumps({"text": text, "other": 1}) + "\n" for text in texts)


def all_texts(name):
    """The texts of each split, of which some may be empty."""
    found = dict.fromkeys(SPLITS, ())
    for split in SPLITS:
        with suppress(CourseError):
            found[split] = tuple(load(name, split)["text"])
    return found


def test_each_line_of_jsonl_is_a_document_and_in_its_split(folder):
    texts = [f"Document {n},\n\nwith ü and \u2028 and {n * 7}." for n in range(300)]
    write(folder / "a.jsonl", lines(*texts[:200]) + "\n   \n")
    write(folder / "deep" / "b.jsonl", lines(*texts[200:]))
    found = all_texts(f"text:{folder}")
    assert found == {s: tuple(t for t in texts if split_of(t) == s) for s in SPLITS}
    assert len(found["train"]) > 240
    assert min(map(len, found.values())) > 3
    assert list(load(f"text:{folder}", documents=7)["text"]) == list(found["train"][:7])


@given(
    text=st.text(st.sampled_from("ab \n\r\u00fc"), max_size=300),
    longest=st.integers(2, 40),
    read=st.integers(1, 50),
)
@settings(max_examples=200, deadline=None)
def test_a_long_text_is_cut_and_loses_nothing(tmp_path_factory, text, longest, read):
    path = tmp_path_factory.mktemp("long") / "a.txt"
    write(path, text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "LONGEST", longest)
        patch.setattr(local, "READ", read)
        parts = list(local._parts(path))
        documents = [document for _, document in local_documents(path)]
    assert "".join(parts) == text
    assert all(len(part) <= longest for part in parts)
    assert documents == [part for part in parts if part.strip()]


@pytest.mark.parametrize("between", ["\n\n", "\r\n\r\n", "\n", " "])
def test_a_text_is_cut_between_its_parts(folder, monkeypatch, between):
    monkeypatch.setattr(local, "LONGEST", 100)
    paragraphs = [f"Paragraph-{n}:{'-word' * 11}." for n in range(6)]
    write(folder / "a.txt", between.join(paragraphs))
    documents = [text for _, text in local_documents(folder)]
    assert documents == [f"{text}{between}" for text in paragraphs[:-1]] + paragraphs[-1:]


def test_a_short_text_is_one_document_without_its_byte_order_mark(folder):
    write(folder / "a.txt", "\ufeffThe cat.\r\n\r\nThe dog.\n")
    assert [text for _, text in local_documents(folder)] == ["The cat.\r\n\r\nThe dog.\n"]


def test_files_and_folders_called_train_or_test_are_the_split(folder):
    write(folder / "train.txt", "in train")
    write(folder / "validation" / "a" / "b.txt", "in validation")
    write(folder / "books" / "test.jsonl", lines("in test", "in test too"))
    assert all_texts(f"text:{folder}") == {
        "train": ("in train",),
        "validation": ("in validation",),
        "test": ("in test", "in test too"),
    }


def test_a_file_alone_is_divided_whatever_it_is_called(folder):
    write(folder / "train" / "train.jsonl", lines(*map(str, range(400))))
    found = all_texts(f"text:{folder / 'train' / 'train.jsonl'}")
    assert all(found.values())


def test_hidden_and_other_files_are_left_out(folder):
    write(folder / "a.txt", "seen")
    write(folder / ".git" / "b.txt", "hidden")
    write(folder / ".c.txt", "hidden")
    write(folder / "d.md", "other")
    write(folder / "empty.txt", " \n")
    assert [text for _, text in local_documents(folder)] == ["seen"]


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(folder, monkeypatch):
    path = folder / "a.jsonl"
    write(path, lines("one", "two"))
    before = all_texts(f"text:{path}")
    with monkeypatch.context() as patch:
        patch.setattr(loading, "local_documents", None)
        assert all_texts(f"text:{path}") == before
    changed = os.stat(path)
    write(path, lines("one", "six"))  # of the same size
    os.utime(path, ns=(changed.st_atime_ns, changed.st_mtime_ns))  # and, it says, of the same time
    assert sorted(chain(*all_texts(f"text:{path}").values())) == ["one", "six"]


def test_a_path_may_begin_at_home_or_here(folder, monkeypatch):
    write(folder / "a.txt", "text " * 30)
    split = split_of("text " * 30)
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.chdir(folder)
    assert len(load("text:~/my text", split)) == len(load("text:a.txt", split)) == 1
