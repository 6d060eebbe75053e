"""The history of a training run, which checkpoints keep with what else is needed to go on."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from course_lib.runtime import processes
from course_lib.training.checkpoint import (
    begin_shards,
    forget_old,
    load_newest,
    newest,
    save_best,
    save_checkpoint,
)
from course_lib.training.optimizer import learning_rate_at
from course_lib.training.shards import Saving
from course_lib.training.tables import LAYOUT

if TYPE_CHECKING:
    from course_lib.training.loop import _Trainer

History = list[dict[str, float]]

SAVE_SECONDS = 300  # between checkpoints, where the recipe does not count steps


@dataclass
class Log:
    """The history and the losses since its last entry; checkpoints keep both.

    So a resumed run has the history of an unbroken one.
    """

    trainer: "_Trainer"
    callback: Callable[[dict[str, float]], None]
    identity: dict[str, Any] | None
    saved: Path | None = None
    saving: Saving | None = None
    clock: float = field(default_factory=time.monotonic)

    def resume(self) -> int:
        """Go back to the newest checkpoint, if there is one; return the number of steps done."""
        trainer, parts = self.trainer, (self.trainer.model, self.trainer.optimizers)
        self.identity = self.identity or trainer.settings.model_dump(mode="json", exclude=LAYOUT)
        state: dict[str, Any] = {"step": 0, "history": [], "pending": []}
        if trainer.folder:
            state |= load_newest(trainer.folder, *parts, self.identity) or {}
        if trainer.scaler.is_enabled() and "scaler" in state:
            trainer.scaler.load_state_dict(state["scaler"])
        self.history, self.pending = state["history"], state["pending"]
        for entry in self.history:
            self._tell(entry)
        return state["step"]

    def add(self, loss: float, targets: int, norm: float) -> None:
        """Note the summed loss of a step, its targets and its gradient norm."""
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
        if evaluate and self.trainer.settings.keep_best and self._since_best() == 0:
            save_best(self.trainer.folder, self.trainer.model)
        self._tell(entry)

    def is_stalled(self) -> bool:
        """Whether validation has not got better for as long as the settings wait."""
        patience = self.trainer.settings.patience
        return patience is not None and self._since_best() >= patience

    def _since_best(self) -> int:
        """How many evaluations ago the validation loss was lowest, the first of equal ones."""
        losses = [e["validation_loss"] for e in self.history if "validation_loss" in e]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0

    def save_is_late(self) -> bool:
        """Whether the main process has not saved for five minutes."""
        return processes.is_main() and time.monotonic() - self.clock >= SAVE_SECONDS

    def save(self, done: int) -> None:
        """Write a checkpoint, or of a sharded run begin to; every process must call it."""
        trainer = self.trainer
        state = {"history": self.history, "pending": self.pending, "settings": self.identity}
        if trainer.scaler.is_enabled():
            state["scaler"] = trainer.scaler.state_dict()
        parts = (trainer.model, trainer.optimizers)
        if trainer.sharded:
            self.settle()
            self.saving = self.saving or Saving()
            self.saved = begin_shards(self.saving, trainer.folder, done, *parts, state)
        else:
            keep = trainer.settings.keep
            self.saved = save_checkpoint(trainer.folder, done, *parts, state, keep)
        self.clock = time.monotonic()

    def settle(self) -> None:
        """Wait for the checkpoint that is being written; every process must call it."""
        if self.saving:
            self.saving.settle()
            if processes.is_main():
                forget_old(self.trainer.folder, self.trainer.settings.keep)

    def close(self) -> None:
        """Wait for it at whatever end."""
        if self.saving:
            self.saving.close()

    def where(self) -> str:
        """What is left when training ends before its time."""
        saved = newest(self.trainer.folder)
        return f"Last checkpoint: {saved}: run it again to go on." if saved else "None was saved."

    def _tell(self, entry: dict[str, float]) -> None:
        if processes.is_main():
            self.callback(entry)
