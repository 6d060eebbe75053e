"""The training loop: `fit` reads top to bottom as what happens to a model."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from course_lib.objectives.loss import count_targets, summed_loss, to_device
from course_lib.runtime import choose_device, choose_precision, processes, progress, seed_of
from course_lib.runtime.errors import CourseError
from course_lib.runtime.signals import stop_requests
from course_lib.training.ahead import Ahead
from course_lib.training.checkpoint import checkpoints, load_newest, save_checkpoint, share_tensors
from course_lib.training.optimizer import learning_rate_at, make_optimizers
from course_lib.training.recipe import Optimization

Batch = dict[str, Tensor]
History = list[dict[str, float]]

SAVE_SECONDS = 300  # between checkpoints, where the recipe does not count steps


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
    identity: dict[str, Any] | None = None,
) -> History:
    """Train `model` in place for `settings.steps` steps and return the history.

    Args:
        model: any `transformers` model; it ends on the training device, in training mode.
        batch_at: the whole batch of a step, on the CPU; called with 0, 1, ..., steps - 1.
        settings: what to do with it.
        folder: where checkpoints go and a resume looks; None for a run that is not resumed.
        evaluate: called every `settings.evaluate_every` steps, and at the end, without autocast;
            its value is logged as `validation_loss`.
        loss: the *summed* loss of a batch; the loop divides by the number of targets in the whole
            batch, so four micro-batches or two processes give what one batch gives.
        count: the number of targets that `loss` sums over; with a loss of your own, count too.
        callback: called in the main process with each entry of the history, on a resume also with
            the earlier ones.
        identity: what a checkpoint must be of, to be gone on from; by default the settings.

    Returns:
        A list of entries with `step`, `loss` (nats per target since the last entry),
        `learning_rate`, `gradient_norm`, `targets` and, when asked, `validation_loss`.

    Raises:
        NonFiniteLossError: a loss or a gradient that is not finite, before the update that it would
            spoil; names the step, the learning rate and the last good checkpoint.
        CourseError: the folder holds checkpoints of another run.
        KeyboardInterrupt: after Ctrl-C or SIGTERM in any of several processes, once the step is
            finished and saved (`course_lib.runtime.signals.Stopped`).
    """
    trainer = _Trainer(model, batch_at, settings, loss, count, folder)
    log = _Log(trainer, callback or (lambda entry: None), identity)
    first = log.resume()
    trainer.wrap()
    with stop_requests() as request, closing(trainer):
        for step in progress(range(first, settings.steps), initial=first, total=settings.steps):
            log.add(*trainer.step(step))
            done = step + 1
            final = done == settings.steps
            evaluated = evaluate and (final or _every(done, settings.evaluate_every))
            if final or evaluated or _every(done, settings.log_every):
                log.enter(done, evaluate if evaluated else None)
            stop, late = processes.any_of(request.pending, log.save_is_late())
            due = (
                late
                if settings.checkpoint_every is None
                else _every(done, settings.checkpoint_every)
            )
            if folder and (stop or (due and not final)):
                log.save(done)
            if stop:
                saved = f"saved as {log.saved}; run it again to go on" if folder else "not saved"
                raise request.interrupt(f"Stopped after step {done} of {settings.steps}, {saved}.")
    return log.history


@dataclass
class _Trainer:
    """The model and what updates it: optimizers, loss scale, and processes that share a batch."""

    model: nn.Module
    batch_at: Callable[[int], Batch]
    settings: Optimization
    loss: Callable[[nn.Module, Batch], Tensor]
    count: Callable[[nn.Module, Batch], int]
    folder: Path | None

    def __post_init__(self) -> None:
        self.device = choose_device()
        processes.join_processes(self.device)
        self.precision = choose_precision(self.device, self.settings.precision)
        self.model.to(self.device)
        self.model.zero_grad()  # what a backward pass before this one has left is not ours
        self.optimizers = make_optimizers(self.model, self.settings)
        if self.device.type == "cuda":
            self.batch_at = Ahead(self.batch_at, self.settings.steps)
        # One scaler for all optimizers: unscaled once, and its scale is updated once, a step.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")

    def wrap(self) -> None:
        """Compile and share among processes, after the weights of a checkpoint are in place."""
        self.wrapped = self.model
        if processes.world_size() > 1:
            self.wrapped = DistributedDataParallel(self.wrapped)
        if self.settings.compile:  # outermost, where the loss looks whether it is compiled
            self.wrapped = torch.compile(self.wrapped)
        self.wrapped.train()

    def close(self) -> None:
        """Let the thread go that makes batches ahead."""
        if isinstance(self.batch_at, Ahead):
            self.batch_at.close()

    def step(self, step: int) -> tuple[float, int, float]:
        """Update once; return the batch's summed loss, its targets, and its gradient norm."""
        rate = learning_rate_at(step, self.settings)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        # Dropout is keyed by the step, so a resumed run drops what an unbroken one does.
        _seed(self.device, seed_of(self.settings.seed, "dropout", step, processes.rank()))

        batch = self.batch_at(step)
        targets = max(1, self.count(self.model, batch))
        total = self._backward(self._parts(batch), targets)
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip))
        self._require_finite(step, total, norm)
        for optimizer in self.optimizers:
            if math.isfinite(norm):  # else fp16 overflowed: no weight moves, and the scale halves
                self.scaler.step(optimizer)
            optimizer.zero_grad()
        self.scaler.update()
        return total, targets, norm

    def _parts(self, batch: Batch) -> list[Batch]:
        """This process's rows of a batch, cut into micro-batches, on its device."""
        rows, number = len(batch["labels"]), self.settings.micro_batches
        size, left = divmod(rows, processes.world_size() * number)
        if left:
            raise CourseError(
                f"A batch of {rows} rows does not divide into {processes.world_size()} processes "
                f"with {number} micro-batches each: change batch or micro_batches."
            )
        first = processes.rank() * number
        return [
            to_device(
                self.model,
                {key: value[n * size : (n + 1) * size] for key, value in batch.items()},
                self.device,
            )
            for n in range(first, first + number)
        ]

    def _backward(self, parts: list[Batch], targets: int) -> float:
        """Add the gradient of the loss per target; return the summed loss of all processes."""
        total = torch.zeros((), device=self.device)
        for part in parts:
            with self._synchronised(part is parts[-1]):
                with self._autocast():
                    part_loss = self.loss(self.wrapped, part)
                # Data parallelism averages over processes; we want the sum.
                share = part_loss * (processes.world_size() / targets)
                self.scaler.scale(share).backward()
            total += part_loss.detach()
        return float(processes.summed(total))

    def _synchronised(self, last: bool) -> AbstractContextManager:
        """Processes need to agree on the gradient once a step, not once a micro-batch."""
        return nullcontext() if last or processes.world_size() == 1 else self.wrapped.no_sync()

    def _autocast(self) -> AbstractContextManager:
        if self.precision == "no":
            return nullcontext()
        return torch.autocast(self.device.type, _DTYPES[self.precision])

    def _require_finite(self, step: int, loss: float, norm: float) -> None:
        """Look before the update, so that neither weights nor a checkpoint are ever spoiled."""
        if math.isfinite(loss) and math.isfinite(norm):
            return
        # That a gradient overflows is what fp16 has a scale for, until there is none left to lower.
        if math.isfinite(loss) and self.scaler.is_enabled() and self.scaler.get_scale() > 1:
            return
        newest = next(reversed(checkpoints(self.folder)), None) if self.folder else None
        raise NonFiniteLossError(
            f"The {'gradient' if math.isfinite(loss) else 'loss'} is not finite at step {step}, "
            f"learning rate {learning_rate_at(step, self.settings):.2e}. Last good checkpoint: "
            f"{newest or 'none'}. Lower learning_rate, lengthen warmup, or lower clip."
        )


