"""The training loop: `fit` reads top to bottom as what happens to a model."""

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from course_lib.models.likelihood import count_targets, summed_loss
from course_lib.runtime import choose_device, choose_precision, progress, seed_of
from course_lib.runtime.errors import CourseError
from course_lib.training.checkpoint import load_newest, save_checkpoint
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
    accelerator = _accelerator(settings.precision)
    model.to(accelerator.device)
    optimizers = make_optimizers(model, settings)
    state = {"step": 0, "history": [], "pending": []}
    state |= (folder and load_newest(folder, model, optimizers)) or {}
    first, history = state["step"], state["history"]
    for entry in history if callback else ():
        callback(entry)
    if accelerator.scaler is not None and "scaler" in state:
        accelerator.scaler.load_state_dict(state["scaler"])
    compiled = torch.compile(model) if settings.compile else model
    log = _Log(settings, folder, history, state["pending"])
    with _own_forward(model), _deferred_interrupt() as interrupted:
        wrapped = accelerator.prepare(compiled)
        clip, bare = nn.utils.clip_grad_norm_, optimizers
        if accelerator.scaler is not None:
            # Only fp16 needs Accelerate here, to scale; its wrappers cost a tiny model 5 % a step.
            optimizers = [accelerator.prepare(optimizer) for optimizer in optimizers]
            clip = accelerator.clip_grad_norm_
        wrapped.train()
        for step in progress(range(first, settings.steps), initial=first, total=settings.steps):
            learning_rate = learning_rate_at(step, settings)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate
            # Dropout is keyed by the step, so a resumed run drops what an unbroken one does.
            key = seed_of(settings.seed, "dropout", step, accelerator.process_index)
            _seed(accelerator.device, key)

            batch = batch_at(step)
            targets = max(1, count(model, batch))
            parts = _parts(batch, settings.micro_batches, accelerator)
            total = _backward(accelerator, wrapped, loss, parts, targets)
            norm = clip(model.parameters(), settings.clip)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()

            log.add(total, targets)
            done = step + 1
            final, stop = done == settings.steps, interrupted()
            save = folder and not final and (stop or _every(done, settings.checkpoint_every))
            evaluated = evaluate and (final or _every(done, settings.evaluate_every))
            entered = final or evaluated or _every(done, settings.log_every)
            if entered or save:
                # The scaler of fp16 skips a step whose gradient overflows; nothing else does.
                log.look(done, norm if accelerator.scaler is None else None)
            if entered:
                entry = log.entry(done, learning_rate, norm)
                if evaluated:
                    entry["validation_loss"] = evaluate(model)
                    wrapped.train()
                history.append(entry)
                if callback:
                    callback(entry)
            if save:
                if accelerator.is_main_process:
                    extra = {"history": history, "pending": log.pending}
                    if accelerator.scaler is not None:
                        extra["scaler"] = accelerator.scaler.state_dict()
                    log.last_good = save_checkpoint(folder, done, model, bare, extra)
                accelerator.wait_for_everyone()
            if stop and not final:
                saved = (
                    f"saved as {log.last_good}; run it again to go on" if folder else "not saved"
                )
                raise KeyboardInterrupt(f"Stopped after step {done} of {settings.steps}, {saved}.")
    return history


