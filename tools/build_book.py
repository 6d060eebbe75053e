"""Build the book from the committed notebooks, with warnings as errors.

    python tools/build_book.py [--output jupyter_book]

The pages are in OUTPUT/_build/html. The notebooks are not executed: the book shows their stored
outputs. Two things are made first: the table of claims, and the scripts a page runs. If the course
is published on GitHub, at the address that pyproject.toml gives, each notebook's page has a button
that opens it on Colab.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from notebook_cells import address
from vendor_scripts import vendor_scripts

REPOSITORY = Path(__file__).resolve().parents[1]
BOOK = REPOSITORY / "jupyter_book"
MADE = BOOK / "_build"
LOCAL_SCRIPTS = ("mathjax_path", "nb_ipywidgets_js")


def write_claims_table() -> None:
    """What `claims.md` includes."""
    from course_lib.classroom import claims_table

    (MADE / "claims_table.md").write_text(claims_table() + "\n", encoding="utf-8")


def settings_for(address: str, local_scripts: bool) -> dict[str, Any]:
    """The book's settings: Colab buttons for a course on GitHub, scripts local or not."""
    settings = yaml.safe_load((BOOK / "_config.yml").read_text(encoding="utf-8"))
    sphinx = settings["sphinx"]["config"]
    if not local_scripts:
        for name in LOCAL_SCRIPTS:
            del sphinx[name]
    if address.startswith("https://github.com/"):
        sphinx["html_theme_options"] |= {
            "repository_url": address.removesuffix("/").removesuffix(".git"),
            "repository_branch": "main",
            "launch_buttons": {"colab_url": "https://colab.research.google.com"},
        }
    return settings


def write_config() -> Path:
    """The configuration that this build runs with, as a file."""
    local_scripts = vendor_scripts()
    if not local_scripts:
        print(
            "npm is not here or cannot fetch the scripts: the pages will load MathJax and the "
            "widget scripts from the network. Install npm and build again for a book without."
        )
    config = MADE / "config.yml"
    config.write_text(yaml.safe_dump(settings_for(address(), local_scripts)), encoding="utf-8")
    return config


def build(output: Path) -> int:
    """Build the book below `output`; the exit status of jupyter-book."""
    MADE.mkdir(exist_ok=True)
    write_claims_table()
    command = [
        *(str(Path(sys.executable).with_name("jupyter-book")), "build", ".", "--all"),
        *("--config", str(write_config()), "--toc", str(BOOK / "_toc.yml")),
        *("--path-output", str(output), "-W", "-n", "--keep-going", "-q"),
    ]
    return subprocess.run(command, cwd=REPOSITORY).returncode


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=BOOK)
    sys.exit(build(parser.parse_args().output.resolve()))
