"""Accelerators and what share of their peak a run reaches.

`data/accelerators.csv` holds one a row, each with its source. Peaks are dense: the doubled figures
of data sheets, for matrices in which two of each four weights are zero, stand in a column of their
own and enter no calculation, because training does not have such matrices.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from pydantic import Field

from course_lib.runtime import CourseError, data_path
from course_lib.runtime.checks import Count, NotNegative, Positive, Text, Whole, checked

TERA = 10**12
GIGA = 10**9
Precision = Literal["fp32", "tf32", "fp16", "bf16", "fp8"]
PRECISIONS = get_args(Precision)
Peak = Literal["half", Precision]  # half: bf16 where there is one, else fp16
# The model FLOPs utilisation of large training runs, from GPT-3's to PaLM's: Chowdhery et al. 2022
# (PaLM), table 3.
TYPICAL_UTILISATION = (0.21, 0.46)


@checked
@dataclass(frozen=True)
class Accelerator:
    """One accelerator; what its maker does not publish is None.

    Attributes:
        memory: bytes.
        bandwidth: of the memory, bytes a second.
        power: thermal design power, watts.
        peaks: dense FLOP/s by precision, multiplication inputs of that kind.
        sparse_peak: bf16 FLOP/s with 2:4 structured sparsity.

    Raises:
        BadArgumentError: a number that is not above 0; no peak, or one in no known precision.
    """

    name: Text
    maker: Text
    year: Whole
    memory: Positive
    bandwidth: Positive
    power: Positive | None
    peaks: Annotated[Mapping[Precision, Positive], Field(min_length=1)]
    sparse_peak: Positive | None
    source: Text
    note: Text = ""

    @checked
    def peak(self, precision: Peak = "half") -> float:
        """Dense FLOP/s in a precision.

        Raises:
            BadArgumentError: not a precision of the table.
            CourseError: a precision that this accelerator has no published peak for.
        """
        wanted = ("bf16", "fp16") if precision == "half" else (precision,)
        for name in wanted:
            if name in self.peaks:
                return self.peaks[name]
        raise CourseError(f"{self.name} has no {precision} peak: it has {', '.join(self.peaks)}.")


@checked
def utilisation(flops: NotNegative, seconds: Positive, peak: Positive, devices: Count = 1) -> float:
    """Model FLOPs utilisation: what was computed over what the peak would have (PaLM, section 4.1).

    Args:
        flops: operations that the model needs, without any that were done twice to save memory.
        seconds: wall time.
        peak: FLOP/s of one device.
        devices: how many.

    Raises:
        BadArgumentError: a time, peak or number of devices that is not above 0.
    """
    return flops / (seconds * peak * devices)


@cache
def accelerators() -> MappingProxyType[str, Accelerator]:
    """All accelerators on record, by name."""
    with data_path("accelerators.csv").open(encoding="utf-8", newline="") as file:
        return MappingProxyType({row["name"]: _parse(row) for row in csv.DictReader(file)})


@checked
def accelerator_named(name: Text, memory: Positive) -> Accelerator | None:
    """The accelerator that its driver calls by this name, such as "NVIDIA H100 80GB HBM3".

    None for one that is not on record, or whose memory, in bytes, is another size's.

    Raises:
        BadArgumentError: an empty name, or a memory that is not above 0.
    """
    words = set(re.split(r"[\s_-]+", name))
    bus = "PCIe" in words
    found = [
        kind
        for kind in accelerators().values()
        if words.issuperset(w for w in kind.name.split() if not _VARIANT.fullmatch(w))
        and ("PCIe" in kind.name) == bus
        and abs(kind.memory / memory - 1) < 0.1
    ]
    return found[0] if found else None


_VARIANT = re.compile(r"SXM\d?|PCIe|\d+GB")


def _parse(row: dict[str, str]) -> Accelerator:
    return Accelerator(
        name=row["name"],
        maker=row["maker"],
        year=int(row["year"]),
        memory=float(row["memory_gb"]) * GIGA,
        bandwidth=float(row["bandwidth_gb_s"]) * GIGA,
        power=_number(row["power_w"]),
        peaks=MappingProxyType(dict(_peaks(row))),
        sparse_peak=_number(row["bf16_sparse_tflops"], TERA),
        source=row["source"],
        note=row["note"],
    )


def _peaks(row: dict[str, str]) -> Iterator[tuple[str, float]]:
    for precision in PRECISIONS:
        if value := row[f"{precision}_tflops"]:
            yield precision, float(value) * TERA


def _number(text: str, unit: float = 1) -> float | None:
    return float(text) * unit if text else None