class _Log:
    """Sums losses on the device and looks at them only when an entry is due.

    Looking at every step would make a GPU wait for the CPU at every step. Because it looks before
    each checkpoint too, no checkpoint is ever written after a loss that is not finite. The sums
    since the last entry are saved with it, so a resumed run has the history of an unbroken one.
    """

    def __init__(
        self,
        settings: Optimization,
        folder: Path | None,
        history: History,
        pending: list[tuple[float, int]],
    ) -> None:
        self.settings, self.folder, self.last_good = settings, folder, None
        self.added: list[tuple[Tensor, int]] = []
        self.pending = pending
        self.seen = int(history[-1]["targets"]) if history else 0

    def add(self, loss: Tensor, targets: int) -> None:
        self.added.append((loss, targets))

    def look(self, done: int, norm: Tensor | None) -> None:
        """Stop if a loss so far, or the gradient of the last step, is not finite.

        A gradient that was not finite before the last step has made the next loss so.
        """
        losses = torch.stack([loss for loss, _ in self.added]).tolist()
        for offset, value in enumerate(losses):
            if not math.isfinite(value):
                self._stop("loss", done - len(losses) + offset)
        if norm is not None and not math.isfinite(float(norm)):
            self._stop("gradient", done - 1)
        self.pending += zip(losses, (targets for _, targets in self.added), strict=True)
        self.added = []

    def entry(self, done: int, learning_rate: float, norm: Tensor) -> dict[str, float]:
        losses, targets = zip(*self.pending, strict=True)
        self.seen += sum(targets)
        entry = {
            "step": done,
            "loss": sum(losses) / sum(targets),
            "learning_rate": learning_rate,
            "gradient_norm": float(norm),
            "targets": self.seen,
        }
        self.pending = []
        return entry

    def _stop(self, what: str, step: int) -> None:
        saved = self.last_good or (self.folder and next(reversed(_saved(self.folder)), None))
        raise NonFiniteLossError(
            f"The {what} is not finite at step {step}, learning rate "
            f"{learning_rate_at(step, self.settings):.2e}. Last good checkpoint: "
            f"{saved or 'none'}. Lower learning_rate, lengthen warmup, or lower clip."
        )


def _saved(folder: Path) -> list[Path]:
    from course_lib.training.checkpoint import checkpoints

    return checkpoints(folder)


def _backward(
    accelerator: Accelerator,
    model: nn.Module,
    loss: Callable[[nn.Module, Batch], Tensor],
    parts: list[Batch],
    targets: int,
) -> Tensor:
    """Add the gradient of the batch's loss per target; return its summed loss, all processes'."""
    total = torch.zeros((), device=accelerator.device)
    for number, part in enumerate(parts, start=1):
        last = number == len(parts)
        # Processes need to agree on the gradient once a step, not once a micro-batch.
        with nullcontext() if last else accelerator.no_sync(model):
            part_loss = loss(model, part)
            # Data parallelism averages over processes; we want the sum.
            accelerator.backward(part_loss * (accelerator.num_processes / targets))
        total += part_loss.detach()
    return accelerator.reduce(total) if accelerator.num_processes > 1 else total


def _seed(device: torch.device, seed: int) -> None:
    """`torch.manual_seed` for one device; asking all backends takes longer than a tiny layer."""
    torch.default_generator.manual_seed(seed)
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).manual_seed(seed)


def _every(done: int, period: int) -> bool:
    return period > 0 and done % period == 0


def _accelerator(precision: str) -> Accelerator:
    device = choose_device()
    precision = choose_precision(device) if precision == "auto" else precision
    # Accelerate keeps the precision of its first use for the whole session; the next run of a
    # notebook may want another.
    AcceleratorState._reset_state()
    return Accelerator(mixed_precision=precision, cpu=device.type == "cpu")


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


def _parts(batch: Batch, micro_batches: int, accelerator: Accelerator) -> list[Batch]:
    """This process's rows of a batch, cut into micro-batches, on its device."""
    rows = len(batch["labels"])
    if rows % (accelerator.num_processes * micro_batches):
        raise CourseError(
            f"A batch of {rows} rows does not divide into {accelerator.num_processes} processes "
            f"with {micro_batches} micro-batches each: change batch or micro_batches."
        )
    size = rows // (accelerator.num_processes * micro_batches)
    start = accelerator.process_index * micro_batches * size
    return [
        {
            key: value[start + number * size : start + (number + 1) * size].to(accelerator.device)
            for key, value in batch.items()
        }
        for number in range(micro_batches)
    ]


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
