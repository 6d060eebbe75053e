"""What every real corpus goes through: no document twice."""

from typing import TypeVar

Row = TypeVar("Row", bound=dict[str, str])

OPENING = 200  # characters: documents that begin alike for so long are versions of one text


def unique(rows: list[Row]) -> list[Row]:
    """The rows without repetition, the first of each kept.

    Two texts are the same if they agree after white space is evened out, or in their first
    200 characters.
    """
    seen: set[str] = set()
    kept = []
    for row in rows:
        opening = " ".join(row["text"].split())[:OPENING]
        if opening and opening not in seen:
            seen.add(opening)
            kept.append(row)
    return kept
