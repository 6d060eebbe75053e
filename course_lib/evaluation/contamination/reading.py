"""Texts as the words that are compared, and a corpus read once, a document at a time."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Protocol

from pydantic import BeforeValidator

from course_lib.runtime import progress
from course_lib.runtime.checks import BadArgumentError, Text, checked


class _WithoutMarks(dict):
    """Characters for `str.translate`: punctuation and symbols go, the rest stays."""

    def __missing__(self, code: int) -> int | None:
        kept = None if unicodedata.category(chr(code))[0] in "PS" else code
        return self.setdefault(code, kept)


_WITHOUT_MARKS = _WithoutMarks()


@checked
def words_of(text: Text) -> list[str]:
    """The words of a text as they are compared: between white space, lower case, no punctuation.

    Brown et al. 2020 (GPT-3), appendix C. So "It's state-of-the-art!" is "its stateoftheart". A
    script that puts no spaces between words has one word a sentence: cut it into words first.
    """
    return _words(text)


@checked
def spans_of(text: Text) -> list[tuple[int, int]]:
    """Where each of `words_of(text)` stands: its first character, and the one behind its last."""
    return [found.span() for found in re.finditer(r"\S+", text) if _words(found[0])]


def _words(text: str) -> list[str]:
    return text.translate(_WITHOUT_MARKS).lower().split()


def cut(text: str, spans: list[tuple[int, int]], first: int, words: int) -> str:
    """A run of so many words of a text, from number `first` on, as the text writes them."""
    return text[spans[first][0] : spans[first + words - 1][1]] if words else ""


class Reader(Protocol):
    """What is shown the documents of a corpus one by one."""

    def read(self, document: str, words: list[str]) -> None:
        """See the next document, and its `words_of`."""


def _as_documents(value: Any) -> Any:
    if isinstance(value, str | bytes):
        raise ValueError("give the texts of documents, not one text (write [text])")
    if hasattr(value, "column_names"):
        if "text" not in value.column_names:
            names = ", ".join(value.column_names)
            raise ValueError(f'a data set of documents has a column "text"; this has {names}')
        return value
    if not isinstance(value, Iterable):
        raise ValueError("give the texts of documents, or a data set that `load` returns")
    return value


# Texts one by one from anything that has them, a generator too, or a data set with a `text`.
Documents = Annotated[Any, BeforeValidator(_as_documents)]


@checked
def read_through(documents: Documents, *readers: Any) -> int:
    """Show a corpus to several readers in one pass, with a bar; returns the number of documents.

    Raises:
        BadArgumentError: no documents, one that is no text, or a data set without a `text`.
    """
    total = len(documents) if hasattr(documents, "__len__") else None
    number = 0
    for number, document in enumerate(
        progress(_texts(documents), total=total, desc="Reading documents", unit=" documents"), 1
    ):
        if not isinstance(document, str):
            raise BadArgumentError(
                f"Document {number - 1} is {type(document).__name__}, not a text: give texts, "
                'such as load("world")["text"].'
            )
        words = _words(document)
        for reader in readers:
            reader.read(document, words)
    if not number:
        raise BadArgumentError("documents is empty: give at least one text to search.")
    return number


def _texts(documents: Any) -> Iterator[Any]:
    if hasattr(documents, "column_names"):
        from course_lib.corpora.texts_on_disk import texts_of

        return texts_of(documents)
    return iter(documents)
