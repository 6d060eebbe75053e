"""A tiny model and a domain: the recorded experiment of notebook 09 on the world's two registers.

Every model reads the same number of tokens, so it costs the same: from scratch on the general
register, on the finance register, or on half and half (`SCRATCH`); or two thirds on the general
register and then the finance register, with or without some of the old among the new (replay), at a
rate that rises again or stays where it had ended (`CONTINUED`). All have the tokenizer of the
general register, so their losses per token compare. Both registers are draws of a world whose
entropy is known: it is the floor under every loss. The bases are then tuned on the note's own task,
the tone of earnings reports, with 30, 100 and 300 labels.

Written down before the runs were made:

- If it did not matter what a model reads, all would end at the same loss on finance. The floor is
  the entropy of the register; the laziest opponent reads general text alone.
- If going on with a domain cost nothing, the loss on general text would stay. If replay were no
  cure, or the rate alone decided, arms with more replay would lose as much as those with none.
- If domain pre-training did not pay on a task, bases would judge reports alike, tuned on the same
  labels. The ceiling is the Bayes rate, an accuracy of 0.90; floors are always saying the commoner
  label (macro F1 of 1/3) and the model with fresh weights; a bag of words from the same labels is
  the laziest opponent. What pre-training is worth should shrink with the number of labels.
- Artefacts: the general tokenizer cuts finance text into more pieces, so a token of it says less
  and an equal number of tokens is less text. The registers share their companies and towns and
  little else: real domains overlap more, so real losses on the other side are smaller. No text of
  the domain is read twice, as if it were without end. The model is so small that registers fight
  for room.

The rate of tuning was chosen on seed 0, on the validation split (see `TUNING`).
"""

import copy
from functools import cache
from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase

from course_lib.corpora import load, world_of
from course_lib.corpora.examples import Examples, load_labelled, load_pairs
from course_lib.corpora.pairs import NO_TARGET
from course_lib.corpora.templates import encode_completions, encode_prompts
from course_lib.evaluation import document_losses, f1
from course_lib.finetuning import choice_log_probs
from course_lib.generation import generate
from course_lib.objectives.supervised import Supervised
from course_lib.studies.design import LIVE_SEED, recipe, study
from course_lib.studies.labels import bag_of_words
from course_lib.training import Recipe, Run, fit, train
from course_lib.training.data import Batches
from course_lib.training.optimizer import FINAL_SHARE
from course_lib.training.run_recipe import run_folder
from course_lib.training.start import fresh_model
from course_lib.training.tables import Optimization

REGISTERS = {"general": "world", "finance": "world-finance"}
GENERAL = recipe("gpt2-general")
BASE = GENERAL.replace(seed=LIVE_SEED)  # what the reader goes on from: none of the recorded ones
FURTHER = 300  # steps on the domain, behind those of `GENERAL`
SCRATCH = {"general": (1, 0), "finance": (0, 1), "half": (1, 1)}  # rows of each register
REPLAYS = (0.0, 0.05, 0.25)
RATES = {"rewarmed": 1.0, "kept": FINAL_SHARE}  # of the rate of pre-training
TASK = "world-finance/sentiment"
LABELS = ("negative", "positive")
SIZES = (30, 100, 300)  # labels
# On the validation split of seed 0, for some bases and sizes only: 3e-3 was better than 1e-2, and
# 150 steps better than 60. The 120 lie between and were not tried by themselves.
TUNING = Optimization(steps=120, batch=8, learning_rate=3e-3, warmup=10)
JUDGED = 400  # held-out reports
DOCUMENTS = 200  # held-out documents of each register
PROMPTS = {"general": "Yesterday a neighbour gave", "finance": "Sales fell by only"}
NEW_TOKENS = 32
TUNED_ARM = "0.05 rewarmed"  # the continued model that is tuned


def mixed(general: float, finance: float) -> list[dict[str, Any]]:
    """The corpora of a recipe, with so many rows of one register for so many of the other."""
    weights = {"general": general, "finance": finance}
    documents = GENERAL.data.documents
    return [
        {"corpus": REGISTERS[name], "weight": weight, "documents": documents}
        for name, weight in weights.items()
        if weight
    ]


def from_scratch(name: str, seed: int) -> Recipe:
    """Fresh weights on a mixture of `SCRATCH`, for as many tokens as the continued models read."""
    return GENERAL.replace(
        name=f"scratch-{name}",
        mixture=mixed(*SCRATCH[name]),
        documents=None,  # each corpus has its own
        tokenizer=REGISTERS["general"],
        steps=GENERAL.optimization.steps + FURTHER,
        seed=seed,
    )


