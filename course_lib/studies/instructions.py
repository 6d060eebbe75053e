"""A tiny base model learns to do what it is asked: the recorded experiments of notebook 10.

The truth is known here: each request has one right answer, drawn from the world. Five tasks are
learnt at once, from few or many examples, by a model that has read the world and by one with fresh
weights; and mistakes that everybody makes once are made on purpose, one at a time.

Written down before the runs were made:

- If pre-training were worth nothing, the fresh model would do as well from the same examples. The
  floor is what needs no reading: the commoner label (about 0.5), and for answers in words, 0. The
  ceiling of the reviews is the Bayes rate, about 0.88; a bag of words from the same examples is the
  laziest opponent.
- If a model learnt phrasings and not tasks, it would fail on the phrasing that it has not seen.
- If a mistake did no harm, its symptom would not show. Prompts in the loss should cost accuracy; an
  end token outside the loss should leave answers without an end; rows cut at 64 tokens should cost
  the tasks whose requests are longer; another template should lower every score.
"""

import copy
from collections.abc import Callable
from statistics import fmean

from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from course_lib.corpora import NO_TARGET, load
from course_lib.corpora.examples import load_pairs
from course_lib.corpora.requests import PHRASINGS, UNSEEN
from course_lib.evaluation import bleu, document_losses, rouge
from course_lib.finetuning import answers
from course_lib.studies.design import recipe, study
from course_lib.training import Recipe, Run, fit, load_base, prepare

BASE = "gpt2-almanac"
TASKS = tuple(PHRASINGS)
SIZES = (10, 30, 100, 300, 1000)
# A fresh model stands more than a trained one: each start has the rate, of 1e-3, 3e-3 and 1e-2, at
# which it learnt most from a hundred examples of each task (one seed).
RATES = {"pretrained": 3e-3, "scratch": 1e-2}
TEST = 100  # requests of each task
NEW_TOKENS = 40
CUT = 64  # tokens
FRAME = "Instruction: {} Response:"  # a template that training did not have

TUNED = recipe("tuned-almanac")


def _fresh() -> Recipe:
    fields = TUNED.to_dict() | {"name": "fresh-almanac", "start": "fresh"}
    fields["model"] = recipe(BASE).to_dict()["model"]
    fields["data"]["tokenizer"] = "world"  # the base's own
    return Recipe.from_dict(fields)


FRESH = _fresh()
STARTS = {"pretrained": TUNED, "scratch": FRESH}


def with_examples(recipe: Recipe, count: int) -> Recipe:
    """The recipe with so many examples of each task."""
    mixture = [source.model_copy(update={"documents": count}) for source in recipe.data.mixture]
    return recipe.replace(mixture=[source.model_dump() for source in mixture])


def ask(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    task: str,
    count: int = TEST,
    *,
    unseen: bool = False,
    frame: str = "{}",
) -> tuple[list[str], list[str], list[str]]:
    """Held-out requests of a task, what the model writes, and what is right."""
    rows = load_pairs(f"requests/{task}{UNSEEN if unseen else ''}", "test", documents=count)
    framed = [frame.format(prompt) for prompt in rows["prompt"]]
    written = answers(model, tokenizer, framed, template="plain", new_tokens=NEW_TOKENS)
    return list(rows["prompt"]), written, list(rows["completion"])


def score(task: str, written: list[str], gold: list[str]) -> float:
    """From 0 to 1: ROUGE-L of summaries, BLEU of translations, of other answers the share right."""
    if task == "summaries":
        return rouge(written, gold)["rougeL"]
    if task == "translation":
        return bleu(written, gold) / 100
    return fmean(mine == right for mine, right in zip(written, gold, strict=True))


def scores(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, count: int = TEST, **options: object
) -> dict[str, float]:
    """The score of each task, and how many words an answer has."""
    found, words = {}, []
    for task in TASKS:
        _, written, gold = ask(model, tokenizer, task, count, **options)
        found[task] = score(task, written, gold)
        words += [len(text.split()) for text in written]
    return found | {"words": fmean(words)}


def measure_size(run: Run) -> dict[str, float]:
    """The score of each task on held-out requests."""
    return scores(run.model, run.tokenizer)


# ---------------------------------------------------------------- what goes wrong

Change = Callable[[dict[str, Tensor], PreTrainedTokenizerBase], dict[str, Tensor]]


def prompts_in_the_loss(
    batch: dict[str, Tensor], tokenizer: PreTrainedTokenizerBase
) -> dict[str, Tensor]:
    """Every token that is no padding is a target."""
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, NO_TARGET)
    return batch | {"labels": labels}


def end_outside_the_loss(
    batch: dict[str, Tensor], tokenizer: PreTrainedTokenizerBase
) -> dict[str, Tensor]:
    """What happens where padding is written with the end token, and all of that is masked."""
    ended = batch["labels"] == tokenizer.eos_token_id
    return batch | {"labels": batch["labels"].masked_fill(ended, NO_TARGET)}


def rows_cut(batch: dict[str, Tensor], tokenizer: PreTrainedTokenizerBase) -> dict[str, Tensor]:
    """Rows end after `CUT` tokens, in the middle of an answer or before it."""
    return {name: values[:, :CUT] for name, values in batch.items()}


MISTAKES: dict[str, Change] = {
    "prompts in the loss": prompts_in_the_loss,
    "end outside the loss": end_outside_the_loss,
    f"rows cut at {CUT} tokens": rows_cut,
}


def tuned_with(run: Run, change: Change) -> nn.Module:
    """A model tuned as the run was, from the same start, but on batches that are changed."""
    start = load_base(BASE)
    batch_at = prepare(run.recipe, start.tokenizer, "supervised", "causal").train
    model = copy.deepcopy(start.model)
    settings = run.recipe.optimization.replace(evaluate_every=0)
    fit(model, lambda step: change(batch_at(step), start.tokenizer), settings)
    return model.eval()


def measure_mistakes(run: Run) -> dict[str, object]:
    """Scores done right, on a new phrasing, with each mistake; the loss on the world's text."""
    found: dict[str, object] = {"right": scores(run.model, run.tokenizer)}
    base = load_base(BASE)
    found["base"] = scores(base.model, base.tokenizer)
    found["unseen phrasing"] = scores(run.model, run.tokenizer, unseen=True)
    found["another template"] = scores(run.model, run.tokenizer, frame=FRAME)
    for name, change in MISTAKES.items():
        found[name] = scores(tuned_with(run, change), run.tokenizer)
    found["world_loss"] = world_loss(run.model, run.tokenizer)
    found["world_loss_before"] = world_loss(base.model, base.tokenizer)
    return found


def world_loss(model: nn.Module, tokenizer: PreTrainedTokenizerBase, documents: int = 200) -> float:
    """Nats per token on held-out documents of the general register."""
    losses = document_losses(
        model, tokenizer, list(load("world", "test", documents=documents)["text"])
    )
    return float(losses["nats"].sum() / losses["tokens"].sum())


STUDIES = (
    study(
        "instructions-data",
        [
            with_examples(one, size).replace(learning_rate=RATES[start])
            for size in SIZES
            for start, one in STARTS.items()
        ],
        measure_size,
        tolerance=0.15,
    ),
    study("instructions-mistakes", [TUNED], measure_mistakes, tolerance=0.15),
)
