"""One way to every text: `load(name, split)`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import datasets

from course_lib.runtime import CourseError, seed_of

if TYPE_CHECKING:
    from course_lib.corpora.world import World

SPLITS = ("train", "validation", "test")
WORLD_DOCUMENTS = {"train": 20_000, "validation": 1_000, "test": 1_000}
WORLDS = {
    "world": {"register": "general"},
    "world-finance": {"register": "finance"},
    "world-finance-small": {"register": "finance", "entities": 40},
}


def load(
    name: str, split: str = "train", *, documents: int | None = None, seed: int = 0
) -> datasets.Dataset:
    """A corpus as a `datasets.Dataset` with a column `text`, one document a row.

    - "world", "world-finance": drawn from the course's generated world, independently for each
      (seed, split); 20,000 documents to train and 1,000 to validate and to test unless
      `documents` says otherwise. Drawn documents may repeat, as draws do.
      "world-finance-small" has as few people and companies as a world can have.
    - "factbook": The World Factbook, about 90/5/5 percent of its *countries*.
    - "docstrings": prose from the documentation of scientific Python packages, about 90/5/5
      percent of their *modules*.
    - "hub:<id>", "hub:<id>:<config>", "hub:<id>@<revision>": a data set of the Hugging Face hub.

    Real text also has the columns `id`, `title` and `unit` (the country, the module). It comes in
    an order shuffled by `seed`, and `documents` keeps the first of it; which split a document is
    in does not depend on the seed.

    Raises:
        CourseError: unknown name or split, a package that is not installed, no such data set,
            no documents.
    """
    if split not in SPLITS:
        raise CourseError(f"Unknown split {split!r}: choose one of {', '.join(SPLITS)}.")
    if documents is not None and documents < 1:
        raise CourseError(f"documents={documents} leaves no text: ask for at least 1.")
    if name in WORLDS:
        return _load_world(name, split, documents or WORLD_DOCUMENTS[split], seed)
    if name.startswith("hub:"):
        from course_lib.corpora.hub import load_hub

        corpus = load_hub(name, split)
        if documents is not None:
            corpus = corpus.select(range(min(documents, len(corpus))))
    elif name in READERS:
        rows = [row for row in READERS[name]() if split_of(row["unit"]) == split]
        rows.sort(key=lambda row: seed_of("order", seed, row["id"]))
        corpus = datasets.Dataset.from_list(rows[:documents])
    else:
        raise CourseError(
            f"Unknown corpus {name!r}: choose one of {', '.join([*WORLDS, *READERS])}, hub:<id>."
        )
    if len(corpus) == 0:
        raise CourseError(f"{name} has no documents in {split}: choose another split or corpus.")
    return corpus


def split_of(unit: str) -> str:
    """The split of all documents of a unit (a country, a module), by a hash of its name."""
    share = seed_of("split", unit) % 100
    return "train" if share < 90 else "validation" if share < 95 else "test"


def world_of(name: str) -> "World":
    """The world that the documents of a corpus in `WORLDS` are drawn from."""
    from course_lib.corpora.world import World

    return World(**WORLDS[name])


def _load_world(name: str, split: str, documents: int, seed: int) -> datasets.Dataset:
    texts = world_of(name).documents(documents, seed=seed_of("corpus", seed, split))
    return datasets.Dataset.from_dict({"text": texts})


def _read_factbook() -> list[dict[str, str]]:
    from course_lib.corpora.factbook import read_factbook

    return read_factbook()


def _read_docstrings() -> list[dict[str, str]]:
    from course_lib.corpora.docstrings import read_docstrings

    return read_docstrings()


READERS: dict[str, Callable[[], list[dict[str, str]]]] = {
    "factbook": _read_factbook,
    "docstrings": _read_docstrings,
}
