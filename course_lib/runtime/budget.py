"""The one dial of every notebook: how much computing to spend.

All sizes stand in `data/budgets.toml`, one table a notebook and budget:

    [01_masked_language_modeling.cpu]
    minutes = 2.5
    steps = 600
"""

import os
import tomllib
from dataclasses import dataclass, field
from typing import Any

from course_lib.runtime.errors import CourseError
from course_lib.runtime.paths import data_path

BUDGETS = ("smoke", "cpu", "gpu")


@dataclass(frozen=True)
class Budget:
    """The sizes of one notebook's experiments under one budget.

    Each size is also an attribute: `budget.steps`.
    """

    notebook: str
    name: str
    minutes: float
    sizes: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, key: str) -> Any:
        """A size by its name."""
        if (
            key.startswith("_") or "sizes" not in self.__dict__
        ):  # a copy under way has no fields yet
            raise AttributeError(key)
        if key in self.sizes:
            return self.sizes[key]
        raise AttributeError(f"{self.notebook} has no size {key!r}; it has {sorted(self.sizes)}")


def load_budget(notebook: str, name: str | None = None) -> Budget:
    """Read a notebook's sizes; the name comes from the argument, `COURSE_BUDGET`, or the hardware.

    Raises:
        CourseError: unknown notebook or budget.
    """
    name = name or os.environ.get("COURSE_BUDGET") or _budget_for_hardware()
    tables = tomllib.loads(data_path("budgets.toml").read_text(encoding="utf-8"))
    if name not in BUDGETS:
        raise CourseError(f"Unknown budget {name!r}: choose one of {', '.join(BUDGETS)}.")
    if notebook not in tables:
        raise CourseError(f"No notebook {notebook!r}: there are {', '.join(tables)}.")
    sizes = dict(tables[notebook][name])
    return Budget(notebook, name, float(sizes.pop("minutes")), sizes)


def _budget_for_hardware() -> str:
    from course_lib.runtime.device import choose_device

    return "gpu" if choose_device().type == "cuda" else "cpu"
