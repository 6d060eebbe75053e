"""What SmolLM2 scores on the benchmarks of notebook 14, item by item, and what moves its score.

    python -m course_lib.studies.benchmarks

makes the lines that are missing from `data/outputs/benchmarks.jsonl`: all of them in half an hour
on one core of a quiet machine, the tuning of the second model included.

Written down before they were made:

- If it did not matter *how* a question is put, the settings of one model on the same hundred
  questions would differ no more than their intervals allow. The floor is 0.25 (four choices).
- If scoring letters measured knowledge, `letters` would come near to `texts`: the questions, the
  examples and the model are the same.
- If multiple choice measured a liking for a place, a letter, and not the answer, `letters` would
  move with the order of the choices, while the answers stay what they are.
- If only what stands last in a prompt counted, five examples cut down to what 32 tokens hold (the
  question and an example at the most; the harness cuts on the left and goes on) would do as well as
  five whole ones. If examples were of no use, no worse than the question alone.
- If the token that a text is to begin with (BOS; here `<|im_start|>`, which opens each turn of a
  chat) were nothing to the model, to put it in front would move no score.
- If tuning taught the model a task and not a way of being asked, the tuned model would be ahead on
  sentiment in the harness's words as it is behind the chat template in which it learnt.
- The laziest opponent of a subject of knowledge: always the same letter, about 0.25.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

from course_lib.evaluation.benchmarks import (
    Evaluation,
    Score,
    evaluate_tasks,
    read_bigbench,
)
from course_lib.evaluation.benchmarks.harness import resolve_tasks, silence
from course_lib.evaluation.benchmarks.items import splits
from course_lib.runtime import data_path, describe_machine
from course_lib.runtime.errors import CourseError
from course_lib.studies.tuning import TUNED

BLANK = "0 shots, a blank at the end"
CHAT = "0 shots, chat"
LETTERS = "ABCD"
ITEMS = 100  # of a task of a suite, at the most
_BATCH = 4

# What the tuned model is asked, besides the questions on countries.
TUNED_TOO = ("glue_form", "superglue_form", "bigbench_form")
SUITES = (*TUNED_TOO, "mmlu_world_by_text", "mmlu_reasoning_by_text")


@dataclass(frozen=True)
class Recorded:
    """One model on one task in one setting.

    Attributes:
        system: "smollm2" or "smollm2-tuned" (on film reviews: the recipe `tuned-smollm2`).
        task: as the harness calls it.
        setting: how it was asked.
        scores: a row for each metric, as `Score`.
        right: for each item, its value by the first metric that is a mean; empty where none is.
        said: for each item, the log-likelihood of each choice in nats, or the text.
        info: versions, device.
    """

    system: str
    task: str
    setting: str
    scores: list[dict[str, Any]]
    right: list[float]
    said: list[Any]
    info: dict[str, Any] | None = None

    def score(self, metric: str | None = None) -> Score:
        """The score by a metric, by default the first."""
        found = [Score(**row) for row in self.scores if metric in (None, row["metric"])]
        if not found:
            raise CourseError(f"{self.task} has no {metric} on record.")
        return found[0]


@dataclass(frozen=True)
class Setting:
    """How the hundred questions on countries are asked."""

    ask: str
    answer: list[str] | str
    shots: int = 0
    chat: bool = False
    turn: int = 0
    window: int | None = None  # so many tokens at the most, the last ones; None: all it can read

    def config(self) -> dict[str, Any]:
        """The task for the harness."""
        metrics = ["acc", "acc_norm"] if self.answer == "{{choices}}" else ["acc"]
        return {
            "task": "factbook",
            "custom_dataset": lambda **_: _turned(self.turn),
            "test_split": "test",
            "fewshot_split": "train",
            "fewshot_config": {"sampler": "first_n"},
            "output_type": "multiple_choice",
            "doc_to_text": self.ask,
            "doc_to_choice": self.answer,
            "doc_to_target": "answer",
            "metric_list": [
                {"metric": name, "aggregation": "mean", "higher_is_better": True}
                for name in metrics
            ],
        }


LISTED = "{{question}}\n" + "".join(f"{x}. {{{{choices[{i}]}}}}\n" for i, x in enumerate(LETTERS))
PLAIN = "Question: {{question}}\nAnswer:"
TEXTS = "{{choices}}"
SETTINGS = {
    "letters, 5 shots": Setting(f"{LISTED}Answer:", list(LETTERS), 5),
    "texts, 5 shots": Setting(PLAIN, TEXTS, 5),
    "letters": Setting(f"{LISTED}Answer:", list(LETTERS)),
    "texts": Setting(PLAIN, TEXTS),
    "texts, choices listed": Setting(f"{LISTED}Answer:", TEXTS),
    "letters, order turned by 1": Setting(f"{LISTED}Answer:", list(LETTERS), turn=1),
    "letters, order turned by 2": Setting(f"{LISTED}Answer:", list(LETTERS), turn=2),
    "letters, order turned by 3": Setting(f"{LISTED}Answer:", list(LETTERS), turn=3),
    "texts, only the question": Setting("{{question}}", TEXTS),
    "texts, asked politely": Setting(
        "Could you please tell me: {{question}}\nSure! The answer is", TEXTS
    ),
    # As text: this tokenizer adds none, whatever the harness's `add_bos_token` says.
    "texts, BOS in front": Setting(f"<|im_start|>{PLAIN}", TEXTS),
    "texts, chat": Setting("{{question}}", TEXTS, chat=True),
    "letters, chat": Setting(f"{LISTED}Answer:", list(LETTERS), chat=True),
    "texts, 1 shot": Setting(PLAIN, TEXTS, 1),
    "texts, 5 shots cut to 32 tokens": Setting(PLAIN, TEXTS, 5, window=32),
}


def recorded(system: str, task: str | None = None) -> list[Recorded]:
    """What a system has on record, in the order in which it was made; of one task, or of all.

    Raises:
        CourseError: nothing on record.
    """
    found = [one for one in on_record() if one.system == system and task in (None, one.task)]
    if not found:
        raise CourseError(
            f"{system} has nothing on record for {task or 'any task'}: make it with "
            "`python -m course_lib.studies.benchmarks`."
        )
    return found


def ask(model: Any, tokenizer: Any, setting: Setting, limit: int | None = None) -> Evaluation:
    """A causal model on the hundred questions on countries, in one setting."""
    from lm_eval.models.huggingface import HFLM

    with silence():
        scored = HFLM(
            pretrained=model,
            tokenizer=tokenizer,
            batch_size=_BATCH,
            max_length=setting.window,
        )
    return evaluate_tasks(
        scored, None, [setting.config()], shots=setting.shots, chat=setting.chat, limit=limit
    )


def keep(system: str, setting: str, found: Evaluation) -> Iterator[Recorded]:
    """An evaluation as lines for the record, one for each task."""
    for task, samples in found.results["samples"].items():
        scores = [score.as_row() for score in found.scores if score.task == task]
        means = [row["metric"] for row in scores if row["metric"] in samples[0]]
        means = [name for name in means if isinstance(samples[0][name], float | int)]
        yield Recorded(
            system,
            task,
            setting,
            [{k: round(v, 6) if isinstance(v, float) else v for k, v in s.items()} for s in scores],
            [float(sample[means[0]]) for sample in samples] if means else [],
            [_said(sample["filtered_resps"]) for sample in samples],
        )


def _said(responses: list[Any]) -> Any:
    if isinstance(responses[0], str):
        return responses[0]
    return [round(float(score), 4) for score, _ in responses]


def _turned(by: int) -> dict[str, Any]:
    """The questions with the choices moved on by so many places, the last ones to the front."""
    from datasets import Dataset

    def turned(item: dict[str, Any]) -> dict[str, Any]:
        choices = item["choices"][-by:] + item["choices"][:-by] if by else item["choices"]
        return item | {"choices": choices, "answer": (item["answer"] + by) % len(choices)}

    rows = splits("factbook")
    return {name: Dataset.from_list([turned(item) for item in rows[name]]) for name in rows}


def on_record() -> list[Recorded]:
    """All lines of the record."""
    path = data_path("outputs", "benchmarks.jsonl")
    if not path.is_file():
        return []
    return [Recorded(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def add(new: Recorded) -> None:
    """Write a line more."""
    line = asdict(new) | {"info": describe_machine()}
    with data_path("outputs", "benchmarks.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


@cache
def _smollm2() -> tuple[Any, Any]:
    from course_lib.models.real import real

    found = real("smollm2")
    return found.model, found.tokenizer


@cache
def _tuned() -> tuple[Any, Any]:
    from course_lib.training import train

    run = train(TUNED)
    return run.model, run.tokenizer


SYSTEMS: dict[str, Callable[[], tuple[Any, Any]]] = {"smollm2": _smollm2, "smollm2-tuned": _tuned}


def main() -> None:
    """Make what is missing: SmolLM2 on all, then the tuned one on what shows the difference."""
    there = {(one.system, one.task, one.setting) for one in on_record()}
    for system in SYSTEMS:
        for name, setting in SETTINGS.items():
            if system == "smollm2" or name in ("letters", "texts"):
                _settle(system, name, setting, there)
        for tag in SUITES if system == "smollm2" else TUNED_TOO:
            for task in resolve_tasks([tag]):
                _evaluate(system, task, "0 shots", there)
        _evaluate(system, "glue_sentiment", CHAT, there)
    if ("smollm2", "bigbench_opposites", BLANK) not in there:
        found = evaluate_tasks(*_smollm2(), [_with_a_blank("opposites")], batch=_BATCH)
        _add_all("smollm2", BLANK, found)


def _evaluate(system: str, task: str, setting: str, there: set[tuple[str, str, str]]) -> None:
    if (system, task, setting) not in there:
        found = evaluate_tasks(
            *SYSTEMS[system](), [task], limit=ITEMS, chat=setting == CHAT, batch=_BATCH
        )
        _add_all(system, setting, found)


def _with_a_blank(name: str) -> dict[str, Any]:
    """A task of BIG-bench's form whose prompt ends in "A: ", as its format does by default."""
    task = read_bigbench(data_path("benchmarks", "bigbench", name))
    layout = task.layout | {"example_output_prefix": "\nA: "}
    return replace(task, layout=layout).harness_config()


def _settle(system: str, name: str, setting: Setting, there: set[tuple[str, str, str]]) -> None:
    if (system, "factbook", name) not in there:
        _add_all(system, name, ask(*SYSTEMS[system](), setting))
        there.add((system, "factbook", name))


def _add_all(system: str, setting: str, found: Evaluation) -> None:
    for one in keep(system, setting, found):
        add(one)
        print(system, setting, one.task, one.score(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
