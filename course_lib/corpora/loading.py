"""One way to every text: `load(name, split)`."""

import hashlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets

from course_lib.corpora.local import local_documents, local_files
from course_lib.corpora.prepared import code_of_texts, prepared_folder, stamps
from course_lib.corpora.splits import Split, split_of
from course_lib.corpora.texts_on_disk import open_texts, write_texts
from course_lib.runtime import CourseError, progress, seed_of
from course_lib.runtime.checks import BadArgumentError, Count, Text, Whole, checked

if TYPE_CHECKING:
    from course_lib.corpora.world import World

WORLD_DOCUMENTS = {"train": 20_000, "validation": 1_000, "test": 1_000}
WORLDS = {
    "world": {"register": "general"},
    "world-finance": {"register": "finance"},
    "world-finance-small": {"register": "finance", "entities": 40},
    "world-tone": {"register": "general", "tone_words": 280},
}
KNOBS = ("seed", "register", "entities", "tone_words", "zipf")  # of "world:KNOB=VALUE,..."
BILINGUAL = "world-bilingual"
IN_MEMORY = 100_000  # documents of a world, 19 MB; more are written to the cache as they are drawn


@checked
def load(
    name: Text, split: Split = "train", *, documents: Count | None = None, seed: Whole = 0
) -> datasets.Dataset:
    """A corpus as a `datasets.Dataset` with a column `text`, one document a row.

    - "world", "world-finance": drawn from the course's generated world, independently for each
      (seed, split); 20,000 documents to train and 1,000 to validate and to test unless
      `documents` says otherwise. Drawn documents may repeat, as draws do.
      "world-finance-small" has as few people and companies as a world can have; "world-tone" has a
      long tail of words of praise and blame. Any other world goes by its arguments, as in
      "world:register=finance,entities=150,zipf=1.5".
    - "world-bilingual": the documents of "world", every second one in Inglosh instead of English.
    - "factbook": The World Factbook, about 90/5/5 percent of its *countries*.
    - "docstrings": prose from the documentation of scientific Python packages, about 90/5/5
      percent of their *modules*.
    - "reviews": sentences of film reviews with the `label` that twenty people's ratings give them
      (`course_lib.corpora.reviews`), about 90/5/5 percent of their *documents*.
    - "text:<path>": your own text, a file or folder of .txt (UTF-8) or .jsonl (objects with a
      `text`). A .txt longer than 50,000 characters is cut at empty lines into several documents.
      About 90/5/5 percent of the *documents*, unless a folder or a file in a folder is called
      train, validation or test.
    - "hub:<id>", "hub:<id>:<config>", "hub:<id>@<revision>": a data set of the Hugging Face hub.
      Where it has no validation or test split, 5 percent of its *texts* are held out for each.
    - "stream:<id>", with the same endings: its training split, of which 5 percent of the *texts*
      are held out for each of the others, read as it comes (`course_lib.corpora.streaming`). A
      recipe trains on all of it; here, `documents` says how many to take.

    The factbook, the docstrings and the reviews also have the columns `id`, `title` and `unit` (the
    country, the module, the review), and come in an order shuffled by `seed`; your own text and the
    hub's keep theirs. `documents` keeps the first. Which split a document is in does not depend on
    the seed.

    What is large lies on the disk and is memory-mapped, so text of any size can be loaded.

    Raises:
        BadArgumentError: an unknown split, `documents` below 1.
        CourseError: an unknown name, a package that is not installed, no such data set or file,
            no documents, a document without a text.
    """
    require_corpus(name)
    kind, _, place = name.partition(":")
    if is_world(name) or name == BILINGUAL:
        return _load_world(name, split, documents or WORLD_DOCUMENTS[split], seed)
    if kind == "stream":
        from course_lib.corpora.streaming import first_documents

        if documents is None:
            raise CourseError(f"{name} is not loaded whole: say how many documents to take.")
        corpus = first_documents(name, split, documents)
    elif kind == "hub":
        from course_lib.corpora.hub import load_hub

        corpus = load_hub(name, split)
    elif kind == "text":
        corpus = _load_local(place, split)
    else:
        rows = [row for row in READERS[name]() if split_of(row["unit"]) == split]
        rows.sort(key=lambda row: seed_of("order", seed, row["id"]))
        corpus = datasets.Dataset.from_list(rows)
    if len(corpus) == 0:
        raise CourseError(f"{name} has no documents in {split}: choose another split or corpus.")
    return corpus if documents is None else corpus.select(range(min(documents, len(corpus))))


def require_corpus(name: str) -> None:
    """Refuse a name that `load` does not know; whether a file or a data set is there, it finds out.

    Raises:
        BadArgumentError: lists the names that there are.
    """
    kind, colon, _ = name.partition(":")
    if is_world(name):
        _settings(name)
    elif name not in (BILINGUAL, *READERS) and not (colon and kind in ("text", "hub", "stream")):
        known = ", ".join([*WORLDS, BILINGUAL, *READERS])
        raise BadArgumentError(
            f"Unknown corpus {name!r}: choose one of {known}, text:<path>, hub:<id>, "
            "stream:<id>; or, for examples such as world/reading, an objective such as "
            '"supervised".'
        )


