"""Text of one's own: a file of .txt or .jsonl, or a folder of such files."""

import json
from collections.abc import Iterator
from pathlib import Path

from course_lib.corpora.splits import SPLITS, split_of
from course_lib.runtime import CourseError

KINDS = (".txt", ".jsonl")
LONGEST = 50_000  # characters: a longer .txt becomes several documents
READ = 2**20


def local_files(path: Path) -> list[Path]:
    """The .txt and .jsonl files of a path, in the order of their names; hidden ones are left out.

    Raises:
        CourseError: nothing there, or nothing of these kinds.
    """
    if path.is_file() and path.suffix in KINDS:
        return [path]
    if not path.exists():
        raise CourseError(f"There is no file or folder {path}: check the path behind `text:`.")
    found = [file for file in sorted(path.rglob("*")) if file.suffix in KINDS and file.is_file()]
    shown = [f for f in found if not any(p.startswith(".") for p in f.relative_to(path).parts)]
    if not shown:
        raise CourseError(f"{path} holds no text: give a .txt or .jsonl file, or a folder of them.")
    return shown


def local_documents(path: Path) -> Iterator[tuple[str, str]]:
    """Each document of a path as its split and its text, one after another, none kept.

    Raises:
        CourseError: as `local_files`; a file that cannot be read, is not UTF-8, or has a line that
            is no document; each by name.
    """
    for file in local_files(path):
        named = _named_split(file.relative_to(path)) if file != path else None
        for text in _documents(file):
            yield named or split_of(text), text


def _named_split(place: Path) -> str | None:
    names = (*place.parts[:-1], place.stem)
    return next((split for split in SPLITS if split in names), None)


def _documents(file: Path) -> Iterator[str]:
    read = _lines if file.suffix == ".jsonl" else _parts
    try:
        for text in read(file):
            if text.strip():
                yield text
    except UnicodeDecodeError as error:
        raise CourseError(
            f"{file} is not UTF-8 (byte 0x{error.object[error.start]:02x}): convert it, for "
            "example with `iconv -f latin1 -t utf-8`."
        ) from error
    except OSError as error:
        raise CourseError(f"{file} cannot be read: {error.strerror or error}.") from error


def _lines(file: Path) -> Iterator[str]:
    """The field "text" of each line."""
    with file.open(encoding="utf-8-sig", newline="\n") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                text = json.loads(line)["text"]
                text.encode()  # a text, and no half characters in it
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise CourseError(
                    f'{file}, line {number}: write {{"text": "..."}}, with a text of whole '
                    f"characters ({_what(error)})."
                ) from error
            yield text


def _what(error: Exception) -> str:
    return {
        json.JSONDecodeError: "this is not JSON",
        KeyError: 'it has no "text"',
        UnicodeEncodeError: "it has half a character, a lone surrogate",
    }.get(type(error), "it is something else")


def _parts(file: Path) -> Iterator[str]:
    """A file in parts of at most `LONGEST` characters, which joined give the file.

    Cut behind the last empty line of a part's second half, else behind a line, else a space, else
    anywhere.
    """
    with file.open(encoding="utf-8-sig", newline="") as stream:
        rest = ""
        while more := stream.read(READ):
            rest += more
            start = 0
            while len(rest) - start > LONGEST:
                end = _cut(rest, start)
                yield rest[start:end]
                start = end
            rest = rest[start:]
        yield rest


def _cut(text: str, start: int) -> int:
    for mark in ("\n\n", "\r\n\r\n", "\n", " "):
        found = text.rfind(mark, start + LONGEST // 2, start + LONGEST)
        if found >= 0:
            return found + len(mark)
    return start + LONGEST
