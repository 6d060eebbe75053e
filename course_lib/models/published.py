"""The sizes the seven families were published in, and how many parameters they really have.

Counting needs the shapes of the weights only, so the models are made on torch's meta device, where
a tensor has a shape and no memory: 175 billion parameters are counted in a second on a laptop.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd
import torch
import transformers
from torch import nn

from course_lib.models.families import FAMILIES, require_family
from course_lib.runtime.checks import Text, checked
from course_lib.runtime.paths import data_path

_UNITS = {"M": 10**6, "B": 10**9}


@dataclass(frozen=True)
class PublishedSize:
    """One published size of a family: a row of `data/published_sizes.toml`.

    `stated` is the parameter count as its source writes it ("110M"), `config` the settings of the
    family's configuration class, and `note` says what is odd about the row, if anything is.
    """

    family: str
    name: str
    config: dict[str, Any]
    stated: str
    source: str
    model: str
    note: str = ""

    @property
    def published(self) -> int:
        """The stated count as a number of parameters."""
        digits, unit = self._parts
        return round(float(digits) * unit)

    @property
    def half_step(self) -> float:
        """What a count may be off by and still round to the stated one: 5M for "110M"."""
        digits, unit = self._parts
        places = len(digits.partition(".")[2])
        zeros = 0 if places else len(digits) - len(digits.rstrip("0"))
        return 10.0 ** (zeros - places) * unit / 2

    @property
    def _parts(self) -> tuple[str, int]:
        digits = self.stated.replace(",", "")
        return (digits[:-1], _UNITS[digits[-1]]) if digits[-1] in _UNITS else (digits, 1)


@checked
def published_sizes(family: Text | None = None) -> list[PublishedSize]:
    """The published sizes of a family, or of all seven, smallest first within each.

    Raises:
        BadArgumentError: an unknown family.
    """
    if family is not None:
        require_family(family)
    rows = tomllib.loads(data_path("published_sizes.toml").read_text(encoding="utf-8"))["size"]
    return [_read(row) for row in rows if family in (None, row["family"])]


@checked
def count_parameters(size: PublishedSize | nn.Module) -> int:
    """The number of parameters of a published size or of a model, tied weights counted once."""
    if isinstance(size, nn.Module):
        return sum(parameter.numel() for parameter in size.parameters())
    return _count(size.family, size.model, tuple(size.config.items()))


@checked
def size_table(*families: Text) -> pd.DataFrame:
    """Published sizes, of all families or some, with our count beside the stated one.

    The difference is in percent.

    Raises:
        BadArgumentError: an unknown family.
    """
    for family in families:
        require_family(family)
    rows = []
    for size in published_sizes():
        if families and size.family not in families:
            continue
        counted = count_parameters(size)
        rows.append(
            {
                "family": size.family,
                "name": size.name,
                "published": size.published,
                "counted": counted,
                "difference %": 100 * (counted / size.published - 1),
                "source": size.source,
                "note": size.note,
            }
        )
    return pd.DataFrame(rows)


def _read(row: dict[str, Any]) -> PublishedSize:
    return PublishedSize(
        family=row["family"],
        name=row["name"],
        config=row["config"],
        stated=row["published"],
        source=row["source"],
        model=row.get("model", FAMILIES[row["family"]].model),
        note=row.get("note", ""),
    )


@cache
def _count(family: str, model: str, config: tuple[tuple[str, Any], ...]) -> int:
    with torch.device("meta"):
        return count_parameters(
            getattr(transformers, model)(FAMILIES[family].config_class(**dict(config)))
        )
