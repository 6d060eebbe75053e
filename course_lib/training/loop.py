"""The training loop: `fit` reads top to bottom as what happens to a model."""

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from course_lib.models.likelihood import count_targets, summed_loss
from course_lib.runtime import choose_device, choose_precision, progress, seed_of
from course_lib.runtime.errors import CourseError
from course_lib.training.checkpoint import checkpoints, load_newest, save_checkpoint
from course_lib.training.optimizer import learning_rate_at, make_optimizers
from course_lib.training.recipe import Optimization

Batch = dict[str, Tensor]
History = list[dict[str, float]]


class NonFiniteLossError(CourseError):
    """The loss became infinite or not a number."""


def fit(
    model: nn.Module,
    batch_at: Callable[[int], Batch],
    settings: Optimization,
    *,
    folder: Path | None = None,
    evaluate: Callable[[nn.Module], float] | None = None,
    loss: Callable[[nn.Module, Batch], Tensor] = summed_loss,
    count: Callable[[nn.Module, Batch], int] = count_targets,
    callback: Callable[[dict[str, float]], None] | None = None,
) -> History:
    """Train `model` in place for `settings.steps` steps and return the history.

    Args:
        model: any `transformers` model; it ends on the training device, in training mode.
        batch_at: the whole batch of a step, on the CPU; called with 0, 1, ..., steps - 1.
        settings: what to do with it.
        folder: where checkpoints go and a resume looks; None for a run that is not resumed.
        evaluate: called every `settings.evaluate_every` steps, and at the end; its value is
            logged as `validation_loss`.
        loss: the *summed* loss of a batch; the loop divides by the number of targets in the whole
            batch, so four micro-batches or two processes give what one batch gives.
        count: the number of targets that `loss` sums over; with a loss of your own, count too.
        callback: called with each entry of the history, on a resume also with the earlier ones.

    Returns:
        A list of entries with `step`, `loss` (nats per target since the last entry),
        `learning_rate`, `gradient_norm`, `targets` and, when asked, `validation_loss`.

    Raises:
        NonFiniteLossError: names the step, the learning rate and the last good checkpoint. A
            finite loss with a gradient that is not raises it too.
        KeyboardInterrupt: after Ctrl-C, once the step is finished and saved.
    """
    trainer = _Trainer(model, batch_at, settings, loss, count)
    log = _Log(trainer, folder, callback or (lambda entry: None))
    first = log.resume()
    with _own_forward(model), _deferred_interrupt() as interrupted:
        trainer.prepare()
        for step in progress(range(first, settings.steps), initial=first, total=settings.steps):
            log.add(*trainer.step(step))
            done = step + 1
            final, stop = done == settings.steps, interrupted()
            evaluated = evaluate and (final or _every(done, settings.evaluate_every))
            if final or evaluated or _every(done, settings.log_every):
                log.enter(done, evaluate if evaluated else None)
            if folder and not final and (stop or _every(done, settings.checkpoint_every)):
                log.save(done)
            if stop and not final:
                saved = f"saved as {log.saved}; run it again to go on" if folder else "not saved"
                raise KeyboardInterrupt(f"Stopped after step {done} of {settings.steps}, {saved}.")
    return log.history


@dataclass
class _Trainer:
    """The model and what updates it: optimizers, batches, and Accelerate around them."""

    model: nn.Module
    batch_at: Callable[[int], Batch]
    settings: Optimization
    loss: Callable[[nn.Module, Batch], Tensor]
    count: Callable[[nn.Module, Batch], int]

    def __post_init__(self) -> None:
        device, precision = choose_device(), self.settings.precision
        precision = choose_precision(device) if precision == "auto" else precision
        # Accelerate keeps the precision of its first use for the whole session; the next run of a
        # notebook may want another.
        AcceleratorState._reset_state()
        self.accelerator = Accelerator(mixed_precision=precision, cpu=device.type == "cpu")
        self.model.to(self.accelerator.device)
        self.optimizers = make_optimizers(self.model, self.settings)

    def prepare(self) -> None:
        compiled = torch.compile(self.model) if self.settings.compile else self.model
        self.wrapped = self.accelerator.prepare(compiled)
        self.clip = nn.utils.clip_grad_norm_
        if self.accelerator.scaler is not None:
            # Only fp16 needs Accelerate here, to scale; its wrappers cost a tiny model 5 % a step.
            self.optimizers = [self.accelerator.prepare(o) for o in self.optimizers]
            self.clip = self.accelerator.clip_grad_norm_
        self.wrapped.train()

    def step(self, step: int) -> tuple[Tensor, int, Tensor]:
        """Update once; return the batch's summed loss, its targets, and its gradient norm."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(step, self.settings)
        # Dropout is keyed by the step, so a resumed run drops what an unbroken one does.
        key = seed_of(self.settings.seed, "dropout", step, self.accelerator.process_index)
        _seed(self.accelerator.device, key)

        batch = self.batch_at(step)
        targets = max(1, self.count(self.model, batch))
        total = self._backward(self._parts(batch), targets)
        norm = self.clip(self.model.parameters(), self.settings.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return total, targets, norm

    def _parts(self, batch: Batch) -> list[Batch]:
        """This process's rows of a batch, cut into micro-batches, on its device."""
        rows, number = len(batch["labels"]), self.settings.micro_batches
        processes, device = self.accelerator.num_processes, self.accelerator.device
        size, left = divmod(rows, processes * number)
        if left:
            raise CourseError(
                f"A batch of {rows} rows does not divide into {processes} processes "
                f"with {number} micro-batches each: change batch or micro_batches."
            )
        first = self.accelerator.process_index * number
        return [
            {key: value[n * size : (n + 1) * size].to(device) for key, value in batch.items()}
            for n in range(first, first + number)
        ]

    def _backward(self, parts: list[Batch], targets: int) -> Tensor:
        """Add the gradient of the loss per target; return the summed loss of all processes."""
        total = torch.zeros((), device=self.accelerator.device)
        for part in parts:
            # Processes need to agree on the gradient once a step, not once a micro-batch.
            with nullcontext() if part is parts[-1] else self.accelerator.no_sync(self.wrapped):
                part_loss = self.loss(self.wrapped, part)
                # Data parallelism averages over processes; we want the sum.
                self.accelerator.backward(part_loss * (self.accelerator.num_processes / targets))
            total += part_loss.detach()
        return self.accelerator.reduce(total) if self.accelerator.num_processes > 1 else total