@cache
def world_of(name: str) -> "World":
    """The world that the documents of a corpus in `WORLDS`, or "world:...", are drawn from.

    It is built once, in half a second: do not change it.

    Raises:
        CourseError: the corpus is no draw from a world.
        BadArgumentError: "world:..." with an argument that a world has not got, or cannot take.
    """
    from course_lib.corpora.world import World

    if not is_world(name):
        raise CourseError(f"{name!r} is no draw from a world: choose one of {', '.join(WORLDS)}.")
    return World(**_settings(name))


def is_world(name: str) -> bool:
    """Whether a corpus is drawn from one world, so that its entropy is known."""
    return name in WORLDS or name.startswith("world:")


def _settings(name: str) -> dict[str, Any]:
    """The arguments of the world that a corpus is drawn from."""
    if name in WORLDS:
        return WORLDS[name]
    settings: dict[str, Any] = {}
    for part in name.removeprefix("world:").split(","):
        knob, _, value = part.partition("=")
        if knob not in KNOBS or not value:
            raise BadArgumentError(
                f"{part!r} in the corpus {name!r}: write {', '.join(KNOBS)} with a value, as in "
                "world:register=finance,entities=150."
            )
        settings[knob] = value if knob == "register" else _number(value)
    return settings


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text  # the world says what is wrong with it


def fingerprint(name: str, read: Callable[[], datasets.Dataset]) -> dict[str, Any]:
    """Changes whenever a text of `load(name)` does; `read` loads it where nothing less will tell.

    Code and words decide the documents of a world; names, sizes and times of the files stand for
    one's own text, and for the hub's. Other corpora are small, and hashed.
    """
    kind, _, place = name.partition(":")
    if is_world(name) or name == BILINGUAL:
        return {"code": code_of_texts()}
    if kind == "text":
        return {"code": code_of_texts(), "files": stamps(local_files(_local_path(place)))}
    corpus = read()
    if corpus.cache_files:
        return {"files": stamps(Path(file["filename"]) for file in corpus.cache_files)}
    digest = hashlib.sha256()
    for text in corpus["text"]:
        digest.update(f"{len(text)}:{text}".encode())
    return {"text": digest.hexdigest()}


def _load_world(name: str, split: str, documents: int, seed: int) -> datasets.Dataset:
    from course_lib.corpora.world.language import every_second_translated

    def texts() -> Iterator[str]:
        world = world_of("world" if name == BILINGUAL else name)
        drawn = world.drafts(documents, seed=seed_of("corpus", seed, split))
        written = (draft.text() for draft in drawn)
        return every_second_translated(written) if name == BILINGUAL else written

    if documents <= IN_MEMORY:
        return datasets.Dataset.from_dict({"text": list(texts())})

    def write(folder: Path) -> dict[str, int]:
        bar = progress(texts(), total=documents, desc="Writing documents")
        return write_texts(folder, ((split, text) for text in bar))

    of = {"corpus": name, "split": split, "documents": documents, "seed": seed}
    folder = prepared_folder("texts", of | {"code": code_of_texts()}, write)
    return open_texts(folder, split)


def _load_local(place: str, split: str) -> datasets.Dataset:
    path = _local_path(place)

    def write(folder: Path) -> dict[str, int]:
        counts = write_texts(folder, progress(local_documents(path), desc="Reading documents"))
        if not counts:
            raise CourseError(f"{path} is empty: give a file or folder with text in it.")
        return counts

    of = {"files": stamps(local_files(path)), "path": str(path), "code": code_of_texts()}
    corpus = open_texts(prepared_folder("texts", of, write), split)
    if len(corpus) == 0:
        raise CourseError(
            f"No document of {path} falls into {split}: call a file or folder in it {split}, "
            "or give more text."
        )
    return corpus


def _local_path(place: str) -> Path:
    if not place:
        raise CourseError("text: names no file: write text:<path>, such as text:~/novels.")
    return Path(place).expanduser().resolve()


def _read_factbook() -> list[dict[str, str]]:
    from course_lib.corpora.factbook import read_factbook

    return read_factbook()


def _read_docstrings() -> list[dict[str, str]]:
    from course_lib.corpora.docstrings import read_docstrings

    return read_docstrings()


def _read_film_reviews() -> list[dict[str, str | float | int]]:
    from course_lib.corpora.reviews import read_reviews

    return read_reviews("film")


READERS: dict[str, Callable[[], list[dict[str, str]]]] = {
    "factbook": _read_factbook,
    "docstrings": _read_docstrings,
    "reviews": _read_film_reviews,
}
