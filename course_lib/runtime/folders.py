"""Folders of files that are either whole or refused.

A folder is written under a temporary name, gets a manifest with the size and SHA-256 of each file,
is flushed to the disk, and then renamed: what bears the name is whole. Whoever reads it compares it
with its manifest first.
"""

import hashlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from course_lib.runtime.errors import CourseError

MANIFEST = "manifest.json"


class DamagedFolderError(CourseError):
    """A folder that is not what its manifest says."""


@contextmanager
def whole_folder(final: Path) -> Iterator[Path]:
    """Give a temporary folder to write into; afterwards it stands, whole, in the place of `final`.

    An error within leaves `final` as it was. What processes that died have left beside it is
    removed.

    Raises:
        CourseError: the folder cannot be written, or the disk is full.
    """
    partial = final.with_name(f".{final.name}{_mine()}")
    before = final.with_name(f".{final.name}-before{_mine()}")
    try:
        _sweep(final.parent)
        for left in (partial, before):  # by a process that had the number of this one
            shutil.rmtree(left, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        within = sorted(partial.rglob("*"))
        files = [path for path in within if path.is_file()]
        manifest = {path.relative_to(partial).as_posix(): _fingerprint(path) for path in files}
        written = partial / MANIFEST
        written.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        for path in [*within, written, partial]:
            _flush(path)
        with suppress(FileNotFoundError):  # put aside, which takes no time, and not deleted first
            final.rename(before)
        partial.rename(final)
        _flush(final.parent)
    except (OSError, SafetensorError) as error:
        cause = getattr(error, "strerror", None) or error
        raise CourseError(
            f"Could not write {final} ({cause}): free some space, or choose a "
            "folder that you can write (COURSE_CACHE and COURSE_MODELS say where the course keeps "
            "its own)."
        ) from error
    finally:
        if before.exists() and not final.exists():
            before.rename(final)
        for left in (partial, before):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def one_at_a_time(final: Path) -> Iterator[None]:
    """Within, no other process is making this folder: one that wants to waits here.

    Whoever had to wait looks first whether the folder is there by now. The locks are among the
    machine's temporary files: of processes on other machines they know nothing.
    """
    from filelock import FileLock

    name = hashlib.sha256(str(final.absolute()).encode()).hexdigest()[:16]
    user = os.getuid() if hasattr(os, "getuid") else ""
    with FileLock(Path(tempfile.gettempdir(), f"course-{user}-{name}.lock")):
        yield


def verify_folder(folder: Path) -> None:
    """Compare a folder with its manifest.

    Raises:
        DamagedFolderError: names the folder, the file, and what is wrong with it.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        expected = {name: (entry["bytes"], entry["sha256"]) for name, entry in manifest.items()}
        if not expected:
            raise ValueError(f"{MANIFEST} is empty")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DamagedFolderError(f"{folder} has no readable {MANIFEST}.") from error
    for name, (size, digest) in expected.items():
        file = folder / name
        if not file.is_file():
            raise DamagedFolderError(f"{folder}: {name} is missing.")
        if file.stat().st_size != size:
            raise DamagedFolderError(
                f"{folder}: {name} has {file.stat().st_size} bytes, not the {size} of {MANIFEST}."
            )
        if _fingerprint(file)["sha256"] != digest:
            raise DamagedFolderError(f"{folder}: {name} and {MANIFEST} disagree; one was altered.")


def require_writable(folder: Path) -> None:
    """Find out before hours of work whether a folder can be written at their end.

    Raises:
        CourseError: it cannot.
    """
    there = folder
    while not os.path.exists(there):  # Path.exists raises where one may not look
        there = there.parent
    try:  # to ask for permission is not enough: the disk may be read-only, or a quota used up
        trial = there / f".trial{_mine()}"
        trial.mkdir(exist_ok=True)
        trial.rmdir()
    except OSError as error:
        raise CourseError(
            f"{folder} cannot be written ({error.strerror}): choose a folder that you can write."
        ) from error


def _fingerprint(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": file.stat().st_size, "sha256": digest}


def _flush(path: Path) -> None:
    """To the disk. Some file systems (network drives, FUSE) cannot do that for a folder."""
    with suppress(OSError) if path.is_dir() else nullcontext():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _mine() -> str:
    return f"-partial-{socket.gethostname()}-{os.getpid()}"


def _sweep(parent: Path) -> None:
    """Remove what processes of this machine have left half-written and died.

    One that died after it had put a folder aside, and before it took its name, has left it whole:
    that goes back.
    """
    for left in parent.glob(f".*-partial-{socket.gethostname()}-*"):
        process = left.name.rpartition("-")[2]
        if not process.isdigit() or _alive(int(process)):
            continue
        name = left.name[1:].rpartition("-before-partial-")[0]
        if name and not (parent / name).exists():
            left.rename(parent / name)
        shutil.rmtree(left, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):  # none has such a number
        return False
    except OSError:
        return True
    return True
