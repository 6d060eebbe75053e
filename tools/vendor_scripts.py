"""Fetch the scripts that the book's pages run, so that a reader without network sees mathematics.

They come from npm at exact versions into `jupyter_book/_static/vendor`, which git ignores. Only
the files that a page can ask for are kept.
"""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

VENDOR = Path(__file__).resolve().parents[1] / "jupyter_book" / "_static" / "vendor"

# npm package -> (its folder in VENDOR, what of the package to keep). The widget manager's
# version is the one that ipywidgets 8.1 saves its state for.
SCRIPTS = {
    "mathjax@3.2.2": (
        "mathjax",
        ("es5/tex-mml-chtml.js", "es5/a11y", "es5/input/tex", "es5/output/chtml", "es5/ui"),
    ),
    "requirejs@2.3.7": ("requirejs", ("require.js",)),
    "@jupyter-widgets/html-manager@1.0.14": ("html-manager", ("dist/embed-amd.js",)),
}


def vendor_scripts(folder: Path = VENDOR) -> bool:
    """Put the scripts into `folder`; False when npm is not there or cannot fetch them."""
    stamp = folder / "versions.txt"
    versions = "\n".join(SCRIPTS) + "\n"
    if stamp.is_file() and stamp.read_text() == versions:
        return True
    if shutil.which("npm") is None:
        return False
    shutil.rmtree(folder, ignore_errors=True)
    try:
        for package, (name, kept) in SCRIPTS.items():
            _fetch(package, folder / name, kept)
    except subprocess.CalledProcessError:
        return False
    stamp.write_text(versions)
    return True


def _fetch(package: str, target: Path, kept: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        command = ["npm", "pack", "--silent", "--pack-destination", temporary, package]
        subprocess.run(command, check=True, capture_output=True)
        (archive,) = Path(temporary).glob("*.tgz")
        with tarfile.open(archive) as tar:
            tar.extractall(temporary, filter="data")
        for path in Path(temporary, "package").rglob("*"):
            inside = path.relative_to(Path(temporary, "package"))
            if path.is_file() and any(PurePosixPath(inside).is_relative_to(part) for part in kept):
                destination = target / inside
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, destination)
