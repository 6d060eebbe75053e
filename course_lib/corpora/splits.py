"""Which documents are for training, and which are held out."""

from typing import Literal, get_args

from course_lib.runtime import seed_of

Split = Literal["train", "validation", "test"]
SPLITS = get_args(Split)


def split_of(unit: str) -> Split:
    """The split of all documents of a unit (a country, a module), by a hash of its name."""
    share = seed_of("split", unit) % 100
    return "train" if share < 90 else "validation" if share < 95 else "test"
