"""The longest run of words that an item shares with any document, however long or short it is.

Where n words in a row say yes or no, this says how much: 40 of an item's 40 words are a copy, 9 of
40 a turn of phrase. It also judges items too short for n-grams.
"""

from dataclasses import dataclass

from course_lib.evaluation.contamination.reading import (
    Documents,
    cut,
    read_through,
    spans_of,
    words_of,
)
from course_lib.runtime.checks import SomeTexts, checked


@dataclass(frozen=True)
class LongestRun:
    """The longest run of words that an item shares with a document.

    Attributes:
        words: how many words it has; 0 where not one word of the item is in the corpus.
        of: how many words the item has.
        document: the number of a document that it stands in, from 0; None where there is none.
        text: the run as the item writes it.
    """

    words: int
    of: int
    document: int | None
    text: str

    @property
    def whole(self) -> bool:
        """Whether all of the item stands in that document, word for word."""
        return 0 < self.words == self.of


@checked
def longest_runs(items: SomeTexts, documents: Documents) -> list[LongestRun]:
    """Of each item the longest run of words in common with a document, in one pass over the corpus.

    Memory grows with the items, some 400 bytes for each of their words, and not with the corpus.

    Args:
        documents: as for `overlap`.

    Raises:
        BadArgumentError: no items or no documents, or one that is no text.
    """
    index = RunIndex(items)
    read_through(documents, index)
    return index.runs()


@checked
class RunIndex:
    """A suffix automaton of the items, and how far the documents read so far got in it.

    The automaton (Blumer et al. 1985) is the smallest machine that reads every run of words of
    every item. A state stands for runs that end at the same places in the items, each a suffix of
    the next longer one, and its link leads to the longest suffix that ends at more places. So one
    step for each word of a document keeps track of the longest run that ends there.
    """

    def __init__(self, items: SomeTexts) -> None:
        self.items, self.documents = items, 0
        self._words = [words_of(text) for text in items]
        self._next: list[dict[str, int]] = [{}]
        self._link, self._length = [-1], [0]
        for words in self._words:
            state = 0
            for word in words:
                state = self._extend(state, word)
        # Of each state, the most words of a document that led to it, and the document.
        self._read, self._where = [0] * len(self._next), [-1] * len(self._next)

    def read(self, document: str, words: list[str]) -> None:
        """See the next document, and its `words_of`."""
        state = length = 0
        for word in words:
            while state and word not in self._next[state]:
                state = self._link[state]
                length = self._length[state]
            if word not in self._next[state]:
                continue
            state, length = self._next[state][word], length + 1
            if length > self._read[state]:
                self._read[state], self._where[state] = length, self.documents
        self.documents += 1

    def runs(self) -> list[LongestRun]:
        """What the documents read so far share with each item."""
        read, where = list(self._read), list(self._where)
        # Who read a run has read its suffixes, which may be runs of other items.
        for state in sorted(range(1, len(read)), key=self._length.__getitem__, reverse=True):
            link = self._link[state]
            if read[state] and read[link] < self._length[link]:
                read[link], where[link] = self._length[link], where[state]
        return [
            self._run(text, words, read, where)
            for text, words in zip(self.items, self._words, strict=True)
        ]

    def _run(self, text: str, words: list[str], read: list[int], where: list[int]) -> LongestRun:
        longest, end, document = 0, 0, None
        state = 0
        for place, word in enumerate(words, 1):
            state = suffix = self._next[state][word]
            while suffix and not read[suffix]:
                suffix = self._link[suffix]
            if read[suffix] > longest:
                longest, end, document = read[suffix], place, where[suffix]
        shared = cut(text, spans_of(text), end - longest, longest)
        return LongestRun(longest, len(words), document, shared)

    def _extend(self, last: int, word: str) -> int:
        """The state of a run one word longer than the longest of `last`; made, if there is none."""
        if word in self._next[last]:
            return self._with_length(last, word)
        state = self._state(self._length[last] + 1, {}, 0)
        while last >= 0 and word not in self._next[last]:
            self._next[last][word] = state
            last = self._link[last]
        if last >= 0:
            self._link[state] = self._with_length(last, word)
        return state

    def _with_length(self, last: int, word: str) -> int:
        """Where `word` leads from `last`, split in two if longer runs lead there too."""
        there = self._next[last][word]
        if self._length[there] == self._length[last] + 1:
            return there
        split = self._state(self._length[last] + 1, dict(self._next[there]), self._link[there])
        self._link[there] = split
        while last >= 0 and self._next[last].get(word) == there:
            self._next[last][word] = split
            last = self._link[last]
        return split

    def _state(self, length: int, following: dict[str, int], link: int) -> int:
        self._next.append(following)
        self._length.append(length)
        self._link.append(link)
        return len(self._next) - 1
