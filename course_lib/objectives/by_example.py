"""A loss in which every example counts the same, however long its answer is.

The usual loss is a mean over targets. A sentence of fifteen tokens then weighs as much as seven
verdicts of one word and an end. Where a batch mixes tasks, who answers at length decides what is
learnt. Here each row is first averaged over its own targets.
"""

from torch import Tensor, nn

from course_lib.objectives.loss import Batch, asked, target_losses


def loss_by_example(model: nn.Module, batch: Batch) -> Tensor:
    """The sum, over rows, of the mean loss of a row's targets, in nats: a scalar with its gradient.

    A row without a target adds nothing. Beside `count_examples`, as `fit` wants it.

    Raises:
        BadArgumentError: no labels, or labels of another shape than the input.
        CourseError: the model is no language model.
    """
    losses = target_losses(model, batch)
    targets = (~losses.isnan()).sum(dim=1).clamp(min=1)
    return (losses.nansum(dim=1) / targets).sum()
