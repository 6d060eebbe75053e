"""A folder that belongs to somebody else, for tests of what cannot be written."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = 65534


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """One that may be looked into and not written, with one in it that may not be looked into.

    Root may write everywhere, and is nobody for the time of a test.
    """
    folder = Path(tempfile.mkdtemp())
    (folder / "hidden").mkdir(mode=0o000)
    folder.chmod(0o555)
    root = os.getuid() == 0
    if root:
        os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield folder
    finally:
        if root:
            os.setresuid(0, 0, 0)
        folder.chmod(0o755)
        (folder / "hidden").chmod(0o755)
        shutil.rmtree(folder)
