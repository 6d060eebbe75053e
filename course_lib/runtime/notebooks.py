"""A notebook run with other settings, from the command line: `run_notebook("06", {"seed": 3})`.

Each notebook has a cell tagged `parameters`, and papermill puts one with the values given behind
it. The course's own notebook stays as it is; the executed copy lies elsewhere.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from course_lib.runtime.checks import Text, checked
from course_lib.runtime.errors import CourseError
from course_lib.runtime.paths import REPOSITORY
from course_lib.runtime.progress_bar import quiet

NOTEBOOKS = REPOSITORY / "notebooks"


def find_notebook(name: str) -> Path:
    """The notebook of that name, or the only one whose name begins so: `06`.

    Raises:
        CourseError: there is none, or several.
    """
    there = sorted(NOTEBOOKS.glob("*.ipynb"))
    found = [path for path in there if name and path.stem.startswith(name.removesuffix(".ipynb"))]
    if len(found) != 1:
        names = ", ".join(path.stem for path in found or there)
        raise CourseError(f"{'Several notebooks' if found else 'No notebook'} {name!r}: {names}.")
    return found[0]


@checked
def run_notebook(
    name: Text, parameters: Mapping[str, Any] | None = None, out: str | Path | None = None
) -> Path:
    """Execute a copy of a notebook and return where it lies.

    Args:
        name: the notebook's name, or its number.
        parameters: values for names that its cell tagged `parameters` sets.
        out: the copy's file, which is replaced if it is there; by default `executed/NAME.ipynb` in
            the folder that you are in.

    Raises:
        CourseError: no such notebook or parameter, a copy among the course's own notebooks or where
            nothing can be written, or a cell that failed. The copy then holds its error.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    path = find_notebook(name)
    known = papermill.inspect_notebook(path)
    for parameter in parameters or {}:
        if parameter not in known:
            raise CourseError(
                f"{path.stem} has no parameter {parameter!r}: it has {', '.join(known)}."
            )
    copy = _place(Path(out) if out else Path("executed", path.name))
    show = not quiet()
    try:
        with _quiet_kernel():
            papermill.execute_notebook(
                path,
                copy,
                dict(parameters or {}),
                kernel_name="python3",
                cwd=NOTEBOOKS,
                progress_bar=show,
            )
    except PapermillExecutionError as error:
        why = str(error.evalue).partition("\n")[0]
        raise CourseError(
            f"{path.stem}: a cell failed ({error.ename}: {why}); see it in {copy}."
        ) from error
    return copy


def _place(out: Path) -> Path:
    """The copy's path, its folder made."""
    copy = out.expanduser().resolve()
    if copy.suffix != ".ipynb":
        raise CourseError(f"out={str(out)!r}: give the file of the copy, such as 06.ipynb.")
    if copy.is_relative_to(NOTEBOOKS):
        raise CourseError(
            f"out={str(out)!r}: the course's own notebooks lie there; choose a place."
        )
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.touch()
    except OSError as error:
        raise CourseError(
            f"Cannot write {copy} ({error.strerror}): choose another place."
        ) from error
    return copy


@contextmanager
def _quiet_kernel() -> Iterator[None]:
    """A copy has no reader: its kernel draws no bars and no sliders, unless COURSE_QUIET=0."""
    before = os.environ.get("COURSE_QUIET")
    os.environ.setdefault("COURSE_QUIET", "1")
    try:
        yield
    finally:
        if before is None:
            del os.environ["COURSE_QUIET"]
