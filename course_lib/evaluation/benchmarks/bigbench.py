"""BIG-bench's task format: one JSON file that says what is asked and how it is scored.

Srivastava et al. 2022 (arXiv:2206.04615) collected more than two hundred tasks in it. A file holds
`name`, `description`, `keywords`, `metrics`, `preferred_score` and `examples`. An example has an
`input` and either a `target` (a text, or several that are right) or `target_scores` (choices, and
what each is worth). How they are put together is said by `task_prefix`, `example_input_prefix`
(default "\\nQ: "), `example_output_prefix` ("\\nA: "), `choice_prefix` ("\\n  choice: ") and
`append_choices_to_input` (true).
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, FiniteFloat, ValidationError

from course_lib.evaluation.benchmarks import rules
from course_lib.runtime import data_path, seed_of
from course_lib.runtime.checks import checked, remedy
from course_lib.runtime.errors import CourseError

if TYPE_CHECKING:
    from datasets import Dataset

METRICS = ("multiple_choice_grade", "exact_str_match")
_NEW_TOKENS = 16


@dataclass(frozen=True)
class BigBenchTask:
    """A task as its file says it.

    Attributes:
        name: of the task.
        description: what it tests, in words.
        keywords: by which tasks are grouped.
        metric: `multiple_choice_grade` or `exact_str_match`: the preferred one.
        examples: an input with its target or target scores each.
        layout: the prefixes, and whether the choices stand in the question.
        stop: free text ends before it.
        output_regex: of free text, what counts; "" for all of it.
    """

    name: str
    description: str
    keywords: tuple[str, ...]
    metric: str
    examples: tuple[dict[str, Any], ...]
    layout: dict[str, Any]
    stop: str = "\n"
    output_regex: str = ""

    def documents(self) -> list[dict[str, Any]]:
        """The examples as the harness reads them: `inputs`, and `choices` or `targets`."""
        return [self._document(example) for example in self.examples]

    def harness_config(self) -> dict[str, Any]:
        """The task for `lm_eval`, scored by BIG-bench's rule."""
        by_choice = self.metric == "multiple_choice_grade"
        asked = {
            "output_type": "multiple_choice",
            "doc_to_choice": "{{choices}}",
            "doc_to_target": "{{best}}",
        }
        written = {
            "output_type": "generate_until",
            "doc_to_target": "{{targets[0]}}",
            "generation_kwargs": {
                "until": [self.stop],
                "max_gen_toks": _NEW_TOKENS,
                "do_sample": False,
            },
        }
        metric = {"metric": self.metric, "aggregation": "mean", "higher_is_better": True}
        return {
            "task": f"bigbench_{self.name}",
            "custom_dataset": self._dataset,
            "test_split": "test",
            "fewshot_split": "test",
            "description": "{{prefix}}",
            "doc_to_text": "{{inputs}}",
            "target_delimiter": "" if self.layout["example_output_prefix"][-1:].isspace() else " ",
            "fewshot_delimiter": self.layout["few_shot_example_separator"],
            "process_results": getattr(rules, self.metric),
            "metric_list": [metric],
            **(asked if by_choice else written),
        }

    def _document(self, example: dict[str, Any]) -> dict[str, Any]:
        layout, scores = self.layout, example.get("target_scores", {})
        # A writer tends to put the right choice first: its place must not give it away.
        choices = sorted(scores, key=lambda choice: seed_of(self.name, example["input"], choice))
        shown = layout["choice_prefix"].join(["", *choices])
        text = layout["example_input_prefix"] + example["input"]
        text += (shown if layout["append_choices_to_input"] else "") + layout[
            "example_output_prefix"
        ]
        found = {"prefix": layout["task_prefix"], "inputs": text}
        if self.metric == "multiple_choice_grade":
            worth = [float(scores[choice]) for choice in choices]
            return found | {
                "choices": choices,
                "scores": worth,
                "best": worth.index(max(worth)),
            }
        target = example.get("target", [c for c in choices if scores[c] == max(scores.values())])
        targets = [target] if isinstance(target, str) else list(target)
        return found | {"targets": targets, "output_regex": self.output_regex}

    def _dataset(self, **_: Any) -> "dict[str, Dataset]":
        from datasets import Dataset

        return {"test": Dataset.from_list(self.documents())}


def _as_pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"it is no regular expression ({error})") from None
    return value


class _Example(BaseModel):
    input: str
    target: str | list[str] | None = None
    target_scores: dict[str, FiniteFloat] | None = None


class _File(BaseModel):
    name: str
    description: str = ""
    keywords: list[str] = []
    metrics: list[str]
    preferred_score: str = ""
    examples: list[_Example]
    stop_string: str | None = None
    output_regex: Annotated[str, AfterValidator(_as_pattern)] | None = None
    task_prefix: str = ""
    example_input_prefix: str = "\nQ: "
    example_output_prefix: str = "\nA: "
    choice_prefix: str = "\n  choice: "
    append_choices_to_input: bool = True
    few_shot_example_separator: str = "\n"


_LAYOUT = (
    "task_prefix",
    "example_input_prefix",
    "example_output_prefix",
    "choice_prefix",
    "append_choices_to_input",
    "few_shot_example_separator",
)


@checked
def read_bigbench(path: Path | str) -> BigBenchTask:
    """A task from its `task.json`, or from the folder that holds it.

    Raises:
        CourseError: no such file, no JSON, a field that is missing or of another type, an example
            that has neither target nor choices, or no metric that is supported here.
    """
    path = Path(path)
    path = path / "task.json" if path.is_dir() else path
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise CourseError(f"{path} is no JSON: {error}.") from error
    for field in ("name", "examples", "metrics"):
        if not isinstance(told, dict) or not told.get(field):
            raise CourseError(f"{path} has no {field!r}: it is no task of BIG-bench's JSON format.")
    try:
        file = _File.model_validate(told, strict=True)
    except ValidationError as error:
        raise CourseError(f"{path}{_place(error)}") from None
    known = [name for name in (file.preferred_score, *file.metrics) if name in METRICS]
    if not known:
        raise CourseError(
            f"{path} is scored by {', '.join(file.metrics)}: supported here are "
            f"{' and '.join(METRICS)}."
        )
    needed = "target_scores" if known[0] == "multiple_choice_grade" else "target"
    examples = [example.model_dump(exclude_none=True) for example in file.examples]
    for number, example in enumerate(examples):
        if not (example.get(needed) or example.get("target_scores")):
            raise CourseError(f"{path}, example {number}: give it {needed!r}.")
    return BigBenchTask(
        name=file.name,
        description=file.description,
        keywords=tuple(file.keywords),
        metric=known[0],
        examples=tuple(examples),
        layout={name: getattr(file, name) for name in _LAYOUT},
        stop=file.stop_string or "\n",
        output_regex=file.output_regex or "",
    )


def _place(error: ValidationError) -> str:
    """Where in the file it is wrong, and what would be right."""
    first = error.errors(include_url=False)[0]
    part, *rest = first["loc"]
    if part == "examples" and rest:
        part, rest = f"example {rest[0]}", rest[1:]
    where = " ".join([str(part), *map(repr, rest[:1])])
    fix = remedy(first).removesuffix(f" or instance of {_Example.__name__}")
    return f", {where}: {fix}.".replace("\n", " ")


def dataset(task: str, **_: Any) -> "dict[str, Dataset]":
    """The items of one of the course's own tasks, as the harness wants them."""
    return read_bigbench(data_path("benchmarks", "bigbench", task))._dataset()
