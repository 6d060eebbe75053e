"""A loss in which every example counts the same, however long its answer is.

The usual loss is a mean over targets: a sentence of fifteen tokens weighs as much as seven verdicts
of a word and an end. Where a batch mixes tasks, who answers at length decides what is learnt. Here
each row is first averaged over its own targets.
"""

from torch import Tensor, nn

from course_lib.objectives.loss import Batch, has_target, target_losses


def loss_by_example(model: nn.Module, batch: Batch) -> Tensor:
    """The sum, over rows, of the mean loss of a row's targets, in nats: a scalar with its gradient.

    A row without a target adds nothing. It goes with `count_examples`, as `fit` takes a loss.

    Raises:
        BadArgumentError: no labels, or labels of another shape than the input.
        CourseError: the model is no language model.
    """
    asked = has_target(model, batch["labels"])
    losses = target_losses(model, batch).masked_fill(~asked, 0)
    return (losses.sum(dim=1) / asked.sum(dim=1).clamp(min=1)).sum()


def count_examples(model: nn.Module, batch: Batch) -> int:
    """The number of rows with a target: what `loss_by_example` sums over."""
    return int(has_target(model, batch["labels"]).any(dim=1).sum())
