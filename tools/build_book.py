"""Build the book from the committed notebooks, with warnings as errors.

    python tools/build_book.py [--output jupyter_book]

The pages are in OUTPUT/_build/html. The notebooks are not executed: the book shows their stored
outputs. Two things are made first: the table of claims, and the scripts a page runs.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import yaml
from vendor_scripts import vendor_scripts

REPOSITORY = Path(__file__).resolve().parents[1]
BOOK = REPOSITORY / "jupyter_book"
MADE = BOOK / "_build"
LOCAL_SCRIPTS = ("mathjax_path", "nb_ipywidgets_js")


def write_claims_table() -> None:
    """What `claims.md` includes."""
    from course_lib.classroom import claims_table

    (MADE / "claims_table.md").write_text(claims_table() + "\n", encoding="utf-8")


def choose_config() -> Path:
    """The book's configuration; without local scripts, a copy that takes them from the network."""
    config = BOOK / "_config.yml"
    if vendor_scripts():
        return config
    print(
        "npm is not here or cannot fetch the scripts: the pages will load MathJax and the widget "
        "scripts from the network. Install npm and build again for a book that needs none."
    )
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    for name in LOCAL_SCRIPTS:
        del settings["sphinx"]["config"][name]
    copy = MADE / "config_from_network.yml"
    copy.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return copy


def build(output: Path) -> int:
    """Build the book below `output`; the exit status of jupyter-book."""
    MADE.mkdir(exist_ok=True)
    write_claims_table()
    command = [
        *(str(Path(sys.executable).with_name("jupyter-book")), "build", ".", "--all"),
        *("--config", str(choose_config()), "--toc", str(BOOK / "_toc.yml")),
        *("--path-output", str(output), "-W", "-n", "--keep-going", "-q"),
    ]
    return subprocess.run(command, cwd=REPOSITORY).returncode


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=BOOK)
    sys.exit(build(parser.parse_args().output.resolve()))