def continued(start: str, seed: int, replay: float, rate: str, steps: int = FURTHER) -> Recipe:
    """From a trained model to the finance register, a share `replay` of the rows general.

    "rewarmed": the rate rises to the peak of pre-training and falls again. "kept": it stays at
    the tenth of that peak at which pre-training had ended.
    """
    rewarmed = rate == "rewarmed"
    return GENERAL.replace(
        name=f"continued-{replay}-{rate}",
        start=start,
        model=None,
        mixture=mixed(replay, 1 - replay),
        documents=None,
        steps=steps,
        warmup=min(20, steps) if rewarmed else 0,
        schedule="cosine" if rewarmed else "constant",
        learning_rate=RATES[rate] * GENERAL.optimization.learning_rate,
        seed=seed,
    )


# ---------------------------------------------------------------- what is measured


def register_losses(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    split: str = "test",
    documents: int = DOCUMENTS,
) -> dict[str, float]:
    """Nats per token on held-out documents of each register."""
    found = {}
    for name, corpus in REGISTERS.items():
        texts = list(load(corpus, split, documents=documents)["text"])
        losses = document_losses(model, tokenizer, texts)
        found[name] = float(losses["nats"].sum() / losses["tokens"].sum())
    return found


@cache
def floors(
    tokenizer: PreTrainedTokenizerBase, split: str = "test", documents: int = DOCUMENTS
) -> dict[str, float]:
    """What the world itself says of the same documents, in nats per token."""
    found = {}
    for name, corpus in REGISTERS.items():
        texts = list(load(corpus, split, documents=documents)["text"])
        tokens = sum(len(ids) + 1 for ids in tokenizer(texts, add_special_tokens=False).input_ids)
        found[name] = -sum(map(world_of(corpus).log_prob, texts)) / tokens
    return found


def tune(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    labels: int,
    seed: int,
    settings: Optimization = TUNING,
) -> nn.Module:
    """A copy of a base, tuned on reports and their labels, which are drawn anew for each seed."""
    pairs = load_pairs(TASK, documents=labels, seed=seed)
    rows = [
        {"input_ids": prompt + answer, "labels": [NO_TARGET] * len(prompt) + answer}
        for prompt, answer in zip(
            encode_prompts(list(pairs["prompt"]), tokenizer),
            encode_completions(list(pairs["completion"]), tokenizer),
            strict=True,
        )
    ]
    batches = Batches([Examples(rows)], Supervised(tokenizer), settings.batch, seed)
    tuned = copy.deepcopy(model)
    fit(tuned, batches, settings.replace(seed=seed))
    return tuned.eval()


def judged(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    split: str = "test",
    count: int = JUDGED,
) -> list[str]:
    """The likelier of the two labels of each held-out report."""
    prompts = load_pairs(TASK, split, documents=count)["prompt"]
    options = [LABELS] * len(prompts)
    scores = choice_log_probs(model, tokenizer, list(prompts), options, template="plain")
    return [LABELS[int(found.argmax())] for found in scores]


def macro_f1(found: list[str], split: str = "test") -> float:
    """Mean F1 of the two labels, of what is `judged` in that order."""
    right = list(load_pairs(TASK, split, documents=len(found))["completion"])
    return f1(found, right, average="macro")


def counted_words(labels: int, seed: int) -> list[str]:
    """What a bag of words says that has learnt from the same labels."""
    train = load_labelled(TASK, documents=labels, seed=seed)
    test = load_labelled(TASK, "test", documents=JUDGED)
    return [LABELS[label] for label in bag_of_words(train, test)]


def written(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """How a model goes on with the beginning of a sentence of each register, likeliest first."""
    options = {"max_new_tokens": NEW_TOKENS, "temperature": 0}
    return {name: generate(model, tokenizer, prompt, **options) for name, prompt in PROMPTS.items()}


def measure_domains(run: Run) -> dict[str, Any]:
    """Losses and words of every model, and of the bases how well they judge when tuned."""
    seed, start = run.recipe.seed, f"run:{run_folder(run.recipe)}"
    runs = {"start": run} | {name: train(from_scratch(name, seed)) for name in SCRATCH}
    for replay in REPLAYS:
        for rate in RATES:
            runs[f"{replay} {rate}"] = train(continued(start, seed, replay, rate))
    bases = {
        "fresh": fresh_model(run.recipe, run.tokenizer),
        "general": runs["general"].model,
        "finance": runs["finance"].model,
        "continued": runs[TUNED_ARM].model,
    }
    return {
        "floor": floors(run.tokenizer),
        "losses": {name: register_losses(r.model, run.tokenizer) for name, r in runs.items()},
        "words": {name: written(r.model, run.tokenizer) for name, r in runs.items()},
        "tuned": {name: _by_labels(base, run.tokenizer, seed) for name, base in bases.items()},
        "bag_of_words": {str(n): macro_f1(counted_words(n, seed)) for n in SIZES},
    }


def _by_labels(base: nn.Module, tokenizer: PreTrainedTokenizerBase, seed: int) -> dict[str, float]:
    """Macro F1 by the number of labels that the base was tuned on."""
    return {str(n): macro_f1(judged(tune(base, tokenizer, n, seed), tokenizer)) for n in SIZES}


STUDIES = (study("domains-world", [GENERAL], measure_domains, tolerance=0.15),)
