"""Batches of labelled examples: which rows a step sees is a pure function of (seed, step)."""

from collections.abc import Callable

import torch
from torch import LongTensor, Tensor

from course_lib.runtime import generator
from course_lib.training import Optimization

NO_TARGET = -100


def random_batches(
    examples: dict[str, Tensor], settings: Optimization
) -> Callable[[int], dict[str, Tensor]]:
    """A function of the step that draws `settings.batch` rows of `examples`, with replacement."""
    rows = len(examples["labels"])

    def batch_at(step: int) -> dict[str, Tensor]:
        chosen: LongTensor = torch.randint(
            rows, (settings.batch,), generator=generator(settings.seed, "fine-tuning", step)
        )
        return {key: value[chosen] for key, value in examples.items()}

    return batch_at