@dataclass
class _Log:
    """The history and the losses since its last entry; checkpoints keep both.

    So a resumed run has the history of an unbroken one. Losses stay on the device until an entry
    or a checkpoint is due: looking at every step would make a GPU wait for the CPU at every step.
    Because it looks before each checkpoint, none is written after a loss that is not finite.
    """

    trainer: _Trainer
    folder: Path | None
    callback: Callable[[dict[str, float]], None]
    saved: Path | None = None
    added: list[tuple[Tensor, int]] = field(default_factory=list)

    def resume(self) -> int:
        """Go back to the newest checkpoint, if there is one; return the number of steps done."""
        self.scaler = self.trainer.accelerator.scaler
        state = {"step": 0, "history": [], "pending": []}
        if self.folder:
            state |= load_newest(self.folder, self.trainer.model, self.trainer.optimizers) or {}
        if self.scaler is not None and "scaler" in state:
            self.scaler.load_state_dict(state["scaler"])
        self.history, self.pending = state["history"], state["pending"]
        for entry in self.history:
            self.callback(entry)
        return state["step"]

    def add(self, loss: Tensor, targets: int, norm: Tensor) -> None:
        self.added.append((loss, targets))
        self.norm = norm

    def enter(self, done: int, evaluate: Callable[[nn.Module], float] | None) -> None:
        """Add an entry to the history, with a validation loss if `evaluate` is given."""
        self._look(done)
        losses, targets = zip(*self.pending, strict=True)
        self.pending = []
        before = self.history[-1]["targets"] if self.history else 0
        entry = {
            "step": done,
            "loss": sum(losses) / sum(targets),
            "learning_rate": learning_rate_at(done - 1, self.trainer.settings),
            "gradient_norm": float(self.norm),
            "targets": before + sum(targets),
        }
        if evaluate:
            entry["validation_loss"] = evaluate(self.trainer.model)
            self.trainer.wrapped.train()
        self.history.append(entry)
        self.callback(entry)

    def save(self, done: int) -> None:
        self._look(done)
        if self.trainer.accelerator.is_main_process:
            state = {"history": self.history, "pending": self.pending}
            if self.scaler is not None:
                state["scaler"] = self.scaler.state_dict()
            model, optimizers = self.trainer.model, self.trainer.optimizers
            self.saved = save_checkpoint(self.folder, done, model, optimizers, state)
        self.trainer.accelerator.wait_for_everyone()

    def _look(self, done: int) -> None:
        """Stop if a loss so far, or the gradient of the last step, is not finite.

        A gradient that was not finite before the last step has made the next loss so.
        """
        if not self.added:
            return
        losses = torch.stack([loss for loss, _ in self.added]).tolist()
        for step, value in enumerate(losses, start=done - len(losses)):
            if not math.isfinite(value):
                self._stop("loss", step)
        # The scaler of fp16 skips a step whose gradient overflows; nothing else does.
        if self.scaler is None and not math.isfinite(float(self.norm)):
            self._stop("gradient", done - 1)
        self.pending += zip(losses, (targets for _, targets in self.added), strict=True)
        self.added = []

    def _stop(self, what: str, step: int) -> None:
        saved = self.saved or (self.folder and next(reversed(checkpoints(self.folder)), None))
        raise NonFiniteLossError(
            f"The {what} is not finite at step {step}, learning rate "
            f"{learning_rate_at(step, self.trainer.settings):.2e}. Last good checkpoint: "
            f"{saved or 'none'}. Lower learning_rate, lengthen warmup, or lower clip."
        )


def _seed(device: torch.device, seed: int) -> None:
    """`torch.manual_seed` for one device; asking all backends takes longer than a tiny layer."""
    torch.default_generator.manual_seed(seed)
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).manual_seed(seed)


def _every(done: int, period: int) -> bool:
    return period > 0 and done % period == 0


@contextmanager
def _own_forward(model: nn.Module) -> Iterator[None]:
    """Give the model back as it came: Accelerate wraps `model.forward` for mixed precision.

    Left so, a model fresh from training would compute otherwise than the same model loaded.
    """
    before = model.__dict__.get("forward")
    try:
        yield
    finally:
        for name in ("forward", "_original_forward"):
            model.__dict__.pop(name, None)
        if before is not None:
            model.forward = before


@contextmanager
def _deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C until the step is finished, so that no checkpoint holds half an update.

    A second Ctrl-C interrupts at once. Outside the main thread signals cannot be caught, and
    Python's own handling stays.
    """
    caught: list[Any] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def note(number: int, frame: Any) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(caught)
    finally:
        signal.signal(signal.SIGINT, before)
