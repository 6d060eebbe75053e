"""Optimizers and learning rate schedules."""

import math

import torch
from torch import nn
from torch.optim import Optimizer

from course_lib.training.tables import Optimization

FINAL_SHARE = 0.1  # of the peak learning rate, where the cosine ends (Hoffmann et al. 2022, B)
DECAY_SHARE = 0.2  # of the steps, over which warmup-stable-decay goes down (Hu et al. 2024)


def learning_rate_at(step: int, settings: Optimization) -> float:
    """The learning rate of step 0, 1, ..., steps - 1: a pure function, so a resume needs no state.

    A linear warm-up, then a cosine to a tenth of the peak, or flat with a linear decay to zero in
    the last fifth ("wsd"), or flat.
    """
    peak, steps, warmup = settings.learning_rate, settings.steps, settings.warmup
    if step < warmup:
        return peak * ((step + 1) / warmup)
    match settings.schedule:
        case "cosine":
            done = (step - warmup) / max(1, steps - warmup)
            return peak * (FINAL_SHARE + (1 - FINAL_SHARE) * (1 + math.cos(math.pi * done)) / 2)
        case "wsd":
            return peak * min(1.0, (steps - step) / max(1, DECAY_SHARE * steps))
    return peak


def make_optimizers(model: nn.Module, settings: Optimization) -> list[Optimizer]:
    """AdamW for everything, or Muon for the hidden matrices and AdamW for the rest.

    Vectors (biases, gains of norms) are not decayed: pulling a gain to zero does not simplify the
    model. AdamW is fused where torch can; betas are those of GPT-3 (Brown et al. 2020, B).
    Muon (Jordan et al. 2024) orthogonalises the update of a matrix; its step is scaled to the
    size of AdamW's, so one learning rate serves both.
    """
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
    matrices, optimizers = [], []  # an adapter is all matrices, other models have none
    if settings.optimizer == "muon":
        inputs_and_outputs = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
        matrices = [
            p for p in parameters.values() if p.ndim == 2 and id(p) not in inputs_and_outputs
        ]
    if matrices:
        optimizers.append(
            torch.optim.Muon(
                matrices,
                lr=settings.learning_rate,
                weight_decay=settings.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    taken = {id(p) for p in matrices}
    rest = [p for p in parameters.values() if id(p) not in taken]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    if groups := [group for group in groups if group["params"]]:
        optimizers.append(
            torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.95), fused=True)
        )
    return optimizers
