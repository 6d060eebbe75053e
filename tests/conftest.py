"""What every test session runs under: a cache of its own, no progress bars, one thread."""

import os
import shutil
import tempfile

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Workers of pytest-xdist are started with this environment, and so share the cache."""
    if hasattr(config, "workerinput"):
        return
    config.stash[CACHE] = os.environ["COURSE_CACHE"] = tempfile.mkdtemp(prefix="course-cache-")
    os.environ["COURSE_QUIET"] = "1"
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash.get(CACHE, ""), ignore_errors=True)


CACHE = pytest.StashKey[str]()
