"""What is made of a text once and then only opened: a folder of the cache, whole or not at all."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from course_lib.runtime import CourseError, cache_path, data_path
from course_lib.runtime.digest import digest_of, file_of, modules_behind
from course_lib.runtime.folders import DamagedFolderError, verify_folder, whole_folder

ABOUT = "about.json"
# Up to this size a file is hashed whole whenever it is opened, which takes about a second (SHA-256
# reads 1 GB in a second with the processor's help, in two without). Of a larger one, pieces are.
HASHED_WHOLE = 2**30
PIECES, PIECE = 256, 2**16

Json = dict[str, Any]


def prepared_folder(kind: str, of: Json, write: Callable[[Path], Json]) -> Path:
    """The folder that `write` fills with what is made `of` something, from the cache or made now.

    `of` says all that decides the content, as JSON values, and names the folder; what `write`
    returns (counts, say) is kept beside it. A folder that is damaged or altered is made again.
    What a process that died has left is never taken for whole, and is removed. Of several
    processes that want the same folder one makes it; the others wait. On a file system without
    locks each makes its own, and one of them stays.

    Raises:
        CourseError: the cache cannot be written, or the disk is full; whatever `write` raises.
    """
    name = hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:20]
    folder = cache_path(kind, name)
    if not _is_sound(folder, of):
        with _alone(folder):
            if not _is_sound(folder, of):
                _make(folder, of, write)
    return folder


def about(folder: Path) -> Json:
    """What a prepared folder is made `of`, what was `made`, and digests of `pieces` of its files.

    Raises:
        DamagedFolderError: it does not say so.
    """
    try:
        found = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        return {key: dict(found[key]) for key in ("of", "made", "pieces")}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DamagedFolderError(f"{folder} has no readable {ABOUT}.") from error


@cache
def code_of_texts() -> str:
    """Changes with whatever of ours changes a text or how it is cut: code, the world's words."""
    modules = modules_behind("course_lib.corpora.loading", "course_lib.corpora.packing")
    return digest_of([*map(file_of, modules), *data_path("world").glob("*.toml")])


def stamps(files: Iterable[Path]) -> list[list[str | int]]:
    """What changes when one of the files does: names, sizes and times of the last change."""
    found = [(file, file.stat()) for file in files]
    return [[str(f), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for f, stat in found]


def _make(folder: Path, of: Json, write: Callable[[Path], Json]) -> None:
    try:
        with whole_folder(folder) as draft:
            made = write(draft)
            pieces = {path.name: _pieces(path) for path in sorted(draft.iterdir())}
            text = json.dumps({"of": of, "made": made, "pieces": pieces}, indent=1)
            (draft / ABOUT).write_text(text, encoding="utf-8")
    except CourseError:
        if not _is_sound(folder, of):  # without locks, another process may have been first
            raise


def _is_sound(folder: Path, of: Json) -> bool:
    try:
        found = about(folder)
        pieces = found["pieces"]
        large = [name for name in pieces if (folder / name).stat().st_size > HASHED_WHOLE]
        if not large:
            verify_folder(folder)
        return found["of"] == of and all(_pieces(folder / name) == pieces[name] for name in large)
    except (OSError, DamagedFolderError):
        return False


def _pieces(path: Path) -> str:
    """A digest of the size of a file and of pieces spread evenly over it, both ends included."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as stream:
        for number in range(PIECES):
            stream.seek(max(0, size - PIECE) * number // (PIECES - 1))
            digest.update(stream.read(PIECE))
    return digest.hexdigest()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        lock.acquire()
    except (OSError, NotImplementedError):  # no locks on this file system, or not writable
        lock = None
    try:
        yield
    finally:
        if lock is not None:
            lock.release()
