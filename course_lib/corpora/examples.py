"""Examples with an answer: prompts and completions, and texts with labels, by name.

`load_examples("world/translation", ...)` gives rows as the objective wants them. Names are tasks of
the generated world ("world/...", "world-finance/..."), "reviews/film" and its like, and "file:PATH"
for a JSONL file of one's own.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datasets import Dataset
from torch import LongTensor
from transformers import PreTrainedTokenizerBase

from course_lib.corpora.labelled import encode_tags, encode_texts
from course_lib.corpora.loading import WORLDS, split_of, world_of
from course_lib.corpora.templates import Template, encode_completions, encode_prompts
from course_lib.runtime.checks import Count, Text, checked
from course_lib.runtime.errors import CourseError
from course_lib.runtime.seeds import seed_of

TASKS = ("sentiment", "entities", "translation", "summaries", "reading", "questions")
DRAWN = {"train": 2_000, "validation": 500, "test": 1_000}
Use = Literal["supervised", "classification", "tagging"]


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
    split: Literal["train", "validation", "test"],
    tokenizer: PreTrainedTokenizerBase,
    *,
    task: Use = "supervised",
    documents: Count | None = None,
    length: Count = 128,
    template: Template = "plain",
    kind: str = "causal",
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
        CourseError: unknown name, or an example that is too long.
    """
    if task == "supervised":
        rows = load_pairs(name, split, documents=documents)
        prompts = encode_prompts(list(rows["prompt"]), tokenizer, template)
        ends = encode_completions(list(rows["completion"]), tokenizer, template)
        join = _two_rows if kind == "seq2seq" else _one_row
        encoded = [join(tokenizer, *pair) for pair in zip(prompts, ends, strict=True)]
        found = Examples(encoded)
    else:
        rows = load_labelled(name, split, documents=documents)
        column = "label" if task == "classification" else "tags"
        if column not in rows.column_names:
            raise CourseError(
                f"{name} has no {column}: it has {', '.join(rows.column_names)}; choose another "
                "corpus or objective."
            )
        if task == "classification":
            found = Examples(encode_texts(rows, tokenizer), max(rows["label"]) + 1)
        else:
            found = Examples(encode_tags(rows, tokenizer), max(map(max, rows["tags"])) + 1)
    _require_short(name, found, length)
    return found


@checked
def load_pairs(
    name: Text,
    split: Literal["train", "validation", "test"] = "train",
    *,
    documents: Count | None = None,
    seed: int = 0,
) -> Dataset:
    """Prompts and their completions: columns `prompt` and `completion`.

    "world/translation", "world/summaries", "world/reading", "world/questions", "world/sentiment"
    (and the same of the other worlds, where they have them), "reviews/film", "reviews/product",
    "reviews/tweet", "reviews/editorial", and "file:PATH", lines of JSON with the two columns.

    Raises:
        CourseError: unknown name, a file that is not so.
    """
    if name.startswith("file:"):
        return _from_file(name, split, ("prompt", "completion"), documents)
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
    name: Text,
    split: Literal["train", "validation", "test"] = "train",
    *,
    documents: Count | None = None,
    seed: int = 0,
) -> Dataset:
    """A task's rows under its own columns: `text` and `label`, `tokens` and `tags`, and so on.

    A world's rows are drawn anew for each split and seed; real ones are split by the document that
    they are from (`split_of`), and come in an order shuffled by the seed.

    Raises:
        CourseError: unknown name.
    """
    source, slash, task = name.partition("/")
    if name.startswith("file:"):
        return _from_file(name, split, ("text", "label"), documents)
    if slash and source in WORLDS and task in TASKS:
        count = documents or DRAWN[split]
        return _draw(task)(world_of(source), count, seed_of("examples", seed, split))
    if slash and source == "reviews":
        from course_lib.corpora.reviews import read_reviews

        rows = [row for row in read_reviews(task) if split_of(row["unit"]) == split]
        rows.sort(key=lambda row: seed_of("order", seed, row["id"]))
        return Dataset.from_list(rows[:documents]).select_columns(["text", "label", "unit"])
    raise CourseError(
        f"Unknown examples {name!r}: give a world and a task (world/{', world/'.join(TASKS)}), "
        "reviews/film, reviews/product, or file:PATH."
    )


def _draw(task: str) -> Callable[..., Dataset]:
    from course_lib.corpora.world import pairs, tasks

    return getattr(tasks if hasattr(tasks, task) else pairs, task)


def _from_file(name: str, split: str, columns: tuple[str, str], documents: int | None) -> Dataset:
    path = Path(name.removeprefix("file:")).expanduser()
    rows, number = [], 0
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):  # noqa: B007
            if line.strip():
                row = json.loads(line)
                rows.append({column: row[column] for column in columns})
    except UnicodeDecodeError as error:
        raise CourseError(f"{path} is not in UTF-8: save it again in that encoding.") from error
    except OSError as error:
        raise CourseError(f"Cannot read {path} ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError) as error:
        wanted = " and ".join(columns)
        raise CourseError(f"{path}, line {number}: write one JSON object with {wanted}.") from error
    kept = [row for row in rows if split_of(str(row[columns[0]])) == split][:documents]
    if not kept:
        raise CourseError(f"{path} has no examples in {split}: add lines, a tenth is held out.")
    return Dataset.from_list(kept)


def _one_row(
    tokenizer: PreTrainedTokenizerBase, prompt: list[int], completion: list[int]
) -> dict[str, list[int]]:
    """One text; the loss is on the completion alone."""
    return {"input_ids": [*prompt, *completion], "labels": [*([-100] * len(prompt)), *completion]}


def _two_rows(
    tokenizer: PreTrainedTokenizerBase, prompt: list[int], completion: list[int]
) -> dict[str, list[int]]:
    """The encoder reads the prompt, closed by its end, and the decoder writes the completion."""
    return {"input_ids": [*prompt, tokenizer.eos_token_id], "labels": completion}


def _require_short(name: str, examples: Examples, length: int) -> None:
    longest = max((len(row[key]) for row in examples.encoded for key in row), default=0)
    if longest > length:
        raise CourseError(
            f"{name} has an example of {longest} tokens and data.length = {length}: raise it."
        )
