"""Guards real models and text on the disk: whole and unaltered, or refused in a line with a remedy.

pytest tests/runtime/test_packaged.py
"""

import pytest
from refusals import assert_refused

from course_lib.runtime.folders import whole_folder
from course_lib.runtime.packaged import packaged, packaged_path
from course_lib.runtime.paths import REPOSITORY

REMEDY = "un `python -m course_lib setup`"


@pytest.fixture
def thing(monkeypatch, tmp_path):
    """A folder as set-up makes them, of two files."""
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path))
    with whole_folder(tmp_path / "thing") as folder:
        (folder / "weights").write_bytes(bytes(range(256)) * 40)
        (folder / "config").write_text("{}", encoding="utf-8")
    return tmp_path / "thing"


def test_what_is_whole_is_found(thing):
    assert packaged("thing") == thing


def test_what_was_never_made_is_refused(thing):
    assert_refused(lambda: packaged("another"), "another is not in", REMEDY, "network")


@pytest.mark.parametrize("place", [0, 5_000, 10_239])
def test_one_altered_byte_is_refused(thing, place):
    content = bytearray((thing / "weights").read_bytes())
    content[place] ^= 1
    (thing / "weights").write_bytes(content)
    assert_refused(lambda: packaged("thing"), "weights", "altered", REMEDY)


def test_a_truncated_file_is_refused(thing):
    (thing / "weights").write_bytes((thing / "weights").read_bytes()[:-1])
    assert_refused(lambda: packaged("thing"), "weights", "10239", "10240", REMEDY)


def test_a_missing_file_is_refused(thing):
    (thing / "config").unlink()
    assert_refused(lambda: packaged("thing"), "config is missing", REMEDY)


@pytest.mark.parametrize("manifest", ["", "[]", "{", '{"weights": 3}'])
def test_a_manifest_that_is_none_is_refused(thing, manifest):
    (thing / "manifest.json").write_text(manifest, encoding="utf-8")
    assert_refused(lambda: packaged("thing"), "no readable manifest.json", REMEDY)


@pytest.mark.parametrize("given", [None, "", "kept/here", "/elsewhere", "~/models"])
def test_the_folder_is_the_courses_own_or_the_one_that_is_set(monkeypatch, tmp_path, given):
    """A relative one counts from the course, so that notebooks, below it, find the same."""
    monkeypatch.delenv("COURSE_MODELS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    if given is not None:
        monkeypatch.setenv("COURSE_MODELS", given)
    expected = {"/elsewhere": "/elsewhere", "~/models": tmp_path / "models"}
    monkeypatch.chdir(tmp_path)
    assert packaged_path() == REPOSITORY / expected.get(given, given or ".models")
