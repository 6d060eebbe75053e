"""Guards where the cache lies: as the environment says, or one line that says how to move it.

pytest tests/runtime/test_paths.py
"""

import pwd

import pytest
from refusals import assert_refused

from course_lib.runtime import cache_path


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_it_is_in_the_home_folder_or_where_the_environment_says(home, monkeypatch, tmp_path):
    assert cache_path("runs", "x") == home / ".cache" / "course_lib" / "runs" / "x"
    assert (home / ".cache" / "course_lib" / "runs").is_dir()
    for given, place in (
        (str(tmp_path / "there"), tmp_path / "there"),
        ("~/x", home / "x"),
        ("", home / ".cache" / "course_lib"),
    ):
        monkeypatch.setenv("COURSE_CACHE", given)
        assert cache_path("runs", "x") == place / "runs" / "x"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_CACHE", "~/x")
    cache_path("file")
    assert not (tmp_path / "~").exists()


def test_without_a_home_it_says_what_to_set(monkeypatch, tmp_path):
    def unknown(number):
        raise KeyError(number)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert_refused(lambda: cache_path("runs"), "no home folder", "set COURSE_CACHE")
    monkeypatch.setenv("COURSE_CACHE", "~/x")
    assert_refused(lambda: cache_path("runs"), "no home folder", "set COURSE_CACHE")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    assert cache_path("runs") == tmp_path / "runs"


def test_a_cache_that_cannot_be_written_is_refused(closed_folder, monkeypatch):
    for name, why in ((".", "Permission denied"), ("x", "Permission denied")):
        monkeypatch.setenv("COURSE_CACHE", str(closed_folder / name))
        assert_refused(lambda: cache_path("runs"), str(closed_folder), why, "set COURSE_CACHE")


def test_a_file_in_the_way_is_refused(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    for name in ("file", "file/x"):
        monkeypatch.setenv("COURSE_CACHE", str(tmp_path / name))
        assert_refused(lambda: cache_path("runs", "x"), str(tmp_path / name), "set COURSE_CACHE")
