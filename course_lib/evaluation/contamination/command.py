"""`python -m course_lib contamination CORPUS TASKS`: which items of a test a corpus holds."""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_lib.runtime.errors import CourseError

if TYPE_CHECKING:
    from course_lib.evaluation.contamination import LongestRun, OverlapReport

HELP = "find items of a test in a corpus: has the model seen them?"
DESCRIPTION = """\
Search a corpus for the items of a test.

An item is flagged if a document holds n words of it in a row (lower case, punctuation left out).
The words decide, not the meaning: copies are found, paraphrases and translations are not. A flag is
a reason to look, so --show prints both texts: a quotation, a form or a template may stand in both
with no harm done. An item of fewer than n words can share no n, so it is counted apart; what is
said of it is whether all of it stands in a document.

  CORPUS  a name such as factbook or world, hub:ID, or text:PATH for your own: a file or a folder
          of .txt and .jsonl. It is read once, a document at a time, so it may be large.
  TASKS   a .jsonl file with an item a line: {"text": "Which river flows through ...?"}. Put into
          the text what must not have been seen: the question and its answer, not a passage that
          all the world may read. --field takes another field.
"""
EXAMPLES = """\
examples:
  python -m course_lib contamination factbook questions.jsonl
  python -m course_lib contamination text:~/corpus tasks.jsonl --field question --show 5
  python -m course_lib contamination world tasks.jsonl --n 8 --out report.json

Brown et al. 2020 (GPT-3, appendix C) searched with n = 13 and, for tests of short items, down to 8:
below that, unlike texts begin to share a run by chance.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command, and the help that explains them."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    parser.add_argument("corpus", metavar="CORPUS", help="where to search")
    parser.add_argument("tasks", metavar="TASKS", type=Path, help="the items, a .jsonl file")
    parser.add_argument("--n", type=int, default=13, help="words in a row (default: 13)")
    parser.add_argument(
        "--common",
        type=int,
        metavar="K",
        help="leave alone n words that stand in more than K documents (GPT-3's filter: 10)",
    )
    parser.add_argument("--field", default="text", help="the field of an item (default: text)")
    parser.add_argument(
        "--split",
        choices=["train", "validation", "test"],
        help="the part of the corpus (default: train, what models read; of text:PATH all of it)",
    )
    parser.add_argument(
        "--show", type=int, default=0, metavar="K", help="print K flagged items and what was found"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all of it as JSON")


def run(options: argparse.Namespace) -> int:
    """Search, print the table, and write the report; returns the exit status."""
    from course_lib.evaluation.contamination import NgramIndex, RunIndex, read_through

    for name in ("n", "common"):
        if (value := getattr(options, name)) is not None and value < 1:
            raise CourseError(f"--{name} {value}: give at least 1.")
    if options.show < 0:
        raise CourseError(f"--show {options.show}: give 0 or more.")
    if options.out and not options.out.resolve().parent.is_dir():
        raise CourseError(f"--out {options.out}: there is no folder {options.out.parent}: make it.")
    if options.out and options.out.is_dir():
        raise CourseError(f"--out {options.out} is a folder: name a file in it.")
    items = read_items(options.tasks, options.field)
    documents = _documents(options.corpus, options.split)
    ngrams, longest = NgramIndex(items, options.n, options.common), RunIndex(items)
    read_through(documents, ngrams, longest)
    report, runs = ngrams.report(), longest.runs()
    part = options.split or ("all of it" if options.corpus.startswith("text:") else "train")
    print(f"{options.corpus} ({part}): {report.documents:,} documents")
    print(_table(report, runs))
    for item in report.flagged[: options.show]:
        print(f"\nitem {item.number} ({item.words} words), in {item.documents:,} document(s)")
        for match in item.matches:
            where = ", ".join(map(str, match.where))
            more = f" and {match.documents - len(match.where):,} more" * (
                match.documents > len(match.where)
            )
            print(f"  {match.words} words in document {where}{more}")
            print(f"    item:     {match.item_text!r}")
            print(f"    document: {match.document_text!r}")
    if options.out:
        _write(options.out, options, report, runs)
        print(f"\nreport in {options.out}")
    return 0


def _table(report: "OverlapReport", runs: "list[LongestRun]") -> str:
    share, short, judged = report.share(), report.short, len(report.items) - len(report.short)
    whole = sum(runs[item.number].whole for item in short)
    longest = max((runs[item.number].words for item in report.clean), default=0)
    rows = [
        ("items", f"{len(report.items):,}", ""),
        (f"shorter than {report.n} words", f"{len(short):,}", f"{whole:,} whole in a document"),
        ("flagged", f"{len(report.flagged):,}", f"of the {judged:,} others"),
    ]
    if share is not None:
        interval = f"95% interval {share.low:.4f} to {share.high:.4f}"
        rows.append(("share flagged", f"{share.mean:.4f}", interval))
    if report.clean:
        rows.append(("longest run, not flagged", f"{longest}", "words"))
    return "\n".join(f"{name:<25}{value:>8}  {note}".rstrip() for name, value, note in rows)


def _write(
    path: Path, options: argparse.Namespace, report: "OverlapReport", runs: "list[LongestRun]"
) -> None:
    found: dict[str, Any] = {"corpus": options.corpus, "tasks": str(options.tasks)}
    found |= report.as_json()
    for item, run in zip(found["items"], runs, strict=True):
        item["longest_run"] = {"words": run.words, "document": run.document, "text": run.text}
    try:
        path.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise CourseError(f"--out {path} cannot be written: {error.strerror or error}.") from error


def read_items(path: Path, field: str = "text") -> list[str]:
    """The items of a .jsonl file, one a line; empty lines are left out.

    Raises:
        CourseError: no such file, none that can be read, or a line without a text in that field;
            says which.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (FileNotFoundError, IsADirectoryError):
        raise CourseError(f"No file {path}: give a .jsonl file with an item a line.") from None
    except UnicodeDecodeError:
        raise CourseError(f"{path} is not UTF-8: convert it, for example with iconv.") from None
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror or error}.") from error
    items = [
        _item(f"{path}, line {n}", line, field) for n, line in enumerate(lines, 1) if line.strip()
    ]
    if not items:
        raise CourseError(f'{path} is empty: write an item a line, such as {{"{field}": "..."}}.')
    return items


def _item(place: str, line: str, field: str) -> str:
    try:
        item = json.loads(line)
    except ValueError:
        item = None
    if not isinstance(item, dict):
        raise CourseError(f'{place} is no JSON object: write {{"{field}": "..."}}.')
    if field not in item:
        known = ", ".join(map(str, item)) or "none"
        raise CourseError(f"{place} has no field {field!r}: it has {known}; choose with --field.")
    text = item[field]
    if not isinstance(text, str):
        raise CourseError(f"{place}: {field!r} is {type(text).__name__}, not a text: write a text.")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise CourseError(f"{place} has half a character, a lone surrogate: write it whole.")
    return text


def _documents(corpus: str, split: str | None) -> Iterable[str] | Any:
    from course_lib.corpora import load
    from course_lib.corpora.loading import require_corpus

    require_corpus(corpus)
    kind, colon, place = corpus.partition(":")
    if kind != "text" or not colon:
        return load(corpus, split or "train")
    if not place:
        raise CourseError("text: names no file: write text:PATH, such as text:~/novels.")
    return _own(Path(place).expanduser(), split)


def _own(path: Path, split: str | None) -> Iterator[str]:
    from course_lib.corpora.local import local_documents

    return (text for part, text in local_documents(path) if split in (None, part))
