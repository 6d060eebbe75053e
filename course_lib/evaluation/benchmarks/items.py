"""The items of each benchmark by name, as the evaluation harness asks for them.

The harness's task files in `data/benchmarks` name `dataset` and say which items they want. All are
drawn anew: from the world, from the Factbook, from the rated sentences that set-up fetches. What is
written by hand is kept beside the task files.
"""

import json
from collections.abc import Callable, Iterable
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from course_lib.evaluation.benchmarks import world_items
from course_lib.runtime import data_path
from course_lib.runtime.checks import BadArgumentError, Text, checked

if TYPE_CHECKING:
    from datasets import Dataset

Item = dict[str, Any]
Splits = dict[str, list[Item]]

TEST, TRAIN = 200, 1000  # of what is drawn from the world
SHOTS = 5  # of the Factbook's questions, kept apart to be shown as examples
PER_SUBJECT = 25  # where four subjects are asked in one task
_TRAIN_SEED, _TEST_SEED = 1, 2


@checked
def splits(items: Text) -> Splits:
    """The items of that name: "test", and what may be learnt from or shown ("train").

    No item of the test is in the other split. They are made once and handed out again: copy what
    you change.

    Raises:
        BadArgumentError: there are none of that name.
        CourseError: they need what set-up has not fetched.
    """
    if items not in _MAKERS:
        raise BadArgumentError(f"items={items!r}: there are {', '.join(_MAKERS)}.")
    return _made(items)


@cache
def _made(items: str) -> Splits:
    return _MAKERS[items]()


def dataset(items: str, **_: Any) -> "dict[str, Dataset]":
    """The same as the harness wants it: a `Dataset` for each split."""
    from datasets import Dataset

    return {name: Dataset.from_list(rows) for name, rows in splits(items).items()}


def _drawn(draw: Callable[[int], Iterable[Item]], train: int = TRAIN) -> Callable[[], Splits]:
    def make() -> Splits:
        test = _distinct(draw(_TEST_SEED), TEST, set())
        return {"test": test, "train": _distinct(draw(_TRAIN_SEED), train, {*map(_text, test)})}

    return make


def _distinct(items: Iterable[Item], count: int, known: set[str]) -> list[Item]:
    new = (item for item in items if not (_text(item) in known or known.add(_text(item))))
    return list(islice(new, count))


def _text(item: Item) -> str:
    return json.dumps({key: item[key] for key in item if key not in ("label", "answer")})


def _of_world(make: Callable) -> Callable[[], Splits]:
    return _drawn(lambda seed: world_items.draw(make, seed))


def _reviews() -> Splits:
    from course_lib.corpora.examples import load_labelled

    found = {}
    for split, count in (("test", TEST), ("train", TRAIN)):
        rows = load_labelled("reviews/film", split, documents=count)
        found[split] = [{"text": row["text"].strip(), "label": row["label"]} for row in rows]
    return found


def _cause_effect() -> Splits:
    path = data_path("benchmarks", "cause_effect.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {"test": rows[SHOTS:], "train": rows[:SHOTS]}


def _factbook(subject: str) -> Callable[[], Splits]:
    def make() -> Splits:
        from course_lib.evaluation.benchmarks.factbook_items import questions

        found = questions(subject)
        return {"test": list(found[SHOTS:]), "train": list(found[:SHOTS])}

    return make


def _all_subjects() -> Splits:
    """As many questions of each subject of knowledge, one subject after the other."""
    each = [_factbook(subject)() for subject in ("geography", "government", "economy", "people")]
    test = [item for split in each for item in split["test"][:PER_SUBJECT]]
    return {"test": test, "train": [split["train"][0] for split in each] + each[0]["train"][1:2]}


_MAKERS: dict[str, Callable[[], Splits]] = {
    "acceptability": _of_world(world_items.acceptability),
    "sentiment": _reviews,
    "paraphrase": _of_world(world_items.paraphrase),
    "similarity": _of_world(world_items.similarity),
    "inference": _of_world(world_items.inference),
    "yes_no": _of_world(world_items.yes_no),
    "cause_effect": _cause_effect,
    "word_in_context": _drawn(world_items.word_in_context),
    "multi_sentence": _of_world(world_items.multi_sentence),
    "geography": _factbook("geography"),
    "government": _factbook("government"),
    "economy": _factbook("economy"),
    "people": _factbook("people"),
    "reasoning": _factbook("reasoning"),
    "factbook": _all_subjects,
    "world": _of_world(world_items.world_questions),
}
