"""Execute the notebooks from a fresh kernel and store their outputs, the same bytes every time.

    python tools/execute_notebooks.py [NAME ...] [--budget smoke|cpu|gpu] [--folder notebooks]

A NAME is a notebook's name or the start of it: `01`. The cache is empty at the start and shared
by the notebooks of one call, unless COURSE_CACHE names one. A notebook that fails is not written.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from normalize import clear, normalize
from patient_kernel import PatientKernelManager

REPOSITORY = Path(__file__).resolve().parents[1]
CELL_TIMEOUT = 1800  # seconds; a guard against a cell that hangs, not a bar


def find_notebooks(folder: Path, names: list[str]) -> list[Path]:
    """The notebooks of `folder` whose names start with one of `names`; all when there is none.

    Raises:
        SystemExit: a name that fits no notebook, or a folder without any.
    """
    found = sorted(folder.glob("*.ipynb"))
    for name in names or [""]:
        if not any(path.stem.startswith(name) for path in found):
            raise SystemExit(f"No notebook in {folder} starts with {name!r}.")
    return [path for path in found if any(path.stem.startswith(name) for name in names or [""])]


def execute(path: Path) -> str:
    """Run one notebook from top to bottom and return the text of its new file.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = clear(nbformat.read(path, as_version=4))
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        kernel_manager_class=PatientKernelManager,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    return normalize(client.execute())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--budget", default="cpu", choices=("smoke", "cpu", "gpu"))
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "notebooks")
    options = parser.parse_args(arguments)
    paths = find_notebooks(options.folder, options.names)
    # The kernels inherit these. Fixed string hashes give sets one order.
    os.environ.update(COURSE_BUDGET=options.budget, COURSE_QUIET="1", PYTHONHASHSEED="0")
    with tempfile.TemporaryDirectory() as cache:
        os.environ.setdefault("COURSE_CACHE", cache)
        return max(_refresh(path) for path in paths)


def _refresh(path: Path) -> int:
    start = time.perf_counter()
    try:
        text = execute(path)
    except CellExecutionError as error:
        print(f"{path.name}: not written, a cell failed:\n{error}", file=sys.stderr)
        return 1
    changed = text != path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    print(f"{path.name}: {time.perf_counter() - start:.0f} s, {'new' if changed else 'same'} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
