"""Examples with an answer: prompts and completions, and texts with labels, by name.

`load_examples("world/translation", ...)` gives rows as the objective wants them. Names are tasks of
the generated world ("world/...", "world-finance/..."), "reviews/film" and its like, and "file:PATH"
for a JSONL file of one's own.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset
from torch import LongTensor
from transformers import PreTrainedTokenizerBase

from course_lib.corpora.instructions import OWN_ANSWERS, own_answers
from course_lib.corpora.labelled import encode_tags, encode_texts
from course_lib.corpora.loading import WORLDS, world_of
from course_lib.corpora.packing import encode
from course_lib.corpora.pairs import NO_TARGET
from course_lib.corpora.requests import REQUESTS, UNSEEN, requests
from course_lib.corpora.splits import Split, split_of
from course_lib.corpora.templates import Template, encode_completions, encode_prompts
from course_lib.runtime.checks import BadArgumentError, Count, Text, Whole, checked
from course_lib.runtime.errors import CourseError
from course_lib.runtime.seeds import seed_of

TASKS = ("sentiment", "entities", "translation", "summaries", "reading", "questions")
DRAWN = {"train": 2_000, "validation": 500, "test": 1_000}
Use = Literal["supervised", "classification", "tagging"]
Kind = Literal["causal", "seq2seq", "masked"]


@dataclass(frozen=True, eq=False)
class Examples:
    """Encoded examples: each a dict of lists of integers; `labels` is how many labels there are."""

    encoded: Sequence[dict[str, list[int]]]
    labels: int | None = None

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, places: LongTensor) -> list[dict[str, list[int]]]:
        return [self.encoded[place] for place in places.tolist()]


@checked
def load_examples(
    name: Text,
    split: Split,
    tokenizer: PreTrainedTokenizerBase,
    *,
    task: Use = "supervised",
    documents: Count | None = None,
    length: Count = 128,
    template: Template = "plain",
    kind: Kind = "causal",
) -> Examples:
    """Examples, encoded for a model of a kind.

    Args:
        name: see `load_pairs` ("supervised") and `load_labelled`.
        split: "train", "validation" or "test".
        tokenizer: the model's.
        task: "supervised" (prompt and completion), "classification" or "tagging".
        documents: how many examples at most.
        length: no example has more tokens; longer ones are refused, not cut.
        template: how a prompt is framed.
        kind: "causal" reads prompt and completion as one row, "seq2seq" as two.

    Raises:
        BadArgumentError: an argument of another type.
        CourseError: unknown name, or an example that is too long.
    """
    if task == "supervised":
        rows = load_pairs(name, split, documents=documents)
        prompts, completions = list(rows["prompt"]), list(rows["completion"])
        if kind == "seq2seq":
            found = Examples(_two_rows(prompts, completions, tokenizer, template))
        else:
            found = Examples(_one_row(prompts, completions, tokenizer, template))
    elif task == "classification":
        rows = load_labelled(name, split, documents=documents)
        _require_column(name, rows, "label")
        found = Examples(encode_texts(rows, tokenizer), label_count(name))
    else:
        rows = load_labelled(name, split, documents=documents)
        _require_column(name, rows, "tags")
        found = Examples(encode_tags(rows, tokenizer), label_count(name))
    _require_short(name, found, length)
    return found


@checked
def load_pairs(
    name: Text, split: Split = "train", *, documents: Count | None = None, seed: Whole = 0
) -> Dataset:
    """Prompts and their completions: columns `prompt` and `completion`.

    "world/translation", "world/summaries", "world/reading", "world/questions", "world/sentiment"
    (and the same of the other worlds, where they have them), "reviews/film", "reviews/product",
    "reviews/tweet", "reviews/editorial", "requests/TASK" (tasks of the world in several phrasings,
    and with ":unseen" behind it in another), "own-answers/smollm2" (general questions with what
    that model answered before any tuning), and "file:PATH", lines of JSON with the two columns.

    Raises:
        BadArgumentError: an argument of another type.
        CourseError: unknown name, a file that is not so.
    """
    if name.startswith("file:"):
        return Dataset.from_list(_of_split(name, ("prompt", "completion"), split, documents))
    if name.startswith(OWN_ANSWERS):
        answered = own_answers(name.removeprefix(OWN_ANSWERS), split)
        return Dataset.from_list(answered[:documents])
    if name.startswith(REQUESTS):
        task = name.removeprefix(REQUESTS)
        count, drawn = documents or DRAWN[split], seed_of("examples", seed, split)
        return requests(task.removesuffix(UNSEEN), count, drawn, unseen=task.endswith(UNSEEN))
    rows = load_labelled(name, split, documents=documents, seed=seed)
    if "label" in rows.column_names:
        asked = "Is this text positive or negative? {}"
        return Dataset.from_dict(
            {
                "prompt": [asked.format(text) for text in rows["text"]],
                "completion": [("negative", "positive")[label] for label in rows["label"]],
            }
        )
    if "tags" in rows.column_names:
        raise CourseError(f"{name} has tags and no completions: use the objective tagging.")
    first, second = rows.column_names[:2]
    return rows.rename_columns({first: "prompt", second: "completion"})


@checked
def load_labelled(
    name: Text, split: Split = "train", *, documents: Count | None = None, seed: Whole = 0
) -> Dataset:
    """A task's rows under its own columns: `text` and `label`, `tokens` and `tags`, and so on.

    A world's rows are drawn anew for each split and seed; real ones are split by the document that
    they are from (`split_of`), and come in an order shuffled by the seed.

    Raises:
        BadArgumentError: an argument of another type.
        CourseError: unknown name, a file that is not so.
    """
    source, slash, task = name.partition("/")
    if name.startswith("file:"):
        return Dataset.from_list(_of_split(name, ("text", "label"), split, documents))
    if slash and source in WORLDS and task in TASKS:
        count = documents or DRAWN[split]
        return _draw(task)(world_of(source), count, seed_of("examples", seed, split))
    if slash and source == "reviews":
        from course_lib.corpora.reviews import KINDS, read_reviews

        if task not in KINDS:
            raise CourseError(f"Unknown reviews {task!r}: choose one of {', '.join(KINDS)}.")
        rows = [row for row in read_reviews(task) if split_of(row["unit"]) == split]
        rows.sort(key=lambda row: seed_of("order", seed, row["id"]))
        return Dataset.from_list(rows[:documents]).select_columns(["text", "label", "unit"])
    require_examples(name)
    raise CourseError(f"{name} has no labels: use the objective supervised.")


def require_examples(name: str) -> None:
    """Refuse a name that `load_pairs` and `load_labelled` do not know.

    Raises:
        BadArgumentError: lists the names that there are.
    """
    source, slash, task = name.partition("/")
    known = source in WORLDS and task in TASKS
    others = ("reviews", "requests", "own-answers")
    if name.startswith("file:") or (slash and (known or source in others)):
        return
    raise BadArgumentError(
        f"Unknown examples {name!r}: give a world and a task (world/{', world/'.join(TASKS)}), "
        "reviews/film, reviews/product, requests/reading, own-answers/smollm2, or file:PATH."
    )


def label_count(name: str) -> int:
    """How many labels or tags a task has, also those that a few of its rows may lack."""
    if name.startswith("file:"):
        return max(row["label"] for row in _read_lines(name, ("text", "label"))) + 1
    if name.endswith("/entities"):
        from course_lib.corpora.world.tasks import TAGS

        return len(TAGS)
    return 2  # bad and good


def _draw(task: str) -> Callable[..., Dataset]:
    from course_lib.corpora.world import pairs, tasks

    return getattr(tasks if hasattr(tasks, task) else pairs, task)


def _of_split(
    name: str, columns: tuple[str, str], split: Split, documents: int | None
) -> list[dict[str, Any]]:
    rows = [row for row in _read_lines(name, columns) if split_of(row[columns[0]]) == split]
    if not rows:
        raise CourseError(f"{name} has no examples in {split}: add lines, a tenth is held out.")
    return rows[:documents]


def _read_lines(name: str, columns: tuple[str, str]) -> list[dict[str, Any]]:
    """The rows of a JSONL file, each with what the columns must hold."""
    path = Path(name.removeprefix("file:")).expanduser()
    try:
        # Split at line ends alone: a text may hold other characters that splitlines splits at.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise CourseError(f"{path} is not in UTF-8: save it again in that encoding.") from error
    except OSError as error:
        raise CourseError(f"Cannot read {path} ({error.strerror}).") from error
    return [
        _row(line, f"{path}, line {number}", columns)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def _row(line: str, where: str, columns: tuple[str, str]) -> dict[str, Any]:
    try:
        row = json.loads(line)
        row = {column: row[column] for column in columns}
    except (ValueError, KeyError, TypeError) as error:
        wanted = " and ".join(columns)
        raise CourseError(f"{where}: write one JSON object with {wanted}.") from error
    for column, value in row.items():
        if column == "label":
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise CourseError(f"{where}: label is {value!r}; give a whole number from 0 up.")
        elif not isinstance(value, str) or not value.strip() or _has_half_a_character(value):
            raise CourseError(f"{where}: {column} is {value!r}; give a text that is not empty.")
    return row


def _has_half_a_character(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _one_row(
    prompts: list[str],
    completions: list[str],
    tokenizer: PreTrainedTokenizerBase,
    template: Template,
) -> list[dict[str, list[int]]]:
    """One text; the loss is on the completion alone, its end included."""
    pairs = zip(
        encode_prompts(prompts, tokenizer, template),
        encode_completions(completions, tokenizer, template),
        strict=True,
    )
    return [
        {"input_ids": prompt + end, "labels": [NO_TARGET] * len(prompt) + end}
        for prompt, end in pairs
    ]


def _two_rows(
    prompts: list[str],
    completions: list[str],
    tokenizer: PreTrainedTokenizerBase,
    template: Template,
) -> list[dict[str, list[int]]]:
    """The encoder reads the prompt and its end; the decoder writes a text of its own."""
    if tokenizer.eos_token_id is None:
        raise CourseError("The tokenizer has no end token: set tokenizer.eos_token.")
    end = [tokenizer.eos_token_id]
    sources = encode_prompts(prompts, tokenizer, template)
    targets = encode(completions, tokenizer)
    return [
        {"input_ids": source + end, "labels": target if target[-1:] == end else target + end}
        for source, target in zip(sources, targets, strict=True)
    ]


def _require_column(name: str, rows: Dataset, column: str) -> None:
    if column not in rows.column_names:
        raise CourseError(
            f"{name} has no {column}: it has {', '.join(rows.column_names)}; take another corpus "
            "or objective."
        )


def _require_short(name: str, examples: Examples, length: int) -> None:
    longest = max((len(row[key]) for row in examples.encoded for key in row), default=0)
    if longest > length:
        raise CourseError(
            f"{name} has an example of {longest} tokens and data.length = {length}: raise it."
        )
