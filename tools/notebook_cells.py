"""The cells that every notebook begins with, word for word: a test compares them.

    python tools/notebook_cells.py

writes the first into each notebook and leaves everything else as it is. Whoever publishes the
course puts the address of the repository under `[project.urls]` in pyproject.toml and runs this
once: then the cell clones from there without asking.
"""

import sys
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def address() -> str:
    """Where the course is published, as pyproject.toml says; empty if nowhere yet."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return project.get("urls", {}).get("Repository", "")


_CELL = """\
# On Colab this finds or clones the course and adds what Colab lacks.
import glob, runpy, subprocess as sub, sys
repository = ""  # @param {type:"string"}
if "google.colab" in sys.modules:
    drive, at = "/content/drive/MyDrive", "/content/course"
    places = ["..", "/content/*", f"{drive}/*", f"{drive}/*/*"]
    found = [x for p in places for x in glob.glob(f"{p}/course_lib/../tools")]
    if not found:
        assert repository, "Put the address of the course into `repository`."
        sub.run(["git", "clone", "--depth=1", repository, at], check=True)
    tools = [*found, f"{at}/tools"][0]
    runpy.run_path(f"{tools}/colab.py", run_name="__main__")"""


def bootstrap() -> str:
    """The cell, with the address of a course that is published."""
    return _CELL.replace('repository = ""', f'repository = "{address()}"')


COLAB_BOOTSTRAP = bootstrap()

# Tagged `parameters`: papermill puts a cell with other values behind it.
PARAMETERS = """\
# What this notebook runs with. Change it here.
budget = None  # "smoke", "cpu" or "gpu"; None is what suits the machine
track = None  # "offline" or "hub"; None is offline
seed = 0  # of your own runs"""


def write_into(path: Path) -> bool:
    """Make the cell the source of a notebook's first code cell; whether that changed the file."""
    import nbformat
    from normalize import normalize

    before = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(before, as_version=4)
    next(cell for cell in notebook.cells if cell.cell_type == "code").source = COLAB_BOOTSTRAP
    after = normalize(notebook)
    if after != before:
        path.write_text(after, encoding="utf-8")
    return after != before


def main() -> int:
    for path in sorted((REPOSITORY / "notebooks").glob("*.ipynb")):
        print(f"{path.name}: {'written' if write_into(path) else 'as it should be'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
