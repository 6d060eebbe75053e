"""Guards `make`: what its help lists, what it installs and fetches, one line for an old Python.

pytest tests/setup/test_makefile.py
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGETS = (
    *("lab", "test", "check", "test-floor", "torture", "models", "book", "notebook", "notebooks"),
    *("runs", "bench", "gpu", "clean", "help"),
)
FILES = ("Makefile", "requirements.lock", "requirements-floor.txt", "requirements-models.txt")
COMMANDS = ("sh", "sed", "awk", "id", "touch", "rm", "mkdir", "cp", "mktemp")
FAKE = 'echo "$0 $@" >> log; case "$*" in *venv*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python";; esac'

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run make as a reader does, not as part of the make that may run this test."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    return subprocess.run(
        [shutil.which("make"), *arguments],
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
    )


def test_make_alone_lists_the_targets():
    listed = make(cwd=ROOT).stdout
    assert all(f"make {target} " in listed for target in TARGETS)


@pytest.fixture
def clone(tmp_path) -> Path:
    """A copy with a PATH that holds one fake Python, which the tests make old or new."""
    for name in (*FILES, "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bin").mkdir()
    for name in COMMANDS:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    return tmp_path


def put_python(clone: Path, name: str, script: str) -> None:
    path = clone / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_an_old_python_is_one_clear_line(clone):
    put_python(clone, "python3", "exit 1")
    result = make("lab", cwd=clone, PATH=str(clone / "bin"))
    assert result.returncode != 0
    assert "The course needs Python 3.11 or newer" in result.stderr.splitlines()[0]
    assert not (clone / ".venv").exists()


def test_the_environment_is_made_once_and_again_when_the_lock_changes(clone):
    put_python(clone, "python3.11", FAKE)

    def calls() -> str:
        (clone / "log").write_text("")
        assert make("runs", cwd=clone, PATH=str(clone / "bin")).returncode == 0
        return (clone / "log").read_text()

    first = calls()
    assert "-m venv .venv" in first
    assert "-r requirements.lock" in first
    assert "--no-deps --no-build-isolation -e ." in first
    *_, models, runs = first.splitlines()
    assert models == ".venv/bin/python -m course_lib setup"
    assert runs == ".venv/bin/python -m course_lib runs"
    assert calls() == ".venv/bin/python -m course_lib runs\n"
    for pins in ("requirements.lock", "requirements-models.txt"):
        later = (clone / ".venv" / ".ready").stat().st_mtime + 10
        os.utime(clone / pins, (later, later))
        again = calls()
        assert "-r requirements.lock" in again
        assert models in again
        assert "-m venv" not in again
        os.utime(clone / pins, (0, 0))


def test_an_environment_without_the_real_models_is_not_ready(clone):
    """What fails is tried again by the next call."""
    failing = 'case "$*" in *"course_lib setup"*) echo "error: no network" >&2; exit 1;; esac'
    put_python(clone, "python3.11", f"{FAKE}\n{failing}")
    for _ in range(2):
        result = make("lab", cwd=clone, PATH=str(clone / "bin"))
        assert result.returncode != 0
        assert result.stderr.splitlines()[0] == "error: no network"
        assert not (clone / ".venv" / ".ready").exists()


@pytest.mark.parametrize(
    ("settings", "command"),
    [
        (["N=06"], "notebook 06"),
        (
            ["N=06", "BUDGET=gpu", "TRACK=hub", "OUT=06.ipynb"],
            "notebook 06 --budget gpu --track hub --out 06.ipynb",
        ),
    ],
)
def test_one_notebook_runs_with_the_settings_given(clone, settings, command):
    put_python(clone, "python3.11", FAKE)
    result = make("notebook", *settings, cwd=clone, PATH=str(clone / "bin"))
    assert result.returncode == 0, result.stderr
    last = (clone / "log").read_text().splitlines()[-1]
    assert last == f".venv/bin/python -m course_lib {command}"


def test_no_notebook_named_is_one_clear_line(clone):
    put_python(clone, "python3.11", FAKE)
    result = make("notebook", cwd=clone, PATH=str(clone / "bin"))
    assert result.returncode != 0
    assert result.stderr.splitlines()[0] == "Say which notebook: make notebook N=06"


def test_the_floors_have_an_environment_of_their_own_and_the_lock_fills_it_up(clone):
    put_python(clone, "python3.11", FAKE)
    result = make("test-floor", cwd=clone, PATH=str(clone / "bin"))
    assert result.returncode == 0, result.stderr
    assert not (clone / ".venv").exists()
    calls = (clone / "log").read_text()
    assert "-m venv .venv-floor" in calls
    assert "-r .venv-floor/pins.txt" in calls
    assert calls.count(".venv-floor/bin/python -m pytest") == 2

    def pins(name: str) -> dict[str, str]:
        lines = (clone / name).read_text().splitlines()
        return dict(line.split("==") for line in lines if not line.startswith("#"))

    floor = pins("requirements-floor.txt")
    assert pins(".venv-floor/pins.txt") == pins("requirements.lock") | floor
    written = (clone / ".venv-floor" / "pins.txt").read_text()
    assert written.count("transformers==") == 1


def test_clean_removes_both_environments_and_the_real_models_that_are_here(clone):
    made = (".venv", ".venv-floor", ".models")
    for name in made:
        (clone / name).mkdir()
    for name in ("course_lib", "tests", "tools", "notebooks"):
        (clone / name).mkdir()
    (clone / "bin" / "find").symlink_to(shutil.which("find"))
    assert make("clean", cwd=clone, PATH=str(clone / "bin")).returncode == 0
    assert not any((clone / name).exists() for name in made)
