"""The long tail of tone: words of praise and blame, drawn by Zipf's law.

What a few labelled texts teach of a language's words of tone is the common ones. The others a
model can learn only from unlabelled text, by the company they keep (Turney and Littman 2003,
"Measuring praise and criticism"). The words, and why the tail has the shape that it has, stand in
`data/world/tone.toml`.
"""

from collections.abc import Mapping

from course_lib.corpora.world.grammar import Aspect, Choice, Tail, Template, zipf
from course_lib.corpora.world.lexicon import free_slots, read

TONE_WORDS = 280  # of praise, and as many of blame, in data/world/tone.toml
_SLOTS = {"good": "praise", "bad": "blame"}

Tails = Mapping[str, Tail]


def tails(count: int) -> Tails:
    """The slots "praise" and "blame", each a choice among its `count` most common words."""
    table = read("tone")
    weights = zipf(count, shift=table["shift"])
    return {
        slot: Tail(f"{{{slot}}}", table["words"][slot].split()[:count], weights)
        for slot in _SLOTS.values()
    }


def toned_aspect(
    name: str, said: Mapping[str, list[str]], agreement: Mapping[str, float], tails: Tails
) -> Aspect:
    """An aspect whose sentences take sides, each side as often as `agreement` says.

    Args:
        said: the sentences of each side, "good" and "bad", and those for either, "toned".
        agreement: the share of each side.
        tails: as `tails` makes them; if there are none, the "toned" sentences are left out.
    """
    templates, weights = [], []
    for side, share in agreement.items():
        lines, toned = said.get(side, []), said["toned"] if tails else []
        part = (read("tone")["share"] if lines else 1.0) if toned else 0.0
        for texts, much in ((lines, 1 - part), (toned, part)):
            texts = [text.replace("{tone}", f"{{{_SLOTS[side]}}}") for text in texts]
            templates += [Template(text, free_slots() | tails) for text in texts]
            weights += [share * much * p for p in zipf(len(texts))]
    return Aspect(name, Choice(templates, weights))