@dataclass
class _Log:
    """The history and the losses since its last entry; checkpoints keep both.

    So a resumed run has the history of an unbroken one.
    """

    trainer: _Trainer
    callback: Callable[[dict[str, float]], None]
    identity: dict[str, Any] | None
    saved: Path | None = None
    clock: float = field(default_factory=time.monotonic)

    def resume(self) -> int:
        """Go back to the newest checkpoint, if there is one; return the number of steps done."""
        trainer, parts = self.trainer, (self.trainer.model, self.trainer.optimizers)
        self.identity = self.identity or trainer.settings.model_dump(
            mode="json", exclude={"checkpoint_every"}
        )
        state: dict[str, Any] = {"step": 0, "history": [], "pending": []}
        if folder := trainer.folder:
            state |= processes.from_main(lambda: load_newest(folder, *parts, self.identity) or {})
        if state["step"]:
            share_tensors(*parts)
        if trainer.scaler.is_enabled() and "scaler" in state:
            trainer.scaler.load_state_dict(state["scaler"])
        self.history, self.pending = state["history"], state["pending"]
        for entry in self.history:
            self._tell(entry)
        return state["step"]

    def add(self, loss: float, targets: int, norm: float) -> None:
        self.pending.append((loss, targets))
        self.norm = norm

    def enter(self, done: int, evaluate: Callable[[nn.Module], float] | None) -> None:
        """Add an entry to the history, with a validation loss if `evaluate` is given."""
        losses, targets = zip(*self.pending, strict=True)
        self.pending = []
        before = self.history[-1]["targets"] if self.history else 0
        entry = {
            "step": done,
            "loss": sum(losses) / sum(targets),
            "learning_rate": learning_rate_at(done - 1, self.trainer.settings),
            "gradient_norm": self.norm,
            "targets": before + sum(targets),
        }
        if evaluate:
            entry["validation_loss"] = evaluate(self.trainer.model)
            self.trainer.wrapped.train()
        self.history.append(entry)
        self._tell(entry)

    def save_is_late(self) -> bool:
        """Whether the main process has not saved for five minutes."""
        return processes.is_main() and time.monotonic() - self.clock >= SAVE_SECONDS

    def save(self, done: int) -> None:
        trainer = self.trainer
        state = {"history": self.history, "pending": self.pending, "settings": self.identity}
        if trainer.scaler.is_enabled():
            state["scaler"] = trainer.scaler.state_dict()
        parts = (trainer.model, trainer.optimizers)
        self.saved = processes.from_main(
            lambda: save_checkpoint(trainer.folder, done, *parts, state)
        )
        self.clock = time.monotonic()

    def _tell(self, entry: dict[str, float]) -> None:
        if processes.is_main():
            self.callback(entry)


_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def _seed(device: torch.device, seed: int) -> None:
    """`torch.manual_seed` for one device; asking all backends takes longer than a tiny layer."""
    torch.default_generator.manual_seed(seed)
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).manual_seed(seed)


def _every(done: int, period: int) -> bool:
    return period > 0 and done % period == 0
