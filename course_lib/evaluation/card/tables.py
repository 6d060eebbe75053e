"""`data/card.toml`: the words, names and sentences that the card asks with."""

import tomllib
from functools import cache
from typing import Any

from course_lib.runtime import data_path


@cache
def table(name: str) -> dict[str, Any]:
    """One table of the file."""
    return tomllib.loads(data_path("card.toml").read_text(encoding="utf-8"))[name]
