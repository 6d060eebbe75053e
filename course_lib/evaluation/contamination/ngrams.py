"""Which items of a test share a run of n words with a document: what GPT-3's authors searched for.

They took n = 13 where they filtered the training text, and between 8 and 13 where they counted the
items it had in common with a test; one run is enough (Brown et al. 2020, appendix C). It finds
copies. It does not find a paraphrase or a translation, and it says nothing of items under n words,
which are told apart here.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from course_lib.evaluation.contamination.reading import (
    Documents,
    cut,
    read_through,
    spans_of,
    words_of,
)
from course_lib.evaluation.intervals import Interval, exact_interval
from course_lib.runtime.checks import Count, Share, SomeTexts, checked

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Match:
    """A run of words that an item shares with documents, and that does not go on in any of these.

    Attributes:
        words: how many words it has.
        documents: how many documents it stands in.
        where: the numbers of the first of them, from 0 in the order of the corpus.
        item_text: the run as the item writes it.
        document_text: the run as the first document writes it.
    """

    words: int
    documents: int
    where: tuple[int, ...]
    item_text: str
    document_text: str


@dataclass(frozen=True)
class ItemOverlap:
    """What the corpus holds of one item.

    Attributes:
        number: the item's place in the list of items, from 0.
        documents: how many documents share n words in a row with it.
        rarest: of the n-grams it shares, how many documents hold the rarest; 0 if it shares none.
            High where what is shared is common: a phrase, a form, a template.
        matches: what is shared, the longest runs first; without those that are too common to count.
    """

    number: int
    text: str
    words: int
    documents: int
    rarest: int
    matches: tuple[Match, ...]


@dataclass(frozen=True)
class OverlapReport:
    """Every item, and what the corpus holds of it.

    Attributes:
        n: how many words in a row make an overlap.
        common: n-grams in more documents than this do not count; None where all do.
        documents: how many documents were read.
    """

    n: int
    common: int | None
    documents: int
    items: tuple[ItemOverlap, ...]

    @property
    def short(self) -> list[ItemOverlap]:
        """Items of fewer than n words, which cannot overlap: neither flagged nor clean."""
        return [item for item in self.items if item.words < self.n]

    @property
    def flagged(self) -> list[ItemOverlap]:
        """Items that share n words in a row with a document."""
        return [item for item in self.items if self._counts(item)]

    @property
    def clean(self) -> list[ItemOverlap]:
        """Items of at least n words that share no n of them in a row."""
        return [i for i in self.items if i.words >= self.n and not self._counts(i)]

    @checked
    def share(self, level: Share = 0.95) -> Interval | None:
        """The share of flagged items among those of at least n words; None where there are none.

        With the interval of Clopper and Pearson 1934 (exact for a binomial share), which says what
        other items, made as these were, might have given.
        """
        flagged, judged = len(self.flagged), len(self.items) - len(self.short)
        if not judged:
            return None
        return exact_interval(flagged, judged, level)

    def frame(self) -> "pd.DataFrame":
        """A row for each item: words, verdict, documents, rarest, longest (words in a row)."""
        import pandas as pd

        rows = [
            {
                "words": item.words,
                "verdict": self.verdict(item),
                "documents": item.documents,
                "rarest": item.rarest,
                "longest": item.matches[0].words if item.matches else 0,
            }
            for item in self.items
        ]
        return pd.DataFrame(rows)

    def verdict(self, item: ItemOverlap) -> str:
        """Of an item of this report: "flagged", "clean" or "short"."""
        if item.words < self.n:
            return "short"
        return "flagged" if self._counts(item) else "clean"

    def as_json(self) -> dict[str, Any]:
        """All of it in numbers, texts and lists, as `json.dumps` takes them."""
        share = self.share()
        return {
            "n": self.n,
            "common": self.common,
            "documents": self.documents,
            "counts": {
                "items": len(self.items),
                "short": len(self.short),
                "flagged": len(self.flagged),
                "clean": len(self.clean),
            },
            "share": share and asdict(share),
            "items": [asdict(item) | {"verdict": self.verdict(item)} for item in self.items],
        }

    def _counts(self, item: ItemOverlap) -> bool:
        return item.rarest > 0 and (self.common is None or item.rarest <= self.common)


@checked
def overlap(
    items: SomeTexts,
    documents: Documents,
    n: Count = 13,
    common: Count | None = None,
    keep: Count = 5,
) -> OverlapReport:
    """Search a corpus for runs of n words that it shares with the items of a test.

    The n-grams of the items are in memory, and the corpus is read once, a document at a time: it
    may be of any size.

    Args:
        documents: texts, from a generator too; or a data set with a column `text`, as
            `course_lib.corpora.load` returns it.
        common: leave alone n-grams that stand in more documents than this. GPT-3's filter did so
            above 10, where it met phrases that everybody uses (appendix C); None counts them all.
        keep: how many runs to show of each item, and documents of each run. All are counted.

    Raises:
        BadArgumentError: no items or no documents, one that is no text, or a count below its least.
    """
    index = NgramIndex(items, n, common, keep)
    read_through(documents, index)
    return index.report()


@checked
class NgramIndex:
    """The n-grams of the items, and what the documents read so far share with them.

    Some 250 bytes for each word of the items. A document costs one look-up for each of its words.
    """

    def __init__(
        self,
        items: SomeTexts,
        n: Count = 13,
        common: Count | None = None,
        keep: Count = 5,
    ) -> None:
        self.items, self.n, self.common, self.keep = items, n, common, keep
        self.documents = 0
        # All items' words in one list with None between them, which no word is equal to.
        self._words: list[str | None] = []
        self._starts: list[int] = []
        self._places: dict[int, list[int]] = {}  # of an n-gram's hash; words decide, not hashes
        for text in items:
            words = words_of(text)
            self._starts.append(len(self._words))
            for start in range(len(words) - n + 1):
                key = hash(tuple(words[start : start + n]))
                self._places.setdefault(key, []).append(len(self._words) + start)
            self._words += [*words, None]
        self._documents = [0] * len(items)
        self._holding: dict[int, int] = defaultdict(int)  # documents, by an n-gram's place
        self._found: dict[tuple[int, int], _Found] = {}  # by a run's place and length

    def read(self, document: str, words: list[str]) -> None:
        """See the next document, and its `words_of`."""
        runs = {(place, length): at for at, place, length in self._runs(words)}
        if runs:
            spans = spans_of(document)
            shared, items = set(), set()
            for (place, length), at in runs.items():
                shared.update(range(place, place + length - self.n + 1))
                items.add(bisect_right(self._starts, place) - 1)
                if (place, length) not in self._found:
                    self._found[place, length] = _Found(cut(document, spans, at, length))
                found = self._found[place, length]
                found.documents += 1
                if len(found.where) < self.keep:
                    found.where.append(self.documents)
            for place in shared:
                self._holding[place] += 1
            for item in items:
                self._documents[item] += 1
        self.documents += 1

    def _runs(self, words: list[str]) -> Iterator[tuple[int, int, int]]:
        """Runs of at least n words in common: where in the document, where in the items, length."""
        n, ours, places = self.n, self._words, self._places
        for at in range(len(words) - n + 1):
            key = hash(tuple(words[at : at + n]))
            for place in places.get(key, ()):
                goes_on = at > 0 and place > 0 and ours[place - 1] == words[at - 1]
                if goes_on or ours[place : place + n] != words[at : at + n]:
                    continue  # part of a run that was found, or another n-gram with this hash
                length = n
                while at + length < len(words) and ours[place + length] == words[at + length]:
                    length += 1
                yield at, place, length

    def report(self) -> OverlapReport:
        """What the documents read so far share with the items."""
        runs: list[list[tuple[int, int]]] = [[] for _ in self.items]
        for place, length in sorted(self._found, key=lambda run: (-run[1], run[0])):
            if (
                self.common is None
                or self._rarest(place, place + length - self.n + 1) <= self.common
            ):
                runs[bisect_right(self._starts, place) - 1].append((place, length))
        items = tuple(self._item(number, found) for number, found in enumerate(runs))
        return OverlapReport(self.n, self.common, self.documents, items)

    def _item(self, number: int, runs: list[tuple[int, int]]) -> ItemOverlap:
        text, start = self.items[number], self._starts[number]
        spans, matches = spans_of(text), []
        for place, length in runs[: self.keep]:
            found, shared = self._found[place, length], cut(text, spans, place - start, length)
            matches.append(Match(length, found.documents, tuple(found.where), shared, found.text))
        rarest = self._rarest(start, start + len(spans))
        return ItemOverlap(
            number, text, len(spans), self._documents[number], rarest, tuple(matches)
        )

    def _rarest(self, first: int, end: int) -> int:
        """Of the n-grams from one place to another, how many documents hold the rarest, or 0."""
        return min((self._holding[p] for p in range(first, end) if p in self._holding), default=0)


@dataclass
class _Found:
    """A run: as its first document writes it, and the documents."""

    text: str
    documents: int = 0
    where: list[int] = field(default_factory=list)
