"""Elastic weight consolidation: learn the new, and let each weight move as far as it may.

Kirkpatrick et al. 2017 (arXiv:1612.00796), equation 3: to the loss of the new task comes
(strength / 2) * sum over weights of F * (w - w0)^2, where w0 are the weights before it and F the
diagonal of the Fisher information on the old task: how much a change of that weight would cost
there. A weight that the old task does not need may go where it likes.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_lib.objectives.loss import Batch, count_targets, summed_loss
from course_lib.runtime.checks import BadArgumentError, NotNegative, checked

Weights = dict[str, Tensor]


def fisher_diagonal(
    model: nn.Module,
    batches: Iterable[Batch],
    loss: Callable[[nn.Module, Batch], Tensor] = summed_loss,
) -> Weights:
    """Mean squared gradient of -log p(row), weight by weight: the *empirical* Fisher information.

    The targets are those of the data and not drawn from the model, as is common and not the same
    (Kunstner et al. 2019, arXiv:1905.12558). The square is taken row by row, as a sum over rows
    would square the mean; so give batches of a single row.

    Returns:
        A tensor of the shape of each trained weight, by the weight's name.

    Raises:
        BadArgumentError: no batch, or one of several rows.
    """
    totals = {name: torch.zeros_like(w) for name, w in _trained(model).items()}
    rows = 0
    training = model.training
    model.eval()  # dropout is no part of what the old task needs
    for batch in batches:
        if len(batch["labels"]) != 1:
            raise BadArgumentError(
                f"fisher_diagonal: a batch of {len(batch['labels'])} rows: give one row at a time."
            )
        weights = _trained(model)
        nats = loss(model, batch)
        grads = torch.autograd.grad(nats, list(weights.values()), allow_unused=True)
        for name, grad in zip(weights, grads, strict=True):
            if grad is not None:
                totals[name] += grad.detach() ** 2
        rows += 1
    model.train(training)
    if not rows:
        raise BadArgumentError("fisher_diagonal: no batches: give at least one row of the old task")
    return {name: total / rows for name, total in totals.items()}


@checked
@dataclass(frozen=True, eq=False)
class ElasticWeights:
    """The weights of an old task, and how dear each is to it.

    Args:
        anchors: the weights before the new task, by name.
        fisher: of the same names and shapes (`fisher_diagonal`).
        strength: the paper's lambda; 0 lets everything move.
    """

    anchors: Weights
    fisher: Weights
    strength: NotNegative

    @classmethod
    def of(cls, model: nn.Module, batches: Iterable[Batch], strength: float) -> "ElasticWeights":
        """Anchor a model where it is now, with the Fisher information of these rows."""
        fisher = fisher_diagonal(model, batches)
        return cls({n: w.detach().clone() for n, w in _trained(model).items()}, fisher, strength)

    def penalty(self, model: nn.Module) -> Tensor:
        """(strength / 2) * sum F * (w - w0)^2, a scalar with its gradient."""
        moved = [
            (self.fisher[name] * (weight - self.anchors[name]) ** 2).sum()
            for name, weight in _trained(model).items()
        ]
        return self.strength / 2 * torch.stack(moved).sum()

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The summed loss of a batch, and the penalty once for each of its targets.

        The training loop divides by the number of targets of the whole batch, so the penalty comes
        out once a step, however the batch is cut into parts.
        """
        return summed_loss(model, batch) + count_targets(model, batch) * self.penalty(model)


def _trained(model: nn.Module) -> Weights:
    return {name: w for name, w in model.named_parameters() if w.requires_grad}
