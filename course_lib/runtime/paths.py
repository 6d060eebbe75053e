"""Where things lie: committed data inside the repository, caches outside it."""

import errno
import os
from pathlib import Path

from course_lib.runtime.errors import CourseError

REPOSITORY = Path(__file__).resolve().parents[2]


def data_path(*parts: str) -> Path:
    """Path of a committed file below `data/`.

    Raises:
        CourseError: the `data/` folder is missing, as in a copy of `course_lib` alone.
    """
    folder = REPOSITORY / "data"
    if not folder.is_dir():
        raise CourseError(
            f"The course's data folder is not at {folder}: work from a clone of the repository, "
            "installed with `pip install -e .`."
        )
    return folder.joinpath(*parts)


def cache_path(*parts: str) -> Path:
    """Path below the cache folder (`COURSE_CACHE`, else `~/.cache/course_lib`), parents made.

    Raises:
        CourseError: the cache folder cannot be written, or there is no home folder to have it in.
    """
    try:
        given = os.environ.get("COURSE_CACHE")
        root = Path(given).expanduser() if given else Path.home() / ".cache" / "course_lib"
    except RuntimeError as error:
        raise CourseError(
            "There is no home folder to keep the cache in: set COURSE_CACHE to a folder that you "
            "can write."
        ) from error
    path = root.joinpath(*parts)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise CourseError(
            f"Cannot write the cache folder {root} ({error.strerror}): "
            "set COURSE_CACHE to a folder you can write."
        ) from error
    return path
