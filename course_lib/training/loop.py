"""The training loop: `fit` reads top to bottom as what happens to a model."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from course_lib.objectives.inside import giving_loss, has_plain_head, loss_inside
from course_lib.objectives.loss import count_targets, summed_loss, to_device, unwrap
from course_lib.runtime import choose_device, choose_precision, processes, progress, seed_of
from course_lib.runtime.errors import CourseError
from course_lib.runtime.signals import stop_requests
from course_lib.training.ahead import Ahead
from course_lib.training.checkpoint import load_best, newest
from course_lib.training.fitting import told_what_to_lower
from course_lib.training.log import History, Log
from course_lib.training.optimizer import learning_rate_at, make_optimizers
from course_lib.training.sharding import copy_whole, sharded_copy, whole
from course_lib.training.tables import Optimization

Batch = dict[str, Tensor]


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
        model: any `transformers` model; it ends on the training device, in training mode. Sharded,
            a copy is trained, and the model stays where it is and gets the weights at the end.
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
        OutOfMemoryError: with what to lower (`course_lib.training.fitting`).
        CourseError: the folder holds checkpoints of another run; another process is gone.
        KeyboardInterrupt: after Ctrl-C or SIGTERM in any of several processes, once the step is
            finished and saved (`course_lib.runtime.signals.Stopped`).
    """
    trainer = _Trainer(model, batch_at, settings, loss, count, folder)
    if settings.keep_best and not (folder and evaluate):
        raise CourseError("keep_best needs a folder, and evaluate to say which is best.")
    log = Log(trainer, callback or (lambda entry: None), identity)
    first = log.resume()
    trainer.wrap()
    with (
        stop_requests() as request,
        closing(trainer),
        processes.lost_process(log.where),
        told_what_to_lower(trainer),
        closing(log),
    ):
        ended = log.is_stalled()
        for step in progress(range(first, settings.steps), initial=first, total=settings.steps):
            if ended:
                break
            log.add(*trainer.step(step))
            done = step + 1
            final = done == settings.steps
            evaluated = evaluate and (final or _every(done, settings.evaluate_every))
            if final or evaluated or _every(done, settings.log_every):
                log.enter(done, evaluate if evaluated else None)
            stalled = bool(evaluated) and log.is_stalled()
            stop, late, ended = processes.any_of(request.pending, log.save_is_late(), stalled)
            due = (
                late
                if settings.checkpoint_every is None
                else _every(done, settings.checkpoint_every)
            )
            if folder and (stop or (due and not final)):
                log.save(done)
            if stop:
                log.settle()
                saved = f"saved as {log.saved}; run it again to go on" if folder else "not saved"
                raise request.interrupt(f"Stopped after step {done} of {settings.steps}, {saved}.")
        log.settle()
        if settings.keep_best:
            load_best(folder, trainer.model)
    trainer.give_back()
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
    rows: tuple[int, int] | None = None  # and their length, of what goes through at a time

    def __post_init__(self) -> None:
        self.device = choose_device()
        processes.join_processes(self.device)
        self.precision = choose_precision(self.device, self.settings.precision)
        self.given, self.sharded = self.model, self.settings.sharded and processes.world_size() > 1
        self.model.zero_grad()  # what a backward pass before this one has left is not ours
        if self.sharded:
            compiled = self.settings.compile
            self.model = sharded_copy(self.given, self.device, compiled=compiled)
        self.model.to(self.device)
        self.undo = ExitStack()  # of what is changed in the model and in torch
        if self.precision == "tf32":
            set_precision = torch.set_float32_matmul_precision
            self.undo.callback(set_precision, torch.get_float32_matmul_precision())
            set_precision("high")
        self.optimizers = make_optimizers(self.model, self.settings)
        if self.device.type == "cuda":
            self.batch_at = Ahead(self.batch_at, self.settings.steps)
        # One scaler for all optimizers: unscaled once, and its scale is updated once, a step.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")

    def _spare_memory(self) -> None:
        """And put the loss into the model, where that helps; `close` undoes it."""
        if self.settings.activation_checkpointing:
            bare = unwrap(self.model)
            # The older name goes in transformers 6; the oldest release that we take knows no other.
            word = "activation" if hasattr(bare, "activation_checkpointing_enable") else "gradient"
            getattr(bare, f"{word}_checkpointing_enable")({"use_reentrant": False})
            self.undo.callback(getattr(bare, f"{word}_checkpointing_disable"))
        next_token = self.loss in (summed_loss, loss_inside)
        if self.settings.chunked_loss and not next_token:
            raise CourseError("chunked_loss goes with the loss of the next token alone.")
        # A compiled model does not wait for its logits to be written down and read again.
        compiled = self.settings.compile and not self.sharded and next_token
        if self.settings.chunked_loss:
            self.undo.enter_context(giving_loss(self.model))
        elif compiled and has_plain_head(self.model):
            self.undo.enter_context(giving_loss(self.model, None))
        else:
            return
        self.loss = loss_inside

    def wrap(self) -> None:
        """Compile and share among processes, after the weights of a checkpoint are in place."""
        self._spare_memory()
        self.wrapped = self.model
        if not self.sharded:
            if processes.world_size() > 1:
                self.wrapped = DistributedDataParallel(self.wrapped)
            if self.settings.compile:  # outermost, where the loss looks whether it is compiled
                self.wrapped = torch.compile(self.wrapped)
        self.wrapped.train()

    def give_back(self) -> None:
        """Leave what was trained in the model that was given."""
        if self.sharded:
            copy_whole(self.model, self.given)
            self.given.train()

    def close(self) -> None:
        """Let the thread go that makes batches ahead, and the model be what it was."""
        self.undo.close()
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
        total = processes.summed(self._backward(self._parts(batch), targets))
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        # Both at once: the only time in a step that the CPU waits for a GPU.
        total, norm = torch.stack([total, whole(norm)]).cpu().tolist()
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
        first, self.rows = processes.rank() * number, (size, batch["input_ids"].shape[1])
        return [
            to_device(
                self.model,
                {key: value[n * size : (n + 1) * size] for key, value in batch.items()},
                self.device,
            )
            for n in range(first, first + number)
        ]

    def _backward(self, parts: list[Batch], targets: int) -> Tensor:
        """Add the gradient of the loss per target; return the summed loss of this process."""
        total = torch.zeros((), device=self.device)
        for part in parts:
            with self._synchronised(part is parts[-1]):
                with self._autocast():
                    part_loss = self.loss(self.wrapped, part)
                # Data parallelism averages over processes; we want the sum.
                share = part_loss * (processes.world_size() / targets)
                self.scaler.scale(share).backward()
            total += part_loss.detach()
        return total

    def _synchronised(self, last: bool) -> AbstractContextManager:
        """Processes need to agree on the gradient once a step, not once a micro-batch.

        Sharded, they do each time: to keep whole gradients in between is what is to be spared.
        """
        alone = last or self.sharded or processes.world_size() == 1
        return nullcontext() if alone else self.wrapped.no_sync()

    def _autocast(self) -> AbstractContextManager:
        if self.precision not in _DTYPES:
            return nullcontext()
        return torch.autocast(self.device.type, _DTYPES[self.precision])

    def _require_finite(self, step: int, loss: float, norm: float) -> None:
        """Look before the update, so that neither weights nor a checkpoint are ever spoiled."""
        if math.isfinite(loss) and math.isfinite(norm):
            return
        # That a gradient overflows is what fp16 has a scale for, until there is none left to lower.
        if math.isfinite(loss) and self.scaler.is_enabled() and self.scaler.get_scale() > 1:
            return
        raise NonFiniteLossError(
            f"The {'gradient' if math.isfinite(loss) else 'loss'} is not finite at step {step}, "
            f"learning rate {learning_rate_at(step, self.settings):.2e}. Last good checkpoint: "
            f"{newest(self.folder) or 'none'}. Lower learning_rate, lengthen warmup, or lower clip."
        )


_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def _seed(device: torch.device, seed: int) -> None:
    """`torch.manual_seed` for one device; asking all backends takes longer than a tiny layer."""
    torch.default_generator.manual_seed(seed)
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).manual_seed(seed)


def _every(done: int, period: int) -> bool:
    return period > 0 and done % period == 0
