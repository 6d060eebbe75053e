"""The unit in which large training runs are counted."""

import math

PETA = 10**15
SECONDS_PER_DAY = 24 * 60 * 60
# Amodei and Hernandez 2018, AI and Compute: 10^15 operations a second for one day.
PETAFLOPS_DAY = PETA * SECONDS_PER_DAY


def to_petaflops_days(flops: float) -> float:
    """Floating point operations as petaFLOP/s-days.

    Raises:
        ValueError: a negative or infinite number of operations.
    """
    return require_amount("flops", flops) / PETAFLOPS_DAY


def from_petaflops_days(days: float) -> float:
    """Petaflop/s-days as floating point operations.

    Raises:
        ValueError: a negative or infinite number of days.
    """
    return require_amount("days", days) * PETAFLOPS_DAY


def require_amount(name: str, value: float) -> float:
    """The value, if it is a finite number of 0 or more; a ValueError that names it otherwise."""
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name}={value!r}: give a finite number of 0 or more.")
    return value
