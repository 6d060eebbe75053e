"""Guards folders of files: whole or not there, flushed before they get their name, swept if dead.

pytest tests/runtime/test_folders.py
"""

import errno
import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from refusals import assert_refused

from course_lib.runtime import CourseError
from course_lib.runtime.folders import (
    DamagedFolderError,
    require_writable,
    verify_folder,
    whole_folder,
)

HOST = socket.gethostname()


def write(final, text="new"):
    with whole_folder(final) as partial:
        (partial / "a.txt").write_text(text, encoding="utf-8")
        (partial / "within").mkdir()
        (partial / "within" / "b.txt").write_text(text, encoding="utf-8")


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


WHOLE = ["a.txt", "manifest.json", "within", "within/b.txt"]


def test_a_folder_is_whole_and_nothing_is_left_beside_it(tmp_path):
    write(tmp_path / "thing", "old")
    write(tmp_path / "thing", "new")
    assert names(tmp_path) == ["thing", *(f"thing/{name}" for name in WHOLE)]
    assert (tmp_path / "thing" / "a.txt").read_text(encoding="utf-8") == "new"
    verify_folder(tmp_path / "thing")
    manifest = json.loads((tmp_path / "thing" / "manifest.json").read_text(encoding="utf-8"))
    assert list(manifest) == ["a.txt", "within/b.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError(errno.ENOSPC, "full")])
def test_an_error_within_leaves_what_was_there(error, tmp_path):
    def breaks():
        with whole_folder(tmp_path / "thing") as partial:
            (partial / "half.txt").write_text("h", encoding="utf-8")
            raise error

    expected = CourseError if isinstance(error, OSError) else error
    with pytest.raises(expected):
        breaks()
    assert names(tmp_path) == []
    write(tmp_path / "thing", "old")
    with pytest.raises(expected):
        breaks()
    assert names(tmp_path / "thing") == WHOLE
    assert len(list(tmp_path.iterdir())) == 1


def test_where_the_second_rename_fails_the_folder_is_back(tmp_path, monkeypatch):
    write(tmp_path / "thing", "old")
    rename, calls = Path.rename, []

    def fails_once(path, target):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails_once)
    with pytest.raises(CourseError, match="Input/output error"):
        write(tmp_path / "thing", "new")
    assert (tmp_path / "thing" / "a.txt").read_text(encoding="utf-8") == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_all_is_flushed_before_it_gets_its_name_and_then_the_folder_around_it(
    tmp_path, monkeypatch
):
    flushed, flush = [], os.fsync

    def noting(descriptor):
        flushed.append((os.fstat(descriptor).st_ino, (tmp_path / "thing").exists()))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    write(tmp_path / "thing")
    within = [tmp_path / "thing", *(tmp_path / "thing" / name for name in WHOLE)]
    assert {(path.stat().st_ino, False) for path in within} == set(flushed[:-1])
    assert flushed[-1] == (tmp_path.stat().st_ino, True)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("what", ["open", "fsync"])
def test_a_file_system_that_cannot_flush_a_folder_is_good_enough(
    what, number, tmp_path, monkeypatch
):
    original = getattr(os, what)

    def fails_for_folders(target, *more):
        mode = os.fstat(target).st_mode if what == "fsync" else os.stat(target).st_mode
        if stat.S_ISDIR(mode):
            raise OSError(number, os.strerror(number))
        return original(target, *more)

    with monkeypatch.context() as patch:
        patch.setattr(os, what, fails_for_folders)
        write(tmp_path / "thing")
    verify_folder(tmp_path / "thing")


def test_a_file_that_cannot_be_flushed_is_an_error(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CourseError, match=r"quota exceeded.*free some space"):
        write(tmp_path / "thing")
    assert names(tmp_path) == []


def test_what_dead_processes_left_is_swept_and_nothing_else(tmp_path):
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    dead, alive = int(dead.stdout), os.getppid()
    gone = [f".run-partial-{HOST}-{dead}", f".step-00000004-partial-{HOST}-{dead}"]
    kept = [
        f".run-partial-{HOST}-{alive}",
        f".run-partial-elsewhere-{dead}",
        f".run-partial-{HOST}-x{dead}",
        ".run-partial",
        f"run-partial-{HOST}-{dead}",
    ]
    for name in gone + kept:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("half", encoding="utf-8")
    write(tmp_path / "thing")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "thing"])


def test_a_process_that_has_a_dead_ones_number_is_not_in_its_way(tmp_path):
    for kind in ("partial", "before-partial"):
        left = tmp_path / f".thing-{kind}-{HOST}-{os.getpid()}"
        left.mkdir()
        (left / "file").write_text("half", encoding="utf-8")
    write(tmp_path / "thing", "old")
    write(tmp_path / "thing", "new")
    assert names(tmp_path / "thing") == WHOLE


def test_a_manifest_that_names_nothing_vouches_for_nothing(tmp_path):
    write(tmp_path / "thing")
    (tmp_path / "thing" / "manifest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DamagedFolderError, match="no readable manifest"):
        verify_folder(tmp_path / "thing")


def test_a_file_that_somebody_adds_does_no_harm(tmp_path):
    write(tmp_path / "thing")
    (tmp_path / "thing" / "notes.txt").write_text("mine", encoding="utf-8")
    verify_folder(tmp_path / "thing")


def test_what_can_be_written_is_found_out_and_nothing_is_left(tmp_path):
    require_writable(tmp_path)
    require_writable(tmp_path / "to" / "be" / "made")
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["", "inner/run", "hidden/run"])
def test_what_belongs_to_somebody_else_is_refused(name, closed_folder):
    folder = closed_folder / name
    assert_refused(lambda: require_writable(folder), f"{folder} cannot", "Permission denied")


def test_below_a_file_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        assert_refused(lambda f=folder: require_writable(f), "Not a directory", "choose a folder")
