"""The rule that all runs of a ladder follow, and a ladder made without it: notebook 06."""

import math
from collections import Counter
from itertools import product

import torch

from course_lib.corpora import world_of
from course_lib.corpora.templates import encode_inside
from course_lib.corpora.world.tasks import questions
from course_lib.generation import prompt_ids
from course_lib.studies import Study
from course_lib.studies.causal import floor_gap
from course_lib.studies.design import SEEDS, recipe
from course_lib.training import Optimization, Recipe, Run

BASE = recipe("ladder")
WIDTHS = (8, 16, 24, 40)
TOKENS = (125_000, 250_000, 500_000)

TOKENS_A_DOCUMENT = 48  # of this corpus, at the least: a run reads no document twice


def rung(width: int, tokens: int, seed: int = 0) -> Recipe:
    """The run of a model of this width on so many tokens, by the rule that all runs follow.

    The batch grows as the square root of the tokens, the warm-up is a twentieth of the steps, and
    the learning rate, which falls to zero at the end, is inversely proportional to the width (as
    for hidden weights under maximal update parametrisation: Yang et al. 2022, table 3). Its
    constant gave the lowest loss in trials on another seed, at 250,000 tokens and widths 8 to 64;
    in the same trials Muon needed about half the tokens of AdamW.
    """
    batch = round(8 * math.sqrt(tokens / 1e6))
    steps = round(tokens / (batch * BASE.data.length))
    return _sized(width, tokens, seed).replace(
        steps=steps,
        batch=batch,
        warmup=max(1, steps // 20),
        learning_rate=0.48 / width,
        log_every=max(1, steps // 20),
    )


def naive_rung(width: int, tokens: int, seed: int = 0) -> Recipe:
    """The same by the defaults of `Recipe`: one batch, learning rate and warm-up for all."""
    default = Optimization()
    steps = round(tokens / (default.batch * BASE.data.length))
    return _sized(width, tokens, seed).replace(
        name="ladder-naive",
        steps=steps,
        batch=default.batch,
        warmup=min(default.warmup, steps),
        learning_rate=default.learning_rate,
        optimizer=default.optimizer,
        schedule=default.schedule,
        log_every=max(1, steps // 20),
    )


def _sized(width: int, tokens: int, seed: int) -> Recipe:
    heads = 2 if width < 32 else 4
    documents = tokens // TOKENS_A_DOCUMENT
    return BASE.replace(width=width, heads=heads, documents=documents, seed=seed)


@torch.no_grad()
def share_answered(run: Run, examples: int = 200) -> float:
    """Share of questions about companies that are answered right, taking the likeliest tokens."""
    rows = questions(world_of(run.recipe.data.corpus), examples, seed=1)
    model, tokenizer, right = run.model.eval(), run.tokenizer, 0
    for (prompt, answer), times in Counter(
        zip(rows["prompt"], rows["answer"], strict=True)
    ).items():
        start = prompt_ids(tokenizer, prompt)
        [wanted] = encode_inside([f" {answer}"], tokenizer)
        logits = model(input_ids=torch.tensor([start + wanted], device=model.device)).logits[0]
        written = logits[len(start) - 1 : -1].argmax(dim=-1).tolist()
        right += times * (written == wanted)
    return right / examples


def measure_ladder(run: Run) -> dict[str, float]:
    """Loss and floor of the same whole documents, in nats per token, and a task's score."""
    return floor_gap(run) | {"answered": share_answered(run)}


# Seed by seed, so that a record under way is a whole ladder, less often repeated.
NAIVE = tuple(naive_rung(*cell, seed) for seed in SEEDS for cell in product(WIDTHS, TOKENS))

STUDIES = (Study("ladder-naive", NAIVE, measure_ladder, tolerance=0.15),)
