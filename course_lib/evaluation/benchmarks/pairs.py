"""The training part of a benchmark as prompts and completions, so that a model can be tuned on it.

GLUE and SuperGLUE come with training parts, and their tables compare models that were tuned on
them. A model that is only prompted answers another question, however large it is.
"""

import json
from collections.abc import Sequence
from random import Random

from course_lib.evaluation.benchmarks.harness import loaded_task, resolve_tasks
from course_lib.runtime import cache_path, seed_of
from course_lib.runtime.checks import SomeTexts, Whole, checked


@checked
def training_pairs(tasks: SomeTexts, seed: Whole = 0) -> list[dict[str, str]]:
    """Rows of `prompt` and `completion` from the training parts of the tasks, shuffled.

    Worded as the harness asks: the prompt is what it puts in front of a choice, the completion the
    right choice behind a space.

    Raises:
        CourseError: an unknown task.
    """
    rows = [row for name in resolve_tasks(tasks) for row in _rows(name)]
    Random(seed_of("benchmark pairs", seed)).shuffle(rows)
    return rows


def training_file(tasks: SomeTexts) -> str:
    """The same in a file of the cache; returns the name by which a recipe takes it (`file:PATH`).

    Raises:
        CourseError: an unknown task, or a cache that cannot be written.
    """
    path = cache_path("benchmarks", "-".join(tasks) + ".jsonl")
    lines = [json.dumps(row, ensure_ascii=False) for row in training_pairs(tasks)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return f"file:{path}"


def _rows(name: str) -> Sequence[dict[str, str]]:
    task = loaded_task(name)
    return [
        {
            "prompt": task.doc_to_text(doc),
            "completion": " " + task.doc_to_choice(doc)[int(task.doc_to_target(doc))],
        }
        for doc in task.dataset["train"]
    ]
