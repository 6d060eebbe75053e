"""A tiny encoder tuned on the forms of GLUE and SuperGLUE, pre-trained or not: notebook 14.

    python -m course_lib.studies.suites

makes the lines that are missing from `data/outputs/suites.jsonl`: about a quarter of an hour on a
quiet machine of two cores.

Each task is learnt on its own, from 1,000 examples of its training part, as those benchmarks have
it: a new head on the encoder, all weights trained. The same network starts from the base
`bert-world` (pre-trained on the world's documents) or from fresh weights. Written down before the
runs were made:

- If a suite did not rank models by what they know of the language, the pre-trained encoder would be
  no better than the fresh one. The floor is the more frequent label; the ceiling is 1, since every
  label is true by construction.
- If the harder suite separated models better, the two would be further apart on SuperGLUE's forms
  than on GLUE's. It would not if the harder forms are beyond both: a test separates nobody at its
  floor, as it separates nobody at its ceiling.
- The laziest opponent is the more frequent label (`majority`).

A second system is the base `gpt2-almanac`, tuned on the training part of acceptability alone, as a
causal model: the harness asks it everything that it asks SmolLM2 (`Recorded`, "toy-tuned"). If it
did not matter which benchmark is chosen, the same of the two would be ahead on acceptability and on
the questions about countries.

Rate and length are those with which notebook 01 tunes (`studies.masked.FINE_TUNING`).
"""

import json
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from datasets import Dataset

from course_lib.evaluation import accuracy, matthews
from course_lib.evaluation.benchmarks import evaluate_tasks
from course_lib.evaluation.benchmarks.items import splits
from course_lib.evaluation.benchmarks.pairs import training_file
from course_lib.finetuning import SentimentTask
from course_lib.finetuning.batches import random_batches
from course_lib.models.heads import with_head
from course_lib.models.inspection import evaluation_mode
from course_lib.objectives.labels import count_labels, label_logits, label_loss
from course_lib.objectives.supervised import Supervised
from course_lib.runtime import data_path, describe_machine
from course_lib.runtime.errors import CourseError
from course_lib.studies import benchmarks
from course_lib.studies.design import SEEDS
from course_lib.studies.masked import FINE_TUNING
from course_lib.training import Optimization, Recipe, fit, fresh_model, load_base, train

# What the encoder reads of an item, in this order, and how many labels there are.
READS = {
    "acceptability": (("sentence",), 2),
    "paraphrase": (("sentence1", "sentence2"), 2),
    "inference": (("hypothesis", "premise"), 3),
    "yes_no": (("question", "passage"), 2),
    "word_in_context": (("word", "sentence1", "sentence2"), 2),
    "multi_sentence": (("question", "answer", "passage"), 2),
}
GLUE = ("acceptability", "paraphrase", "inference")
SUPERGLUE = ("yes_no", "word_in_context", "multi_sentence")
STARTS = ("pretrained", "fresh")
TOY_TASKS = (
    "glue_acceptability",
    *(f"mmlu_{s}_by_text" for s in ("geography", "government", "economy", "people")),
)
LONGEST = 128  # tokens: what the encoder reads


@dataclass(frozen=True)
class Tuned:
    """One tuned encoder on the test of its task.

    Attributes:
        task: which items.
        start: "pretrained" or "fresh".
        seed: of the head and of the order of examples.
        accuracy: share of right labels.
        majority: that of the most frequent label of the test.
        matthews: Matthews correlation.
        said: the label it gives each item.
        info: versions, device.
    """

    task: str
    start: str
    seed: int
    accuracy: float
    majority: float
    matthews: float
    said: list[int]
    info: dict[str, Any] | None = None


def tuned_encoders(**where: Any) -> list[Tuned]:
    """What is on record, by task, start and seed; `where` picks by those.

    Raises:
        CourseError: nothing on record.
    """
    found = [
        one for one in _read() if all(getattr(one, key) == value for key, value in where.items())
    ]
    if not found:
        raise CourseError(
            f"Nothing on record for {where}: make it with `python -m course_lib.studies.suites`."
        )
    return found


