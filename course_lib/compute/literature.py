"""Published language models: parameters, training tokens, compute, as their sources state them.

`data/models.csv` writes a number with as many digits as its source does, so 1.75e11 is known to
half a unit of its last digit. An empty field is one that was not published.
"""

import csv
import re
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal

from course_lib.compute.flops import six_nd
from course_lib.runtime import data_path
from course_lib.runtime.checks import BadArgumentError, Positive, Text, checked

NUMBER = re.compile(r"\d+(\.\d+)?(e\d+)?")


@checked
@dataclass(frozen=True)
class Stated:
    """A number as its source states it, and half a unit of its last digit."""

    value: Positive
    half_step: Positive

    @classmethod
    @checked
    def parse(cls, text: Text) -> "Stated | None":
        """Read "1.75e11"; an empty text is None.

        Raises:
            BadArgumentError: not a number in this form.
        """
        if not text:
            return None
        if not NUMBER.fullmatch(text):
            raise BadArgumentError(f"text={text!r}: give a number such as 1.75e11.")
        digits, _, exponent = text.partition("e")
        places = len(digits.partition(".")[2])
        return cls(float(text), 10.0 ** (int(exponent or 0) - places) / 2)


@dataclass(frozen=True)
class PublishedModel:
    """One row of `data/models.csv`.

    Attributes:
        kind: decoder or encoder-decoder; all are dense, so each token meets all parameters of its
            stack.
        parameters: as stated.
        tokens: seen in training, repeated ones counted each time.
        flops: training compute that a source states, `flops_source`.
        accelerator: the name in `data/accelerators.csv`, and `device_hours` used of it.
        note: what is odd about the row.
    """

    name: str
    maker: str
    year: int
    kind: Literal["decoder", "encoder-decoder"]
    parameters: Stated
    tokens: Stated | None
    flops: Stated | None
    accelerator: str
    device_hours: Stated | None
    source: str
    flops_source: str
    hours_source: str
    note: str

    @property
    def six_nd(self) -> float | None:
        """6ND for a decoder; half of it for an encoder-decoder, whose tokens pass one stack each.

        None where tokens were not published.
        """
        if self.tokens is None:
            return None
        flops = six_nd(self.parameters.value, self.tokens.value)
        return flops / 2 if self.kind == "encoder-decoder" else flops


@cache
def published_models() -> MappingProxyType[str, PublishedModel]:
    """All models on record, by name."""
    with data_path("models.csv").open(encoding="utf-8", newline="") as file:
        return MappingProxyType({row["name"]: _parse(row) for row in csv.DictReader(file)})


def _parse(row: dict[str, str]) -> PublishedModel:
    numbers = ("parameters", "tokens", "flops", "device_hours")
    stated = {name: Stated.parse(row[name]) for name in numbers}
    return PublishedModel(**row | {"year": int(row["year"])} | stated)
