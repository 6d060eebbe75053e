"""The runs behind the Chinchilla paper, read off its figure 4, and the laws that were fitted to it.

The points were taken from the published figure by Besiroglu et al. 2024 (arXiv:2404.10102). They
are not part of the course: they are fetched when asked for, checked against a digest, and kept in
the cache. What was published about them stands in `data/chinchilla.toml`.
"""

import csv
import hashlib
import os
import tomllib
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from course_lib.evaluation import Interval
from course_lib.runtime import CourseError, cache_path, data_path
from course_lib.runtime.checks import BadArgumentError, NotNegativeCount, checked
from course_lib.scaling.law import FLOP_PER_PARAMETER_AND_TOKEN, Law
from course_lib.scaling.simulation import Runs

NAME = "chinchilla_figure4_points.csv"
URL = (
    "https://raw.githubusercontent.com/epoch-research/analyzing-chinchilla/"
    "92258837425e1b5f2851d624287f0120583a3d0e/data/svg_extracted_data.csv"
)
DIGEST = "193478df4e90f040016431996c45682659306840ecdadf83cfb9cd5ca0aa1b30"  # SHA-256
SECONDS = 20  # to wait for an answer


@checked
def load_chinchilla_points(drop_worst: NotNegativeCount = 5) -> Runs:
    """The runs in figure 4 of Hoffmann et al. 2022: 245, of which the replication fits 240.

    Without the `drop_worst` runs of highest loss, as in the replication. Tokens are the training
    FLOP over 6 N. Looked for in the folder that `COURSE_DATA_DIR` names, then in the cache, then
    fetched.

    Raises:
        BadArgumentError: a negative number to drop, or no run left.
        CourseError: the points are nowhere and cannot be fetched, or are not the published ones.
    """
    rows = list(csv.DictReader(_points().decode().splitlines()))
    params, flop, loss = (
        np.array([float(row[name]) for row in rows])
        for name in ("Model Size", "Training FLOP", "loss")
    )
    if drop_worst >= len(loss):
        raise BadArgumentError(f"drop_worst={drop_worst}: there are {len(loss)} runs, leave some.")
    kept = np.sort(np.argsort(loss, kind="stable")[: len(loss) - drop_worst])
    tokens = flop / (FLOP_PER_PARAMETER_AND_TOKEN * params)
    return Runs(params[kept], tokens[kept], loss[kept])


def _points() -> bytes:
    folder = os.environ.get("COURSE_DATA_DIR")
    if folder and (file := Path(folder) / NAME).is_file():
        return _as_published(file.read_bytes(), str(file))
    cache = cache_path("chinchilla", NAME)
    if cache.is_file() and _is_published(content := cache.read_bytes()):
        return content
    content = _as_published(_fetch(), URL)
    draft = cache.with_suffix(f".{os.getpid()}")
    draft.write_bytes(content)
    os.replace(draft, cache)
    return content


def _fetch() -> bytes:
    try:
        with urllib.request.urlopen(URL, timeout=SECONDS) as answer:
            return answer.read()
    except OSError as error:  # URLError and time-outs among them
        raise CourseError(
            f"The Chinchilla points cannot be fetched ({getattr(error, 'reason', error)}): connect "
            f"to the network, or put {NAME} into a folder and set COURSE_DATA_DIR to it."
        ) from error


def _is_published(content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == DIGEST


def _as_published(content: bytes, place: str) -> bytes:
    if not _is_published(content):
        raise CourseError(
            f"{place} does not hold the published points (its SHA-256 differs): remove or replace "
            "it, and try again."
        )
    return content


@dataclass(frozen=True, eq=False)
class PublishedLaw(Law):
    """A law as published: its five numbers, 95 % intervals where there are any, and its source."""

    intervals: MappingProxyType[str, Interval]
    source: str


def published_laws() -> dict[str, PublishedLaw]:
    """The laws in `data/chinchilla.toml` by name: Hoffmann et al. 2022 and its replication."""
    tables = tomllib.loads(data_path("chinchilla.toml").read_text(encoding="utf-8"))["law"]
    return {name: _published(table) for name, table in tables.items()}


def _published(table: dict) -> PublishedLaw:
    numbers = {name: table[name] for name in ("A", "B", "E", "alpha", "beta")}
    intervals = {
        name: Interval(numbers[name], low, high, table["runs"])
        for name, (low, high) in table.get("intervals", {}).items()
    }
    return PublishedLaw(**numbers, intervals=MappingProxyType(intervals), source=table["source"])
