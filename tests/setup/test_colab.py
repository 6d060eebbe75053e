"""Guards the way to Colab: the first cell, and installing what is missing but never torch.

pytest tests/setup/test_colab.py
"""

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from colab import missing, pip_command
from notebook_cells import COLAB_BOOTSTRAP


@pytest.fixture
def calls(monkeypatch) -> list:
    """What the cell would run, on a machine that says it is Colab."""
    made: list = []
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setattr(subprocess, "run", lambda command, **_: made.append(command))
    monkeypatch.setattr(os, "chdir", made.append)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("COURSE_REPOSITORY", raising=False)
    return made


def run_cell(repository: str = "") -> None:
    exec(COLAB_BOOTSTRAP.replace('repository = ""', f"repository = {repository!r}"), {})


def test_the_cell_does_nothing_outside_colab(monkeypatch):
    monkeypatch.setattr(subprocess, "run", None)
    before = os.getcwd(), list(sys.path)
    run_cell("https://example.org/course")
    assert before == (os.getcwd(), sys.path)


def test_the_cell_is_short():
    assert len(COLAB_BOOTSTRAP.splitlines()) <= 12
    assert max(map(len, COLAB_BOOTSTRAP.splitlines())) <= 100


def test_the_cell_asks_for_the_address(calls):
    with pytest.raises(AssertionError, match="Put the address"):
        run_cell()
    assert calls == []


@pytest.mark.parametrize("way", ["field", "environment"])
def test_the_cell_clones_installs_and_makes_the_library_importable(calls, monkeypatch, way):
    monkeypatch.setenv("COURSE_REPOSITORY", "there" if way == "environment" else "")
    run_cell("there" if way == "field" else "")
    clone, install, folder = calls
    assert clone == ["git", "clone", "--depth=1", "there", "/content/course"]
    assert install == [sys.executable, "/content/course/tools/colab.py"]
    assert folder == "/content/course/notebooks"
    assert sys.path[0] == "/content/course"


def test_only_what_no_installed_version_satisfies_is_missing():
    assert missing(["numpy>=2.0", "no-such-package>=1", "pandas>=99", "scipy<1"]) == [
        "no-such-package>=1",
        "pandas>=99",
        "scipy<1",
    ]


def test_torch_is_never_missing_and_cannot_move(tmp_path):
    assert missing(["torch>=99"]) == []
    constraints = tmp_path / "constraints.txt"
    command = pip_command(["evaluate>=0.4"], "2.11.0+cu128", constraints)
    assert constraints.read_text() == "torch==2.11.0+cu128\n"
    assert command[-3:] == ["--constraint", str(constraints), "evaluate>=0.4"]
