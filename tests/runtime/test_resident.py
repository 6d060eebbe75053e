"""Guards the measure of memory: a child's is its own, whatever its parent has had.

pytest tests/runtime/test_resident.py
"""

import subprocess
import sys

import numpy as np
import pytest

from course_lib.runtime.resident import peak_memory

SAY = "from course_lib.runtime.resident import peak_memory; print(peak_memory())"


def test_what_was_had_and_given_back_still_counts():
    before = peak_memory()
    held = np.ones(50_000_000)  # 400 MB
    del held
    assert peak_memory() >= max(before, 4e8)


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere a child begins with what its parent had"
)
def test_a_child_does_not_inherit_the_peak_of_its_parent():
    held = np.ones(50_000_000)
    assert held.nbytes < peak_memory()
    said = subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, check=True)
    assert 1e6 < int(said.stdout) < 2e8
