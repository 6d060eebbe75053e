"""The matrix of what training can be asked for, and one cell of it, run as a reader would."""

import itertools
import os
from dataclasses import dataclass, fields
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_runs import (
    StoppedError,
    batches,
    exit_codes,
    in_processes,
    model_for,
    small,
    stopping_at,
)

from course_lib.objectives import count_targets, summed_loss
from course_lib.runtime import processes
from course_lib.training import fit


@dataclass(frozen=True)
class Cell:
    """One way to train."""

    precision: str
    compile: bool
    processes: str
    optimizer: str
    resume: bool
    objective: str

    def __str__(self) -> str:
        words = [self.objective, {"no": "fp32"}.get(self.precision, self.precision), self.optimizer]
        words += ["compiled"] * self.compile + [self.processes] * (self.processes != "one")
        return "-".join(words + ["resumed"] * self.resume)


VALUES = {
    "precision": ("no", "bf16", "fp16"),
    "compile": (False, True),
    "processes": ("one", "two", "sharded"),
    "optimizer": ("adamw", "muon"),
    "resume": (False, True),
    "objective": ("masked", "causal"),
}
MATRIX = [Cell(*values) for values in itertools.product(*VALUES.values())]


def pairs_of(cell: Cell) -> set:
    """Each two settings of a cell."""
    settings = [(field.name, getattr(cell, field.name)) for field in fields(cell)]
    return set(itertools.combinations(settings, 2))


Result = dict[str, torch.Tensor]


def run_cell(cell: Cell, folder: Path, backend: str = "inductor") -> Result:
    """Weights and losses of a cell: `straight/...` and, where asked for, `resumed/...`."""
    file = folder / "result.safetensors"
    count = 1 if cell.processes == "one" else 2
    children = in_processes(count, train_cell, cell, folder, file, backend)
    assert exit_codes(children, 900) == [0] * count
    return load_file(file)


def train_cell(cell: Cell, folder: Path, file: Path, backend: str) -> None:
    """What each process of a cell does; the main one writes what came out."""
    # Beside the folder, for all cells of a session: an old file must not stand in for a new one.
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder.parent / "inductor")
    graphs = count_graphs(backend)
    source = batches(cell.objective)
    changes = {"precision": cell.precision, "compile": cell.compile, "optimizer": cell.optimizer}
    changes["sharded"] = cell.processes == "sharded"
    settings = small(**changes, log_every=1, evaluate_every=4, micro_batches=2)

    def train(batch_at: object, where: Path | None) -> Result:
        model = model_for(cell.objective, dropout=0.0)
        evaluate = partial(validation, source(100))
        history = fit(model, batch_at, settings, folder=where, evaluate=evaluate)
        return results_of(model, history) | {"graphs": torch.tensor(len(graphs))}

    found = {"straight": train(source, None)}
    if cell.resume:
        with pytest.raises(StoppedError):
            train(stopping_at(5, source), folder / "run")
        found["resumed"] = train(source, folder / "run")
    if processes.is_main():
        flat = {f"{k}/{name}": t for k, result in found.items() for name, t in result.items()}
        save_file(flat, file)
    processes.leave_processes()


def count_graphs(backend: str) -> list:
    """From here on `torch.compile` takes this backend, and notes each graph that it compiles."""
    graphs, compile_with = [], torch._dynamo.backends.registry.lookup_backend(backend)

    def noting(graph: torch.fx.GraphModule, inputs: list) -> object:
        graphs.append(graph)
        return compile_with(graph, inputs)

    torch.compile = partial(torch.compile, backend=noting)
    return graphs


def validation(batch: dict, model: torch.nn.Module) -> float:
    model.eval()
    with torch.no_grad():
        return float(summed_loss(model, batch)) / count_targets(model, batch)


def results_of(model: torch.nn.Module, history: list[dict]) -> Result:
    def column(key: str) -> torch.Tensor:
        return torch.tensor([e[key] for e in history if key in e], dtype=torch.float64)

    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    return weights | {key: column(key) for key in ("loss", "validation_loss", "gradient_norm")}


def part(result: Result, name: str) -> Result:
    return {k.removeprefix(f"{name}/"): t for k, t in result.items() if k.startswith(f"{name}/")}


def reference(cell: Cell, nudges: int = 0) -> Result:
    """The same training in fp32, by one process, not compiled, unbroken, in one micro-batch.

    With a seed of nudges each number of each gradient is moved by up to a unit in its last place.
    """
    source, model = batches(cell.objective), model_for(cell.objective, dropout=0.0)
    if nudges:
        random = torch.Generator().manual_seed(nudges)
        for weight in model.parameters():
            weight.register_hook(
                lambda g: g * (1 + 2**-23 * (torch.rand(g.shape, generator=random) - 0.5))
            )
    settings = small(optimizer=cell.optimizer, log_every=1, evaluate_every=4, checkpoint_every=None)
    history = fit(model, source, settings, evaluate=partial(validation, source(100)))
    return results_of(model, history)


def distance(a: Result, b: Result, key: str) -> float:
    """How far apart two trainings ever are, as a share."""
    return float(((a[key] - b[key]) / b[key]).abs().max())


@cache
def sensitivity(objective: str, optimizer: str) -> float:
    """How far losses go when gradients are moved in their last digit: the largest of six draws."""
    cell = Cell("no", False, "one", optimizer, False, objective)
    plain, moved = reference(cell), [reference(cell, seed) for seed in range(1, 7)]
    return max(distance(m, plain, key) for m in moved for key in ("loss", "validation_loss"))
