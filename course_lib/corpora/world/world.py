"""The world: a probability distribution over documents, written in readable English."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Annotated, Any, Literal

from pydantic import Field

from course_lib.corpora.world.facts import Census
from course_lib.corpora.world.grammar import Aspect, Choice, Template, zipf
from course_lib.corpora.world.kinds import Draft, Kind, Mixture, Script, Subject
from course_lib.corpora.world.lexicon import free_slots, read
from course_lib.corpora.world.skew import skewed
from course_lib.corpora.world.tone import TONE_WORDS, Tails, tails, toned_aspect
from course_lib.runtime import seed_of
from course_lib.runtime.checks import NotNegativeCount, Number, Text, Whole, checked

Register = Literal["general", "finance"]
Entities = Annotated[Whole, Field(ge=40, le=9000)]
ToneWords = Annotated[Whole, Field(ge=0, le=TONE_WORDS)]
Exponent = Annotated[Number, Field(ge=0, le=4)]


@checked
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
        entities: the number of people, 40 to 9000; there are a tenth as many towns, companies and
            inns.
        tone_words: how long the tail of tone is: so many words of praise and as many of blame, 0
            to 280, Zipf-distributed. With 0 there is none, and praise is so few words that a few
            labelled reviews hold them all. With a tail most of it is met only in unlabelled text,
            in reviews and in kinds of documents of its own (letters; in finance, comments), among
            words that it agrees with. The facts of the world are the same for every length.
        zipf: the exponent of every Zipf law in it, 0 to 4: how unequal subjects, sentences and
            words are. With 0 all are alike, and the entropy is highest. Which facts hold does not
            depend on it.

    Raises:
        BadArgumentError: an argument of another type, or outside its range.
    """

    def __init__(
        self,
        seed: Whole = 0,
        register: Register = "general",
        entities: Entities = 3000,
        tone_words: ToneWords = 0,
        zipf: Exponent = 1.0,
    ) -> None:
        self.seed, self.register, self.tone_words = seed, register, tone_words
        subjects = Census(seed_of("world", seed), entities).subjects()
        shares, tail = dict(read("registers")[register]), {}
        if tone_words:
            shares |= read("tone")["documents"][register]
            tail = tails(tone_words)
        kinds = [_list_kind(subjects) if n == "list" else _kind(n, subjects, tail) for n in shares]
        self.mixture = Mixture(Choice(kinds, list(shares.values())))
        if zipf != 1:
            self.mixture = skewed(self.mixture, zipf)

    @classmethod
    def tiny(cls, seed: int = 0, register: Register = "general", tone_words: int = 0) -> "World":
        """A world cut down until all its documents can be listed: some thousands of them."""
        from course_lib.corpora.world.tiny import shrink

        world = cls(seed, register, entities=40, tone_words=tone_words)
        world.mixture = shrink(world.mixture)
        return world

    @checked
    def documents(self, n: NotNegativeCount, seed: Whole = 0) -> list[str]:
        """Draw `n` documents; a longer draw with the same seed begins with the shorter one."""
        return [draft.text() for draft in self.drafts(n, seed)]

    @checked
    def drafts(self, n: NotNegativeCount, seed: Whole = 0) -> Iterator[Draft]:
        """The same documents together with how each was made."""
        random = Random(seed_of("world", self.seed, self.register, "documents", seed))
        return (self.mixture.draw(random) for _ in range(n))

    @checked
    def log_prob(self, document: Text) -> float:
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


def _kind(name: str, subjects: Mapping[str, list[Subject]], tail: Tails) -> Kind:
    """A kind of document from its templates in `data/world/NAME.toml`."""
    table = read(name)
    named = subjects[table["subjects"]]
    sides = ("bad", "good") if "closing" in table else ("",)
    scripts = [_script(table, side, tail) for side in sides]
    return Kind(
        name,
        Choice(named, zipf(len(named), shift=table.get("subject_shift", 5))),
        Choice(scripts, [1.0] * len(scripts)),
        Choice(table["lengths"]),
        shuffled=table.get("shuffled", False),
    )


def _script(table: Mapping[str, Any], tone: str, tail: Tails) -> Script:
    if tone:
        often = dict.fromkeys(("good", "bad"), 1 - table["agreement"])
        often[tone] = table["agreement"]
        body = tuple(toned_aspect(name, said, often, tail) for name, said in table["body"].items())
    else:
        body = tuple(_aspect(name, said) for name, said in table["body"].items())
    opening = _aspect("opening", table["opening"]) if "opening" in table else None
    closing = _aspect("closing", table["closing"][tone]) if tone else None
    return Script(tone, opening, body, closing)


def _aspect(name: str, texts: list[str]) -> Aspect:
    return Aspect(name, Choice([Template(text, free_slots()) for text in texts]))


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
