"""General questions with the answers that a model gave before anybody tuned it.

Who tunes a published model has none of the data that it was made from, but has the model itself:
what it answers now can remind it later (Li and Hoiem 2017, arXiv:1606.09282, do so with a network's
outputs; Huang et al. 2024, arXiv:2403.01244, with text that it writes). The questions are our own;
the answers were written once, by `python -m course_lib.finetuning.own_answers`, and are kept.
"""

import json
import tomllib
from functools import cache

from course_lib.corpora.splits import Split
from course_lib.runtime import data_path
from course_lib.runtime.checks import Text, checked
from course_lib.runtime.errors import CourseError

OWN_ANSWERS = "own-answers/"


@cache
def general_questions() -> dict[Split, list[str]]:
    """The questions, by split; `data/instructions/general.toml`."""
    return tomllib.loads(data_path("instructions", "general.toml").read_text(encoding="utf-8"))


@checked
def own_answers(model: Text, split: Split = "train") -> list[dict[str, str]]:
    """Rows of `prompt` and `completion`: each general question, and what the model answered.

    Raises:
        BadArgumentError: an argument of another type.
        CourseError: no answers of a model of that name.
    """
    path = data_path("instructions", f"{model}.jsonl")
    if not path.is_file():
        there = sorted(file.stem for file in path.parent.glob("*.jsonl"))
        raise CourseError(
            f"No answers of {model!r} in {path.parent.name}: there are {', '.join(there)}."
        )
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    answered = {row["prompt"]: row["completion"] for row in rows}
    asked = [prompt for prompt in general_questions()[split] if prompt in answered]
    return [{"prompt": prompt, "completion": answered[prompt]} for prompt in asked]
