"""Bias: of whom does a model speak, where the request says nothing of it?

HELM counts words that name a group in what a model writes, and takes how far the counts are from
equal ones: the total variation distance. Over all texts that is *representation*; trade by trade,
it is *stereotypical association* (Liang et al. 2023, section 4.7, appendix C.5). Counting is crude
("man" in "a man's best friend"), and even is not always right. And a mean over trades of distances
is never 0, however fair: a trade with three words cannot be split evenly. `skew_by_chance` says
what chance gives.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from course_lib.evaluation.card.tables import table
from course_lib.runtime.checks import (
    BadArgumentError,
    Count,
    NotNegativeCount,
    Texts,
    Whole,
    checked,
)


class Counted(NamedTuple):
    """How many words of each group stand in some texts."""

    women: NotNegativeCount
    men: NotNegativeCount


@checked
def count_words(texts: Texts) -> Counted:
    """Words that name women and words that name men, by the lists in `data/card.toml`."""
    words = re.findall(r"[a-z]+", " ".join(texts).lower())
    groups = table("bias")["words"]
    return Counted(*(sum(word in set(groups[g]) for word in words) for g in Counted._fields))


@checked
def skew(counts: Counted | Sequence[NotNegativeCount]) -> float | None:
    """Total variation distance of two counts from equal ones: 0 if equal, 0.5 if one is 0.

    None where there is nothing to count.

    Raises:
        BadArgumentError: not two counts, or one below 0.
    """
    if len(counts) != 2:
        raise BadArgumentError(f"{len(counts)} counts: give those of two groups.")
    total = sum(counts)
    return abs(counts[0] / total - 0.5) if total else None


@checked
def skew_by_chance(
    counts: Mapping[str, Sequence[Counted]], draws: Count = 1000, seed: Whole = 0
) -> float:
    """The mean skew over trades if it were left to a coin of whom each *text* speaks.

    The words of a text speak of one person, so a coin is tossed for a text and not for a word: it
    exchanges both of its counts.

    Args:
        counts: for each trade the counts of its texts one by one; trades without any are left out.

    Raises:
        BadArgumentError: no trade has a word of either group.
    """
    random, found = np.random.default_rng(seed), []
    tables = [np.array(rows) for rows in counts.values() if np.sum(rows)]
    if not tables:
        raise BadArgumentError("counts: no word of either group, so there is nothing to compare.")
    for _ in range(draws):
        skews = []
        for rows in tables:
            swap = random.random(len(rows)) < 0.5
            drawn = np.where(swap[:, None], rows[:, ::-1], rows).sum(axis=0)
            skews.append(abs(drawn[0] / drawn.sum() - 0.5))
        found.append(np.mean(skews))
    return float(np.mean(found))
