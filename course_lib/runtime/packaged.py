"""Where set-up keeps what it made of ordinary packages: real models, and text that people wrote."""

import os
from pathlib import Path

from course_lib.runtime.errors import CourseError
from course_lib.runtime.folders import DamagedFolderError, verify_folder
from course_lib.runtime.paths import REPOSITORY


def packaged_path(*parts: str) -> Path:
    """Path below the folder of real models and text: `COURSE_MODELS`, else `.models` in the course.

    A relative `COURSE_MODELS` counts from the course's folder, wherever a notebook runs. It is not
    the cache of runs: tests begin with an empty one of those, and keep this.
    """
    given = Path(os.environ.get("COURSE_MODELS") or ".models").expanduser()
    return (REPOSITORY / given).joinpath(*parts)


def packaged(name: str) -> Path:
    """The folder of a thing that set-up made, after a comparison with its manifest.

    Every size and every hash is compared: half a second for half a gigabyte.

    Raises:
        CourseError: it was never made, or a file is missing, truncated or altered.
    """
    folder = packaged_path(name)
    remedy = "un `python -m course_lib setup` in the course's folder"
    if not folder.is_dir():
        raise CourseError(f"{name} is not in {folder.parent}: r{remedy}, once, with a network.")
    try:
        verify_folder(folder)
    except DamagedFolderError as error:
        raise CourseError(f"{error} R{remedy} again.") from error
    return folder
