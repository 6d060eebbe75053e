"""The systems that notebook 13 tries metrics on: half-trained models, and a real one.

    python -m course_lib.studies.metrics

makes the texts that are missing from `data/outputs/`: about a quarter of an hour on two cores, and
as long again for SmolLM2, which writes ten tokens a second.
"""

import re
import sys
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from datasets import Dataset

from course_lib.corpora import World
from course_lib.corpora.world import reading, summaries, translation
from course_lib.finetuning import fine_tune_seq2seq
from course_lib.generation import generate_targets
from course_lib.runtime import progress
from course_lib.runtime.errors import CourseError
from course_lib.studies.design import LIVE_SEED, SEEDS
from course_lib.studies.outputs import Output, keep_outputs, load_outputs
from course_lib.studies.spans import FINE_TUNING, PAIRS
from course_lib.studies.truth import Item, summary_items
from course_lib.training import load_base

STAGES = (10, 20, 40, 80, 160, 320)  # steps of tuning after which a model writes
TESTS = 100
ASKED = 30  # of SmolLM2, for each task
LONGEST = 48  # tokens of an answer of SmolLM2

TRAINED: dict[str, Callable[..., Dataset]] = {"summaries": summaries, "translation": translation}
QUESTIONS = {
    "summaries": "Summarize this text in one sentence: {}",
    "answers": "{}",
    "short answers": "{} Answer with one or two words.",
    "rewordings": "Say this in other words: {}",
    "french": "Translate this sentence into French: {}",
}


def training_pairs(task: str, seed: int) -> Dataset:
    """The pairs that a model of this seed was tuned on."""
    return TRAINED[task](World(), PAIRS, seed=1000 + seed)


@cache
def _trained_on(task: str) -> frozenset[str]:
    """The sources that any model of the course, the reader's included, was tuned on."""
    pairs = (training_pairs(task, seed)["source"] for seed in (*SEEDS, LIVE_SEED))
    return frozenset(source for sources in pairs for source in sources)


@cache
def held_out_summaries() -> list[Item]:
    """A hundred documents that no model of the course was tuned on, with their summaries."""
    items = {item.document: item for item in summary_items(3 * TESTS, seed=1)}
    return [item for text, item in items.items() if text not in _trained_on("summaries")][:TESTS]


@cache
def held_out_translations() -> list[tuple[str, str]]:
    """A hundred sentences that no model of the course was tuned on, with their translations."""
    pairs = translation(World(), 30 * TESTS, seed=1)
    each = dict(zip(pairs["source"], pairs["target"], strict=True))
    return [pair for pair in each.items() if pair[0] not in _trained_on("translation")][:TESTS]


@cache
def questions_on_texts() -> list[tuple[str, str]]:
    """Documents of three sentences with a question, and the answer as it stands in the text."""
    pairs = reading(World(), ASKED, seed=1)
    return [
        (source.replace(" Question: ", "\n"), target)
        for source, target in zip(pairs["source"], pairs["target"], strict=True)
    ]


@cache
def french_messages() -> list[tuple[str, str]]:
    """English messages of the package sphinx, and the French of its volunteer translators.

    Plain sentences of five to fourteen words; sphinx's licence is BSD.

    Raises:
        CourseError: the package is not installed.
    """
    found = find_spec("sphinx")
    if found is None:
        raise CourseError("The French messages are in the package sphinx: pip install sphinx babel")
    from babel.messages.pofile import read_po

    path = Path(found.origin).parent / "locale" / "fr" / "LC_MESSAGES" / "sphinx.po"
    with path.open("rb") as file:
        catalogue = read_po(file)
    return [
        (message.id, message.string)
        for message in catalogue
        if isinstance(message.id, str) and message.string and not message.fuzzy
        if re.fullmatch(r"[A-Z][\w ,.'\"():;!-]*", message.id)
        and 5 <= len(message.id.split()) <= 14
    ]


def without_accents(text: str) -> str:
    """The letters alone: "é" becomes "e"."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def snapshots(task: str, seed: int, stages: tuple[int, ...] = STAGES) -> Iterator[Output]:
    """What the base BART writes after so many steps of tuning on pairs of a task.

    Each stage goes on from the one before, with a learning rate schedule of its own.
    """
    run, done = load_base("bart-world"), 0
    model, pairs = run.model, training_pairs(task, seed)
    for steps in stages:
        settings = FINE_TUNING.replace(steps=steps - done, warmup=5, seed=1000 * seed + steps)
        model, done = fine_tune_seq2seq(model, run.tokenizer, pairs, settings), steps
        yield Output(
            "bart-world", task, generate_targets(model, run.tokenizer, sources(task)), seed, steps
        )


def sources(task: str) -> list[str]:
    """What a tuned model reads."""
    if task == "summaries":
        return [item.document for item in held_out_summaries()]
    return [source for source, _ in held_out_translations()]


def prompts(task: str) -> list[str]:
    """What SmolLM2 is asked, in its chat template."""
    said = {
        "summaries": lambda: sources("summaries")[:ASKED],
        "answers": lambda: [question for question, _ in questions_on_texts()],
        "short answers": lambda: [question for question, _ in questions_on_texts()],
        "rewordings": lambda: [item.summary for item in held_out_summaries()[:ASKED]],
        "french": lambda: [english for english, _ in french_messages()],
    }
    return [QUESTIONS[task].format(text) for text in said[task]()]


def _missing(system: str, task: str, **where: int) -> bool:
    try:
        load_outputs(system, task, **where)
    except CourseError:
        return True
    return False


def main() -> None:
    """Make what is missing."""
    for task in TRAINED:
        for seed in SEEDS:
            if any(_missing("bart-world", task, seed=seed, steps=steps) for steps in STAGES):
                keep_outputs(snapshots(task, seed))
    missing = [task for task in QUESTIONS if _missing("smollm2", task)]
    if missing:
        from course_lib.models.real import chat, real

        writer = real("smollm2")
        for task in missing:
            asked = progress(prompts(task), desc=task)
            texts = [chat(writer.model, writer.tokenizer, one, tokens=LONGEST) for one in asked]
            keep_outputs([Output("smollm2", task, texts)])


if __name__ == "__main__":
    sys.exit(main())
