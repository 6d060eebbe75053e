"""`python -m course_lib evaluate FOLDER --tasks ...`: scores on benchmarks, and a card."""

import argparse
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_lib.runtime.errors import CourseError

if TYPE_CHECKING:
    from course_lib.evaluation.benchmarks import Evaluation

HELP = "score a model on benchmarks: GLUE's, SuperGLUE's, MMLU's, BIG-bench's forms"
DESCRIPTION = """\
Score a model on benchmarks, by lm-evaluation-harness.

  FOLDER   a causal model or an encoder-decoder with its tokenizer, in the transformers format: a
           run of `python -m course_lib train`, a folder of data/checkpoints, any of your own.
           An encoder (BERT) is refused: it has no probability of what comes next, so its score
           would mean nothing.
  --tasks  tags or tasks, with commas between them; or a task.json in BIG-bench's format.

           glue_form          is this a sentence, do these two say the same, ...
           superglue_form     the same, harder: questions on passages, cause and effect, ...
           mmlu_form          four choices by subject, answered by letter
           mmlu_form_by_text  the same questions, answered by the text of the choice
           bigbench_form      small tasks of many kinds

A multiple-choice task is scored without letting the model talk: each choice is put behind the
question, and the one that the model finds likeliest is its answer. acc takes the summed
log-likelihood, acc_norm divides it by the length of the choice, since a longer text has more to
lose. How a question is put moves a score by more than most differences between models, so report
--shots, --chat and the form beside the number, and never compare across them.
"""
EXAMPLES = """\
examples:
  python -m course_lib evaluate data/checkpoints/gpt2-world --tasks glue_form
  python -m course_lib evaluate RUN --tasks mmlu_form,mmlu_form_by_text --shots 5 --out scores
  python -m course_lib evaluate RUN --tasks mmlu_people --limit 20        # a first look
  python -m course_lib evaluate RUN --tasks some/task.json

It writes results.json (the harness's format, every item included), card.md and card.html (scores
with 95% intervals). Stopped half way, the same command goes on where it was. The task files are the
harness's own: `lm_eval --include_path data/benchmarks --tasks glue_form` runs them too.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command, and the help that explains them."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="the model")
    parser.add_argument("--tasks", required=True, metavar="A,B", help="tags, tasks, or task.json")
    parser.add_argument(
        "--shots", type=int, metavar="K", help="solved examples before each item (default: 0)"
    )
    parser.add_argument(
        "--limit", type=int, metavar="N", help="the first N items of each task (default: all)"
    )
    parser.add_argument("--chat", action="store_true", help="use the model's chat template")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where to write (default: FOLDER/evaluation)",
    )


def run(options: argparse.Namespace) -> int:
    """Evaluate task by task, and write the results and the card; returns the exit status."""
    from course_lib.evaluation.benchmarks.harness import evaluate_tasks, resolve_tasks

    if options.shots is not None and options.shots < 0:
        raise CourseError(f"--shots {options.shots}: give 0 or more.")
    if options.limit is not None and options.limit < 1:
        raise CourseError(f"--limit {options.limit}: give at least 1.")
    asked = resolve_tasks([name.strip() for name in options.tasks.split(",") if name.strip()])
    _require_model(options.folder)
    out = options.out or options.folder / "evaluation"
    _make(out / "tasks")
    settings = _settings(options)
    model = tokenizer = None
    found: dict[str, dict[str, Any]] = {}
    for number, (task, given) in enumerate(asked.items(), 1):
        kept = out / "tasks" / f"{task}.json"
        found[task] = _kept(kept, settings)
        note = " (made before)" * bool(found[task])
        if not found[task]:
            print(f"[{number}/{len(asked)}] {task} ...", flush=True)
            if model is None:
                model, tokenizer = _load(options.folder)
            how = {"shots": options.shots, "limit": options.limit, "chat": options.chat}
            found[task] = _as_json(evaluate_tasks(model, tokenizer, [given], **how))
            _write(kept, json.dumps({"settings": settings, "found": found[task]}, indent=1))
        for line in _lines(found[task]):
            print(f"[{number}/{len(asked)}] {line}{note}", flush=True)
    _report(out, options, found)
    print(f"results.json, card.md and card.html in {out}")
    return 0


def _report(out: Path, options: argparse.Namespace, found: dict[str, dict[str, Any]]) -> None:
    from course_lib.evaluation.benchmarks.card import html_card, markdown_card
    from course_lib.evaluation.benchmarks.scores import scores_of
    from course_lib.runtime import describe_machine

    merged: dict[str, Any] = {}
    for one in found.values():
        for key, value in one.items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = merged[key] | value if both else value
    shots = merged["n-shot"]
    scores = list(scores_of(merged))
    about = {
        "model": options.folder.resolve().name,
        "folder": str(options.folder),
        "chat template": "yes" if options.chat else "no",
        "items": f"the first {options.limit} of each task" if options.limit else "all",
        "harness": f"lm_eval {merged.get('lm_eval_version', '')}",
    }
    about |= {name: str(value) for name, value in describe_machine().items()}
    _write(out / "results.json", json.dumps(merged, indent=1, ensure_ascii=False))
    _write(out / "card.md", markdown_card(about, scores, shots))
    _write(out / "card.html", html_card(about, scores, shots))


def _lines(found: dict[str, Any]) -> list[str]:
    from course_lib.evaluation.benchmarks.scores import scores_of

    return [f"{score.task} {score.metric} {score}" for score in scores_of(found)]


def _require_model(folder: Path) -> None:
    """Refuse what is no model, or an encoder, before anything is loaded."""
    from course_lib.evaluation.benchmarks.harness import GENERATIVE

    config = folder / "config.json"
    if not config.is_file():
        raise CourseError(
            f"{folder} holds no model: give a folder with config.json, weights and a tokenizer, "
            "such as data/checkpoints/gpt2-world."
        )
    if not any(folder.glob("*.safetensors")):
        raise CourseError(f"{folder} has no weights in safetensors, which alone are read.")
    if not (folder / "tokenizer.json").is_file():
        raise CourseError(f"{folder} has no tokenizer.json: save the tokenizer beside the model.")
    try:
        told = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CourseError(f"{config} is no JSON: {error}.") from error
    architectures = told.get("architectures") if isinstance(told, dict) else None
    if not isinstance(architectures, list) or not all(isinstance(a, str) for a in architectures):
        raise CourseError(f"{config} does not say of what class the model is: save it anew.")
    if not architectures[0].endswith(GENERATIVE) or architectures[0] == "BertLMHeadModel":
        raise CourseError(
            f"{folder} holds a {architectures[0]}, which does not write from left to right: the "
            "harness would run it as if it did, and report a number. Give a causal model or an "
            "encoder-decoder; fine-tune an encoder with a head and score its labels instead."
        )


def _load(folder: Path) -> tuple[Any, Any]:
    import transformers
    from safetensors import SafetensorError

    from course_lib.models.real import without_bars
    from course_lib.runtime import choose_device

    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        kind = "Seq2SeqLM" if config.is_encoder_decoder else "CausalLM"
        with without_bars():
            model = getattr(transformers, f"AutoModelFor{kind}").from_pretrained(
                folder, dtype="float32", local_files_only=True, use_safetensors=True
            )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        cause = next(iter(str(error).splitlines()), type(error).__name__)
        raise CourseError(
            f"{folder} cannot be loaded ({cause}): save model and tokenizer anew with "
            "save_pretrained."
        ) from error
    return model.to(choose_device()).eval(), tokenizer


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """What a kept result must agree with, to be taken as made before."""
    weights = hashlib.sha256()
    for path in sorted(options.folder.glob("*.safetensors")):
        with path.open("rb") as file:
            weights.update(hashlib.file_digest(file, "sha256").digest())
    asked = {"shots": options.shots, "limit": options.limit, "chat": options.chat}
    return asked | {"weights": weights.hexdigest()}


def _kept(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return there["found"] if there.get("settings") == settings else {}


def _as_json(found: "Evaluation") -> dict[str, Any]:
    """What the harness returned, as it writes it itself: what JSON does not know as text."""
    from lm_eval.utils import handle_non_serializable

    return json.loads(json.dumps(found.results, default=handle_non_serializable))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CourseError(f"--out {folder.parent}: {error.strerror or error}.") from error


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(f"{path.suffix}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise CourseError(f"{path} cannot be written: {error.strerror or error}.") from error
