"""A table beside the run, a line for each entry of its history: speed, memory, utilisation.

It is written while the run goes on, so that `tail -f` follows it, and it is no part of the result:
what took how long differs at every run.
"""

import csv
import time
from pathlib import Path
from typing import Any

import torch

from course_lib.compute import step_flops, utilisation
from course_lib.compute.hardware import accelerator_named
from course_lib.runtime import choose_device, choose_precision, processes
from course_lib.runtime.errors import CourseError
from course_lib.runtime.resident import peak_memory
from course_lib.training.fitting import GB, device_memory
from course_lib.training.plan import CORRUPTING, fresh_shape
from course_lib.training.recipe import Recipe

COLUMNS = (
    "step",
    "tokens",
    "loss",
    "validation_loss",
    "learning_rate",
    "gradient_norm",
    "seconds",
    "tokens_per_second",
    "mfu",
    "memory_gb",
)


class SideLog:
    """Writes a CSV; a run that goes on does so behind the lines that are there, a new one anew.

    `seconds` and `tokens_per_second` are since the line before, evaluation and checkpoints among
    them, empty where a run has just begun to go on. `mfu` is the share of the peak of the devices
    that the model's operations are (Chowdhery et al. 2022, section 4.1), where both are known;
    `memory_gb` the most that the main process has had, of its GPU's memory where there is one.
    """

    def __init__(self, path: Path, recipe: Recipe, *, goes_on: bool = False) -> None:
        self.path = path
        if not goes_on:
            path.unlink(missing_ok=True)
        self.tokens = recipe.optimization.batch * recipe.data.length
        self.share = _share_of_peak(recipe)
        self.clock, self.step = time.monotonic(), 0
        lines = _lines(path)
        self.last = int(lines[-1]["step"]) if lines else 0

    def __call__(self, entry: dict[str, float]) -> None:
        """Write an entry, unless it is there."""
        now, steps = time.monotonic(), entry["step"] - self.step
        seconds, self.clock, self.step = now - self.clock, now, entry["step"]
        if entry["step"] <= self.last:
            return
        line: dict[str, Any] = {key: entry[key] for key in COLUMNS if key in entry}
        line |= {"tokens": entry["step"] * self.tokens, "memory_gb": f"{_most_memory() / GB:.3f}"}
        if entry["step"] - steps == self.last:
            line["seconds"] = f"{seconds:.3f}"
            line["tokens_per_second"] = f"{steps * self.tokens / seconds:.0f}"
            if self.share:
                line["mfu"] = f"{steps * self.share / seconds:.4f}"
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(line)
        self.last = entry["step"]


def _lines(path: Path) -> list[dict[str, str]]:
    """The lines that are there, but a torn one at the end, which is taken away."""
    if not path.is_file():
        return []
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
    path.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")
    return list(csv.DictReader(whole))


def _share_of_peak(recipe: Recipe) -> float | None:
    """What a step is, in seconds of all devices at their peak; None where that is not known."""
    device, name = choose_device(), recipe.objective_name
    if device.type != "cuda":
        return None
    kind = accelerator_named(torch.cuda.get_device_name(device), device_memory(device))
    try:
        shape = fresh_shape(recipe)
    except CourseError:
        return None
    if kind is None:
        return None
    rows, objective = recipe.optimization.batch, name if name in CORRUPTING else "causal"
    flops = step_flops(shape, recipe.data.length, rows, objective, recipe.objective.rate)
    precision = choose_precision(device, recipe.optimization.precision)
    peak = kind.peak({"no": "fp32", "tf32": "tf32"}.get(precision, "half"))
    return utilisation(flops, 1.0, peak, processes.world_size())


def _most_memory() -> float:
    device = choose_device()
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_memory()
