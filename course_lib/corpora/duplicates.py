"""Texts that stand in a corpus more than once: word for word, or nearly.

A text that comes back takes training from others, is learnt by heart, and, where its copy is held
out, makes a model look better than it is (Lee et al. 2022, arXiv:2107.06499).
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from course_lib.runtime.checks import Count, Share, SomeTexts, Whole, checked
from course_lib.runtime.errors import CourseError

Groups = list[list[int]]
Permutations = Annotated[Whole, Field(ge=16)]


@checked
def exact_duplicates(texts: SomeTexts) -> Groups:
    """Groups of places whose texts are the same but for white space, the first place in front.

    Only groups of two or more, in order. The texts are compared by a hash of 256 bits.

    Raises:
        BadArgumentError: no texts.
    """
    places: dict[bytes, list[int]] = {}
    for place, text in enumerate(texts):
        key = hashlib.sha256(" ".join(text.split()).encode()).digest()
        places.setdefault(key, []).append(place)
    return [group for group in places.values() if len(group) > 1]


@checked
def near_duplicates(
    texts: SomeTexts, threshold: Share = 0.7, n: Count = 3, permutations: Permutations = 128
) -> Groups:
    """Groups of places whose texts share most of their word n-grams, the first place in front.

    Two texts are near duplicates if the Jaccard similarity of their sets of n-grams is at least
    `threshold`. MinHash (Broder 1997) estimates it, `permutations` numbers a text, to within about
    0.09 at 128; locality-sensitive hashing (Leskovec, Rajaraman and Ullman 2014, section 3.4)
    brings only those pairs together that are likely to pass, so the work grows with the texts and
    not with their pairs. Both are the `datasketch` library's. A pair near the threshold may be
    missed, or kept. Duplicates of duplicates are in one group. Same texts, same groups.

    Raises:
        BadArgumentError: no texts, a threshold outside (0, 1), too few permutations.
        CourseError: `datasketch` is not installed.
    """
    try:
        from datasketch import MinHash, MinHashLSH
    except ModuleNotFoundError as error:
        raise CourseError(
            "Near duplicates need a package that is not here: `pip install datasketch`."
        ) from error
    grams = [[gram.encode() for gram in sorted(shingles(text, n))] for text in texts]
    sketches = MinHash.bulk(grams, num_perm=permutations, seed=1)
    index = MinHashLSH(threshold=threshold, num_perm=permutations)
    leader = list(range(len(texts)))
    for place, sketch in enumerate(sketches):
        for other in sorted(index.query(sketch)):
            if sketch.jaccard(sketches[other]) >= threshold:
                _join(leader, other, place)
        index.insert(place, sketch)
    groups: dict[int, list[int]] = {}
    for place in range(len(texts)):
        groups.setdefault(_leader(leader, place), []).append(place)
    return [group for group in groups.values() if len(group) > 1]


@checked
def shingles(text: str, n: Count = 3) -> set[str]:
    """The word n-grams of a text, in small letters; of a text of fewer words, all of it as one."""
    words = text.lower().split()
    return {" ".join(words[at : at + n]) for at in range(max(1, len(words) - n + 1))}


@checked
def without_repeats(count: Whole, groups: Sequence[Sequence[int]]) -> list[int]:
    """The places from 0 to `count - 1` that are left if of each group only the first is kept."""
    dropped = {place for group in groups for place in group[1:]}
    return [place for place in range(count) if place not in dropped]


def _leader(leader: list[int], place: int) -> int:
    while leader[place] != place:
        leader[place] = leader[leader[place]]
        place = leader[place]
    return place


def _join(leader: list[int], one: int, other: int) -> None:
    first, second = sorted((_leader(leader, one), _leader(leader, other)))
    leader[second] = first
