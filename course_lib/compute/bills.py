"""From operations to days, energy and money, with the uncertainty that a plan has: utilisation."""

from dataclasses import dataclass

from course_lib.compute.hardware import TYPICAL_UTILISATION, Accelerator
from course_lib.compute.units import SECONDS_PER_DAY, require_amount

HOURS_PER_DAY = 24


@dataclass(frozen=True)
class Range:
    """From the lowest to the highest of what is to be expected; not a confidence interval."""

    low: float
    high: float

    def __mul__(self, factor: float) -> "Range":
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


def training_bill(
    flops: float,
    accelerator: Accelerator,
    devices: int,
    *,
    utilisation: tuple[float, float] = TYPICAL_UTILISATION,
    precision: str = "half",
    hour_price: float | None = None,
    overhead: float = 1.1,
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
        ValueError: an argument out of its range.
        CourseError: the accelerator has no peak in that precision.
    """
    low, high = _check(utilisation)
    if devices < 1:
        raise ValueError(f"devices={devices!r}: give a whole number of 1 or more.")
    if overhead < 1:
        raise ValueError(f"overhead={overhead}: give 1 (no overhead) or more.")
    at_peak = require_amount("flops", flops) / (accelerator.peak(precision) * devices)
    days = Range(at_peak / high / SECONDS_PER_DAY, at_peak / low / SECONDS_PER_DAY)
    hours = days * (HOURS_PER_DAY * devices)
    energy = hours * (accelerator.power / 1000 * overhead) if accelerator.power else None
    price = None if hour_price is None else hours * require_amount("hour_price", hour_price)
    return Bill(days, hours, energy, price)


def affordable_flops(
    accelerator: Accelerator,
    *,
    device_hours: float,
    utilisation: tuple[float, float] = TYPICAL_UTILISATION,
    precision: str = "half",
) -> Range:
    """The way back: operations that so many hours of a device buy, at low and high utilisation.

    Raises:
        ValueError: an argument out of its range.
        CourseError: the accelerator has no peak in that precision.
    """
    low, high = _check(utilisation)
    at_peak = require_amount("device_hours", device_hours) * 3600 * accelerator.peak(precision)
    return Range(at_peak * low, at_peak * high)


def _digits(value: float) -> str:
    """Three significant digits, written out."""
    return f"{float(f'{value:.3g}'):,.12g}"


def _check(utilisation: tuple[float, float]) -> tuple[float, float]:
    low, high = utilisation
    if not 0 < low <= high <= 1:
        raise ValueError(f"utilisation={utilisation}: give (low, high) in (0, 1].")
    return low, high
