"""Guards the price of `import course_lib`: milliseconds, and none of the heavy libraries.

pytest tests/setup/test_import_cost.py
"""

import subprocess
import sys
import time

import pytest

HEAVY = ("torch", "transformers", "datasets", "evaluate", "matplotlib", "pandas", "sklearn")
FOLDERS = (
    "runtime",
    "compute",
    "corpora",
    "objectives",
    "models",
    "training",
    "generation",
    "evaluation",
    "finetuning",
    "scaling",
    "studies",
    "classroom",
)


def best_seconds(code: str, repeats: int = 5) -> float:
    """The shortest wall time of a fresh Python that runs `code`."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append(time.perf_counter() - start)
    return min(times)


def test_import_costs_less_than_three_tenths_of_a_second():
    assert best_seconds("import course_lib") - best_seconds("pass") < 0.3


@pytest.mark.parametrize("package", ["course_lib", *(f"course_lib.{name}" for name in FOLDERS)])
def test_a_package_imports_nothing_heavy_before_it_is_used(package):
    code = f"import sys, {package}; print([m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert result.stdout.strip() == "[]"
