"""A progress bar where someone can see it, silence elsewhere."""

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm.auto import tqdm

from course_lib.runtime.processes import is_main


def quiet() -> bool:
    """Whether nobody watches: `COURSE_QUIET` is set, to anything but 0."""
    return os.environ.get("COURSE_QUIET", "0") not in ("", "0")


def progress(iterable: Iterable | None = None, **options: Any) -> tqdm:
    """`tqdm.auto.tqdm`, shown only in a terminal or a live notebook, by one of several processes.

    A log file, CI, or a notebook executed without a reader (`COURSE_QUIET=1`) gets no bar, so
    stored outputs hold results and not the remains of a bar. A finished bar is removed.
    """
    shown = is_main() and not quiet() and (sys.stderr.isatty() or _in_notebook())
    return tqdm(iterable, disable=not shown, leave=False, **options)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "IPKernelApp" in shell.config
