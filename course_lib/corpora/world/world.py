"""The world: a probability distribution over documents, written in readable English."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Literal

from course_lib.corpora.world.facts import Census
from course_lib.corpora.world.grammar import Aspect, Choice, Template, zipf
from course_lib.corpora.world.kinds import Draft, Kind, Mixture, Script, Subject
from course_lib.corpora.world.lexicon import free_slots, read
from course_lib.runtime import seed_of

Register = Literal["general", "finance"]


class World:
    """A generated almanac of people, towns, animals and companies.

    It is a distribution over strings that we know completely: each document has a probability,
    and the entropy of the distribution, the loss that no model can beat, is a number and not an
    estimate. Some things are heard often and some hardly ever (subjects are Zipf-distributed), so
    a model keeps finding something to learn.

    Args:
        seed: the facts of this world: who works where, which town lies on which river.
        register: "general" (an almanac) or "finance" (company news and earnings reports). Both
            registers of one seed speak of the same companies, people and towns.
        entities: the number of people; there are a tenth as many towns, companies and inns.

    Raises:
        ValueError: unknown register, or a number of entities outside 40 to 9000.
    """

    def __init__(self, seed: int = 0, register: Register = "general", entities: int = 3000) -> None:
        registers = read("registers")
        if register not in registers:
            raise ValueError(f"register is {register!r}: choose one of {', '.join(registers)}")
        if not 40 <= entities <= 9000:
            raise ValueError(f"entities is {entities}: choose 40 to 9000")
        self.seed, self.register = seed, register
        subjects = Census(seed_of("world", seed), entities).subjects()
        shares = registers[register]
        kinds = [_list_kind(subjects) if n == "list" else _kind(n, subjects) for n in shares]
        self.mixture = Mixture(Choice(kinds, list(shares.values())))

    @classmethod
    def tiny(cls, seed: int = 0, register: Register = "general") -> "World":
        """A world cut down until all its documents can be listed (about a hundred thousand)."""
        from course_lib.corpora.world.tiny import shrink

        world = cls(seed, register, entities=40)
        world.mixture = shrink(world.mixture)
        return world

    def documents(self, n: int, seed: int = 0) -> list[str]:
        """Draw `n` documents; a longer draw with the same seed begins with the shorter one."""
        return [draft.text() for draft in self.drafts(n, seed)]

    def drafts(self, n: int, seed: int = 0) -> Iterator[Draft]:
        """The same documents together with how each was made."""
        random = Random(seed_of("world", self.seed, self.register, "documents", seed))
        return (self.mixture.draw(random) for _ in range(n))

    def log_prob(self, document: str) -> float:
        """Log-probability of a text in nats; `-inf` for a text that this world never writes."""
        return self.mixture.log_prob(document)

    def entropy(self) -> float:
        """Entropy of one document in nats, in closed form."""
        return self.mixture.entropy()

    def check(self) -> None:
        """Test the conditions on which `entropy` rests.

        Raises:
            ValueError: naming the sentence that could come from two derivations.
        """
        self.mixture.check()


def _kind(name: str, subjects: Mapping[str, list[Subject]]) -> Kind:
    """A kind of document from its templates in `data/world/NAME.toml`."""
    table = read(name)
    named = subjects[table["subjects"]]
    tones = ("bad", "good") if "closing" in table else ("",)
    scripts = [_script(table, tone) for tone in tones]
    return Kind(
        name,
        Choice(named, zipf(len(named), shift=table.get("subject_shift", 5))),
        Choice(scripts, [1.0] * len(scripts)),
        Choice(table["lengths"]),
        shuffled=table.get("shuffled", False),
    )


def _script(table: Mapping[str, Any], tone: str) -> Script:
    agreement = table.get("agreement", 1.0)
    body = tuple(_body_aspect(name, said, tone, agreement) for name, said in table["body"].items())
    opening = _aspect("opening", table["opening"]) if "opening" in table else None
    closing = _aspect("closing", table["closing"][tone]) if tone else None
    return Script(tone, opening, body, closing)


def _body_aspect(name: str, said: Any, tone: str, agreement: float) -> Aspect:
    """An aspect of the body; with tones, its sentences agree with the tone `agreement` often."""
    if not tone:
        return _aspect(name, said)
    texts, weights = [], []
    for side, lines in said.items():
        share = agreement if side == tone else 1 - agreement
        texts += lines
        weights += [share * p for p in zipf(len(lines))]
    return _aspect(name, texts, weights)


def _aspect(name: str, texts: list[str], weights: list[float] | None = None) -> Aspect:
    return Aspect(name, Choice([Template(text, free_slots()) for text in texts], weights))


def _list_kind(subjects: Mapping[str, list[Subject]]) -> Kind:
    """Lists such as "cat: mat. dog: rug.": one relation of animals, which is never named."""
    animals = [subject.name for subject in subjects["animals"]]
    body = tuple(_aspect(name, [f"{name}: {{{name}}}."]) for name in animals)
    relations = subjects["relations"]
    return Kind(
        "list",
        Choice(relations, [1.0] * len(relations)),
        Choice([Script("", None, body, None)]),
        Choice([4, 5, 6, 3, 7, 8]),
        shuffled=True,
    )
