"""The committed word lists and sentence templates, and drawing from them."""

import tomllib
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any

from course_lib.corpora.world.grammar import Choice
from course_lib.runtime import data_path


@cache
def read(name: str) -> dict[str, Any]:
    """The table in `data/world/NAME.toml`."""
    return tomllib.loads(data_path("world", f"{name}.toml").read_text(encoding="utf-8"))


@cache
def free_slots() -> dict[str, Choice]:
    """Slots that are drawn anew in every sentence, some also with a capital letter."""
    words = read("words")["free"]
    slots = {name: Choice(values) for name, values in words.items()}
    for name in ("daytime", "visitor"):
        slots[f"{name}_first"] = Choice([capital(value) for value in words[name]])
    return slots


def shuffled(items: Sequence[Any], random: Random) -> list[Any]:
    """The items in random order."""
    # Not `random.shuffle`: only `random.random()` is promised to stay the same between versions.
    return [items[at] for _, at in sorted((random.random(), at) for at in range(len(items)))]


def listing(items: Sequence[str]) -> str:
    """`["nuts", "plums", "bread"]` as "nuts, plums and bread"."""
    return ", ".join(items[:-1]) + " and " + items[-1]


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def with_article(noun: str) -> str:
    """The noun after "a" or "an"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
