"""The next batch, made by a thread while the device computes the step before it."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

Batch = dict[str, Tensor]


class Ahead:
    """A function of the step that has begun on the next step when one is asked for.

    A batch is a pure function of the step, so what comes out is the same with and without. On a GPU
    tokens are gathered and corrupted in its time; a CPU would only share its own.
    """

    def __init__(self, batch_at: Callable[[int], Batch], steps: int) -> None:
        self.batch_at, self.steps = batch_at, steps
        self.worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="next batch")
        self.coming: tuple[int, Future[Batch]] | None = None

    def __call__(self, step: int) -> Batch:
        """The batch of a step, in memory from which a GPU copies without waiting."""
        if self.coming and self.coming[0] == step:
            batch = self.coming[1].result()
        else:
            batch = self._pinned(step)
        if step + 1 < self.steps:
            self.coming = (step + 1, self.worker.submit(self._pinned, step + 1))
        return batch

    def close(self) -> None:
        """Let the thread go."""
        self.worker.shutdown(wait=False, cancel_futures=True)

    def _pinned(self, step: int) -> Batch:
        batch = self.batch_at(step)
        if not torch.cuda.is_available():
            return batch
        return {key: value.pin_memory() for key, value in batch.items()}
