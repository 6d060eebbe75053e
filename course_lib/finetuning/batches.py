"""Batches of examples: which ones a step sees is a pure function of (seed, step)."""

from collections.abc import Callable

import torch
from torch import LongTensor

from course_lib.runtime import generator
from course_lib.training import Optimization


def random_batches(count: int, settings: Optimization) -> Callable[[int], LongTensor]:
    """A function of the step that draws `settings.batch` of `count` places, with replacement."""

    def places_at(step: int) -> LongTensor:
        return torch.randint(
            count, (settings.batch,), generator=generator(settings.seed, "fine-tuning", step)
        )

    return places_at
