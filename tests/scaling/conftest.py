"""The real runs where they are at hand, and a small law that every test can afford."""

from pathlib import Path

import numpy as np
import pytest
from known_law import LAW

from course_lib.scaling import Runs, isoflop_design, load_chinchilla_points, simulate_runs

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def points(monkeypatch) -> Runs:
    """The 240 runs of the replication; a test that needs them is skipped where they are not."""
    if not (SHARED / "chinchilla_figure4_points.csv").is_file():
        pytest.skip("the Chinchilla points are not beside the repository")
    monkeypatch.setenv("COURSE_DATA_DIR", str(SHARED))
    return load_chinchilla_points()


@pytest.fixture(scope="session")
def runs() -> Runs:
    """35 simulated runs of a law like Chinchilla's, half a percent of noise, an outlier or two."""
    design = isoflop_design(np.geomspace(1e19, 1e21, 5), sizes=7)
    return simulate_runs(LAW, *design, noise=0.005, outliers=0.05, seed=1)