def rows_of(task: str, split: str, tokenizer: Any) -> Dataset:
    """The items of a task as texts with labels; those that are too long to be read are left out."""
    fields, _ = READS[task]
    items = splits(task)[split]
    texts = [" ".join(item[field] for field in fields) for item in items]
    sizes = [len(ids) for ids in tokenizer(texts, split_special_tokens=True)["input_ids"]]
    kept = zip(texts, items, sizes, strict=True)
    return Dataset.from_list(
        [{"text": text, "label": item["label"]} for text, item, n in kept if n <= LONGEST]
    )


def tune(task: str, start: str, seed: int, settings: Optimization = FINE_TUNING) -> Tuned:
    """Tune an encoder on the training part of a task and ask it about the test."""
    base = load_base("bert-world")
    body = base.model
    if start == "fresh":
        body = fresh_model(base.recipe.replace(seed=seed), base.tokenizer)
    labels = READS[task][1]
    train, test = (rows_of(task, split, base.tokenizer) for split in ("train", "test"))
    head = SentimentTask(labels)
    examples, held_out = (head.encode(rows, base.tokenizer) for rows in (train, test))
    pad, settings = Supervised(base.tokenizer, text_labels=True), settings.replace(seed=seed)
    model, draw = with_head(body, labels, seed), random_batches(len(examples), settings)
    fit(model, lambda t: pad(examples[draw(t)]), settings, loss=label_loss, count=count_labels)
    with evaluation_mode(model) as device:
        batch = pad(held_out.encoded)
        logits = label_logits(model, {key: value.to(device) for key, value in batch.items()})
    said, right = logits.argmax(dim=1).tolist(), list(test["label"])
    [(_, most)] = Counter(right).most_common(1)
    scores = (accuracy(said, right), most / len(right), matthews(said, right))
    return Tuned(task, start, seed, *(round(float(score), 6) for score in scores), said)


def toy_recipe(seed: int, steps: int = 300) -> Recipe:
    """The toy's tuning; the rate is that of the recipe `tuned-almanac`."""
    return Recipe.from_dict(
        {
            "name": "tuned-toy",
            "start": "base:gpt2-almanac",
            "objective": "supervised",
            "data": {"corpus": training_file(["glue_acceptability"]), "length": 192},
            "optimization": {
                "steps": steps,
                "batch": 16,
                "optimizer": "muon",
                "learning_rate": 1e-2,
                "warmup": min(20, steps),
                "seed": seed,
            },
        }
    )


def _read() -> list[Tuned]:
    path = data_path("outputs", "suites.jsonl")
    if not path.is_file():
        return []
    return [Tuned(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Make what is missing."""
    there = {(one.setting, one.task) for one in benchmarks.on_record() if one.system == "toy-tuned"}
    for seed in SEEDS:
        if not all((f"seed {seed}", task) in there for task in TOY_TASKS):
            run = train(toy_recipe(seed))
            found = evaluate_tasks(run.model, run.tokenizer, TOY_TASKS, limit=benchmarks.ITEMS)
            for one in benchmarks.keep("toy-tuned", f"seed {seed}", found):
                benchmarks.add(one)
                print("tuned toy", seed, one.task, one.score(), flush=True)
    there = {(one.task, one.start, one.seed) for one in _read()}
    for task in READS:
        for seed in SEEDS:
            for start in STARTS:
                if (task, start, seed) not in there:
                    found = tune(task, start, seed)
                    line = asdict(found) | {"info": describe_machine()}
                    with data_path("outputs", "suites.jsonl").open("a", encoding="utf-8") as file:
                        file.write(json.dumps(line) + "\n")
                    print(task, start, seed, found.accuracy, found.majority, flush=True)


if __name__ == "__main__":
    sys.exit(main())
