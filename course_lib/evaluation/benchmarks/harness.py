"""Benchmarks on lm-evaluation-harness (`lm_eval`): our tasks, its scoring, our intervals.

The tasks are its own YAML files, in `data/benchmarks`, and run as they are by its own command:

    lm_eval --model hf --model_args pretrained=FOLDER --include_path data/benchmarks \\
        --tasks glue_form,mmlu_form --num_fewshot 5

What is added here: an encoder is refused (the harness would run BERT as if it wrote from left to
right, and report a number), a name that does not exist is answered with the nearest that does, and
every score has an interval over items.
"""

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_lib.evaluation.benchmarks.bigbench import read_bigbench
from course_lib.evaluation.benchmarks.scores import Score, scores_of
from course_lib.models.inspection import require_tokenizer
from course_lib.objectives.loss import kind_of
from course_lib.runtime import data_path
from course_lib.runtime.checks import Count, NotNegativeCount, checked
from course_lib.runtime.errors import CourseError
from course_lib.runtime.progress_bar import progress

if TYPE_CHECKING:
    import pandas as pd
    from lm_eval.api.model import LM

_BATCH = 16
GENERATIVE = ("LMHeadModel", "ForCausalLM", "ForConditionalGeneration")  # ends of classes' names


@dataclass(frozen=True)
class Evaluation:
    """What the harness found, and a score with its interval for each task and metric.

    Attributes:
        results: as `lm_eval` writes it: `results`, `configs`, `n-shot`, `n-samples`, ..., and under
            `samples` for each task and item the document, what was asked, and what came back.
        scores: one for each task and metric, in the order of the tasks.
    """

    results: dict[str, Any]
    scores: tuple[Score, ...]

    def score(self, task: str, metric: str | None = None) -> Score:
        """The score of a task; the first of its metrics if none is named.

        Raises:
            CourseError: it was not evaluated, or has no such metric.
        """
        found = [s for s in self.scores if s.task == task and metric in (None, s.metric)]
        if not found:
            there = list(dict.fromkeys(s.task for s in self.scores))
            near = get_close_matches(task, there, n=3, cutoff=0.4) or there[:3]
            told = [f"{s.task} ({s.metric})" for s in self.scores if s.task in near]
            raise CourseError(
                f"No score of {task} by {metric or 'any metric'}: near it are {', '.join(told)}."
            )
        return found[0]

    def frame(self) -> "pd.DataFrame":
        """A row for each score: task, metric, value, stderr, low, high, chance, items."""
        import pandas as pd

        return pd.DataFrame([score.as_row() for score in self.scores])


@checked
def evaluate_tasks(
    model: Any,
    tokenizer: PreTrainedTokenizerBase | None,
    tasks: Sequence[str | dict[str, Any]],
    *,
    shots: NotNegativeCount | None = None,
    limit: Count | None = None,
    chat: bool = False,
    batch: Count = _BATCH,
) -> Evaluation:
    """Score a model on benchmarks, by the harness.

    Args:
        model: a causal model or an encoder-decoder; or an `lm_eval` model, with no tokenizer.
        tokenizer: the model's.
        tasks: names of tasks or of their tags (`task_names()` lists both), paths of tasks in
            BIG-bench's JSON format, or tasks as the harness's own configuration dicts.
        shots: solved examples in front of each item; None is what the task says, mostly none.
        limit: the first so many items of each task alone.
        chat: put each question into the model's chat template.
        batch: rows read at once.

    Raises:
        CourseError: an unknown task, an encoder, a tokenizer of another model, no chat template,
            more shots than a task has examples.
        BadArgumentError: an argument of another type.
    """
    from lm_eval import simple_evaluate

    asked = resolve_tasks(tasks)
    with silence():
        scored = as_harness_model(model, tokenizer, batch)
        if chat and not getattr(getattr(scored, "tokenizer", None), "chat_template", None):
            raise CourseError("chat=True: this tokenizer has no chat template; leave it out.")
        try:
            found = simple_evaluate(
                scored,
                tasks=list(asked.values()),
                num_fewshot=shots,
                limit=limit,
                bootstrap_iters=0,
                apply_chat_template=chat,
                task_manager=_manager(),
            )
        except AssertionError as error:
            if "fewshot" not in str(error):
                raise
            raise CourseError(f"shots={shots}: give fewer ({error}).") from error
    found = dict(found)
    # It adds the state of the repository, the machine and the time, which are no part of a score.
    for extra in ("git_hash", "date", "pretty_env_info", "upper_git_hash"):
        found.pop(extra, None)
    return Evaluation(found, tuple(scores_of(found)))


