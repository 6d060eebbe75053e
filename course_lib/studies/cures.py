"""What helps against forgetting, on a tiny base model: the recorded experiment of notebook 12.

Every arm starts where notebook 11 does, from a model that has learnt to judge reviews (the old
task), and learns to translate (the new one); each differs in one thing.

Written down before the runs were made:

- If a cure were none, its arm would lie where `sequence` lies. The laziest cures are to learn
  little: a low rate, few steps, weights half-way back. So an arm is judged by both axes, what was
  learnt of the new task and what was kept of the old one, and only one beyond the line through the
  lazy ones is a cure.
- Learning both at once has the old data and as many rows of each as the sequence: it should cost
  nothing in the old task. If it learnt less of the new one than that alone, the tasks would be in
  each other's way.
- Together, a task has half of each batch and twice as many steps as alone. What looks like help or
  harm by the other task may come from more, smaller steps. `steps-world` is the control, designed
  after the first arms had been seen: each task alone, half a batch of it a step, as many steps as
  together. If translation gains by company and not by steps, together still learns more of it than
  this; if reviews lose by company and not by steps, together still judges fewer rightly.
- A low-rank adapter that forgot less at the same score of the new task would protect; one that lies
  on the line of the lazy ones only learns less (Biderman et al. 2024, arXiv:2405.09673).
"""

import copy
from typing import Any

import torch
from torch import nn

from course_lib.models.adapters import merged
from course_lib.objectives.ewc import ElasticWeights
from course_lib.studies.design import study
from course_lib.studies.forgetting import (
    BASE,
    EXAMPLES,
    NEW,
    OLD,
    RATES,
    STEPS,
    at_rate,
    behind,
    first_stage,
    old_task,
    scores_of,
    stage,
)
from course_lib.studies.instructions import TUNED, world_loss
from course_lib.training import Recipe, Run, fit, prepare, train

SHARES = (0.01, 0.05, 0.25)  # of the rows, of the old task
RANKS = (1, 8, 32)
STRENGTHS = (3e2, 1e3, 3e3)
KEPT = (0.25, 0.5, 0.75)  # of the way back, in weights
FISHER_ROWS = 200
PROPORTIONAL = {task: float(EXAMPLES[task]) for task in (OLD, NEW)}
TARGETS = ["c_attn", "c_proj", "c_fc"]
ADAPTER_RATE = 3e-2  # chosen on seed 0 by how well the new task was learnt (1e-2, 3e-2)


def together(run: Run, name: str, weights: dict[str, float]) -> Run:
    """Both tasks at once, from the base, as many steps as one after the other."""
    seed, start = run.recipe.seed, f"base:{BASE}"
    return train(stage(f"{name}-almanac", weights, start, seed, steps=2 * STEPS))


def elastic(run: Run, strength: float) -> nn.Module:
    """The new task behind the old one, each weight held by what the old task needs of it."""
    old = prepare(run.recipe, run.tokenizer, "supervised", "causal").train
    rows = (part for step in range(FISHER_ROWS // old.batch + 1) for part in _single(old(step)))
    wanted = [row for row, _ in zip(rows, range(FISHER_ROWS), strict=False)]
    held = ElasticWeights.of(run.model, wanted, strength)
    recipe = stage("ewc-almanac", {NEW: 1}, run.recipe.start, run.recipe.seed)
    new = prepare(recipe, run.tokenizer, "supervised", "causal").train
    model = copy.deepcopy(run.model)
    fit(model, new, recipe.optimization, loss=held.loss)
    return model.eval()


def _single(batch: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """The rows of a batch, each a batch of its own."""
    return [{k: v[i : i + 1] for k, v in batch.items()} for i in range(len(batch["labels"]))]


@torch.no_grad()
def averaged(old: nn.Module, new: nn.Module, kept: float) -> nn.Module:
    """The weights `kept` of the way back from new to old (Wortsman et al. 2022, WiSE-FT)."""
    model = copy.deepcopy(new)
    before = dict(old.named_parameters())
    for name, weight in model.named_parameters():
        weight.lerp_(before[name], kept)
    return model


def arms(run: Run) -> dict[str, nn.Module]:
    """Every way of learning the new task, by name; `run` has learnt the old one."""
    seed = run.recipe.seed
    alone = train(stage("alone-almanac", {NEW: 1}, f"base:{BASE}", seed))
    sequence = behind(run, f"then-{NEW}-almanac", {NEW: 1})
    found = {"old alone": run, "new alone": alone, "sequence": sequence}
    found["together, proportional"] = together(run, "proportional", PROPORTIONAL)
    found["together, equal"] = together(run, "equal", {OLD: 1, NEW: 1})
    for share in SHARES:
        weights = {NEW: 1 - share, OLD: share}
        found[f"replay {share:.0%}"] = behind(run, f"replay-{share}-almanac", weights)
    for rank in RANKS:
        adapter = {"rank": rank, "alpha": 2.0 * rank, "targets": TARGETS}
        options = {"adapter": adapter, "learning_rate": ADAPTER_RATE}
        found[f"LoRA {rank}"] = behind(run, f"lora-{rank}-almanac", {NEW: 1}, **options)
    found |= {f"rate x {share}": at_rate(run, share) for share in RATES}
    models = {name: merged(one.model) for name, one in found.items()}
    models |= {f"EWC {strength:g}": elastic(run, strength) for strength in STRENGTHS}
    models |= {f"averaged {k}": averaged(run.model, sequence.model, k) for k in KEPT}
    return models


def measure_cures(run: Run) -> dict[str, Any]:
    """What each arm has kept of the old task and learnt of the new one."""
    return {
        name: old_task(model, run.tokenizer)
        | {
            "learnt": scores_of(model, run.tokenizer, [NEW])[0],
            "world_loss": world_loss(model, run.tokenizer),
        }
        for name, model in arms(run).items()
    }


def slowly(task: str, seed: int) -> Recipe:
    """A task alone in as many steps as together, half a batch a step: as many rows, too."""
    halved = {"steps": 2 * STEPS, "batch": TUNED.optimization.batch // 2}
    return stage("slow-almanac", {task: 1}, f"base:{BASE}", seed, **halved)


def measure_slowly(run: Run) -> dict[str, Any]:
    """The old task alone, by `run`, and the new one alone, both in the steps of together."""
    new = train(slowly(NEW, run.recipe.seed))
    return {
        "old alone": old_task(run.model, run.tokenizer),
        "new alone": {"learnt": scores_of(new.model, new.tokenizer, [NEW])[0]},
    }


STUDIES = (
    study("cures-world", [first_stage(0)], measure_cures, tolerance=0.15),
    study("steps-world", [slowly(OLD, 0)], measure_slowly, tolerance=0.15),
)
