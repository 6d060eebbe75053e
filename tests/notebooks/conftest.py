"""The notebooks as data, for the tests of this folder."""

import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `path` runs once for each notebook, and fails when there is none."""
    if "path" in metafunc.fixturenames:
        paths = sorted((ROOT / "notebooks").glob("*.ipynb")) or [ROOT / "notebooks" / "none.ipynb"]
        metafunc.parametrize("path", paths, ids=lambda path: path.stem)


@pytest.fixture
def notebook(path: Path) -> nbformat.NotebookNode:
    assert path.is_file(), "the folder notebooks/ holds no notebook"
    return nbformat.read(path, as_version=4)