def as_harness_model(
    model: Any, tokenizer: PreTrainedTokenizerBase | None, batch: int = _BATCH
) -> "LM":
    """The model as the harness takes it.

    Raises:
        CourseError: a masked language model or a bare encoder, or a tokenizer of another model.
    """
    from lm_eval.api.model import LM
    from lm_eval.models.huggingface import HFLM

    if isinstance(model, LM):
        return model
    if not isinstance(model, PreTrainedModel) or tokenizer is None:
        raise CourseError(
            f"model is {type(model).__name__}: give a transformers model with its tokenizer, or an "
            "lm_eval model."
        )
    require_generative(model)
    require_tokenizer(model, tokenizer)
    backend = "seq2seq" if kind_of(model) == "seq2seq" else "causal"
    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch, backend=backend)


@checked
def require_generative(model: PreTrainedModel) -> None:
    """Refuse a model that has no probability of what comes next.

    Raises:
        CourseError: an encoder, with or without a head.
    """
    name = type(model).__name__
    if name.endswith(GENERATIVE) and name != "BertLMHeadModel":
        return
    raise CourseError(
        f"{name} is no model that writes from left to right, and the harness would run it as if it "
        "were: its scores would mean nothing. Fine-tune an encoder with a head instead "
        "(course_lib.finetuning), and score its labels with course_lib.evaluation."
    )


def task_names() -> dict[str, tuple[str, ...]]:
    """The tasks of the course by tag: `glue_form`, `superglue_form`, `mmlu_form`, ..."""
    import yaml

    found: dict[str, list[str]] = {}
    for path in sorted(data_path("benchmarks").glob("*.yaml")):
        for line in path.read_text(encoding="utf-8").splitlines()[:2]:
            told = yaml.safe_load(line)
            if "tag" in told:
                found.setdefault(told["tag"], []).append(path.stem)
    return {tag: tuple(names) for tag, names in found.items()}


def resolve_tasks(names: Sequence[str | dict[str, Any]]) -> dict[str, str | dict[str, Any]]:
    """By task: what the harness is given for it, a name or a whole configuration.

    Raises:
        CourseError: an unknown name; the nearest ones are named.
    """
    tags = task_names()
    known = [name for names in tags.values() for name in names]
    found: dict[str, str | dict[str, Any]] = {}
    for name in names:
        if isinstance(name, dict):
            if not isinstance(name.get("task"), str):
                raise CourseError(
                    f'A task as a dict has its name under "task": this has {[*name]}.'
                )
            found[name["task"]] = dict(name)
        elif name in tags:
            found |= {task: task for task in tags[name]}
        elif name in known:
            found[name] = name
        elif name.endswith(".json") or Path(name).joinpath("task.json").is_file():
            config = read_bigbench(name).harness_config()
            found[config["task"]] = config
        else:
            near = get_close_matches(name, [*known, *tags], n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(tags)}."
            raise CourseError(f"No task {name!r}: {hint}")
    if not found:
        raise CourseError(f"No tasks: give names or tags, such as {', '.join(tags)}.")
    return found


def loaded_task(name: str) -> Any:
    """A task of the course as the harness builds it: its items and how it words them."""
    with silence():
        return _manager().load([name])["tasks"][name]


@cache
def _manager() -> Any:
    """The index of our tasks alone: that of the harness's own takes half a minute to make."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=str(data_path("benchmarks")), include_defaults=False)


@contextmanager
def silence() -> Iterator[None]:
    """Without the harness's remarks, and without its bars where nobody watches."""
    logger = logging.getLogger("lm_eval")
    before, nobody = logger.level, progress().disable
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stderr(io.StringIO()) if nobody else nullcontext():
            yield
    finally:
        logger.setLevel(before)
