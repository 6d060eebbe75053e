"""The unit in which large training runs are counted."""

from course_lib.runtime.checks import NotNegative, checked

PETA = 10**15
SECONDS_PER_DAY = 24 * 60 * 60
# Amodei and Hernandez 2018, AI and Compute: 10^15 operations a second for one day.
PETAFLOPS_DAY = PETA * SECONDS_PER_DAY


@checked
def to_petaflops_days(flops: NotNegative) -> float:
    """Floating point operations as petaFLOP/s-days.

    Raises:
        BadArgumentError: a number of operations that is negative or not finite.
    """
    return flops / PETAFLOPS_DAY


@checked
def from_petaflops_days(days: NotNegative) -> float:
    """Petaflop/s-days as floating point operations.

    Raises:
        BadArgumentError: a number of days that is negative or not finite.
    """
    return days * PETAFLOPS_DAY
