"""From operations to days, energy and money, with the uncertainty that a plan has: utilisation."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from course_lib.compute.hardware import TYPICAL_UTILISATION, Accelerator, Peak
from course_lib.compute.units import SECONDS_PER_DAY
from course_lib.runtime.checks import (
    BadArgumentError,
    Count,
    NotNegative,
    Number,
    Probability,
    checked,
)

HOURS_PER_DAY = 24

# The lowest and the highest share of the peak; some of it is always reached.
Utilisation = tuple[Annotated[Probability, Field(gt=0)], Annotated[Probability, Field(gt=0)]]


@checked
@dataclass(frozen=True)
class Range:
    """From the lowest to the highest of what is to be expected; not a confidence interval.

    Raises:
        BadArgumentError: an end that is negative or not finite, or a low one above the high one.
    """

    low: NotNegative
    high: NotNegative

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise BadArgumentError(f"low={self.low}: give at most high={self.high}.")

    @checked
    def __mul__(self, factor: NotNegative) -> "Range":
        return Range(self.low * factor, self.high * factor)

    def __str__(self) -> str:
        low, high = _digits(self.low), _digits(self.high)
        return low if low == high else f"{low} to {high}"


@dataclass(frozen=True)
class Bill:
    """What a training run takes.

    Attributes:
        days: wall time.
        device_hours: days times devices times 24.
        energy: kilowatt-hours, if every device draws its full power; None where that is not known.
        price: in the currency of the price that was given; None without one.
    """

    days: Range
    device_hours: Range
    energy: Range | None
    price: Range | None


@checked
def training_bill(
    flops: NotNegative,
    accelerator: Accelerator,
    devices: Count,
    *,
    utilisation: Utilisation = TYPICAL_UTILISATION,
    precision: Peak = "half",
    hour_price: NotNegative | None = None,
    overhead: Annotated[Number, Field(ge=1)] = 1.1,
) -> Bill:
    """Days, energy and price of a training run.

    Args:
        flops: operations of the run.
        accelerator: what computes.
        devices: how many of them.
        utilisation: lowest and highest share of the peak that is reached; by default the range of
            published large runs (Chowdhery et al. 2022, table 3).
        precision: of the peak.
        hour_price: of one device for an hour, in any currency.
        overhead: energy that the building uses over what the devices do (power usage
            effectiveness); 1.1 is that of Touvron et al. 2023 (LLaMA), section 6.

    Raises:
        BadArgumentError: an argument out of its range.
        CourseError: the accelerator has no peak in that precision.
    """
    low, high = _ordered(utilisation)
    at_peak = flops / (accelerator.peak(precision) * devices)
    days = Range(at_peak / high / SECONDS_PER_DAY, at_peak / low / SECONDS_PER_DAY)
    hours = days * (HOURS_PER_DAY * devices)
    energy = hours * (accelerator.power / 1000 * overhead) if accelerator.power else None
    price = None if hour_price is None else hours * hour_price
    return Bill(days, hours, energy, price)


@checked
def affordable_flops(
    accelerator: Accelerator,
    *,
    device_hours: NotNegative,
    utilisation: Utilisation = TYPICAL_UTILISATION,
    precision: Peak = "half",
) -> Range:
    """The way back: operations that so many hours of a device buy, at low and high utilisation.

    Raises:
        BadArgumentError: an argument out of its range.
        CourseError: the accelerator has no peak in that precision.
    """
    low, high = _ordered(utilisation)
    at_peak = device_hours * 3600 * accelerator.peak(precision)
    return Range(at_peak * low, at_peak * high)


def _digits(value: float) -> str:
    """Three significant digits, written out."""
    return f"{float(f'{value:.3g}'):,.12g}"


def _ordered(utilisation: tuple[float, float]) -> tuple[float, float]:
    low, high = utilisation
    if low > high:
        raise BadArgumentError(f"utilisation={utilisation}: give the lower share first.")
    return low, high
