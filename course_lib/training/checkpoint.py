"""Checkpoints that are either whole or refused, and that know what they are of.

Each is a folder with a manifest (`course_lib.runtime.folders`): half-written ones never get their
name; torn or altered ones fail the manifest and the one before is used. Tensors are in safetensors,
the rest in JSON: nothing is unpickled. What decides the result (the recipe) is kept too, and a run
with other settings is refused. Of several processes the main one writes and reads, whole tensors,
so that a checkpoint does not depend on how many there were or how weights lay among them.
"""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from course_lib.runtime import processes
from course_lib.runtime.errors import CourseError
from course_lib.runtime.folders import DamagedFolderError, verify_folder, whole_folder
from course_lib.training.sharding import copy_from_main, whole

BEST = "best"  # the folder of the weights with the lowest validation loss
Tensors = dict[str, Tensor]


def save_checkpoint(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizers: list[Optimizer],
    state: dict[str, Any],
    keep: int = 2,
) -> Path:
    """Write `folder/step-NNNNNNNN` and delete all but the last few. Every process must call it.

    `state` is what else must survive, as JSON values: the history, the loss scale, the settings.
    Of frozen weights nothing is kept: they are where the run started.

    Raises:
        CourseError: the folder cannot be written or the disk is full.
    """
    final = folder / f"step-{step:08d}"
    weights, moments = _gathered(_model_tensors(model)), _gathered(_optimizer_tensors(optimizers))

    def write() -> Path:
        with whole_folder(final) as partial:
            save_file(weights, partial / "model.safetensors")
            save_file(moments, partial / "optimizer.safetensors")
            text = json.dumps({"step": step, **state})
            (partial / "state.json").write_text(text, encoding="utf-8")
        for old in checkpoints(folder)[:-keep]:
            shutil.rmtree(old, ignore_errors=True)
        return final

    return processes.from_main(write)


def load_newest(
    folder: Path,
    model: nn.Module,
    optimizers: list[Optimizer],
    settings: dict[str, Any] | None = None,
) -> dict[str, Any] | None:
    """Load the newest sound checkpoint into model and optimizers and return its state.

    Each unsound one is named in a warning, with what is wrong, and the one before is tried.
    Returns None when there is no sound checkpoint: the run then starts at step 0. Every process
    must call it; the main one may be the only one to see the folder.

    Raises:
        CourseError: a sound checkpoint, but of other settings, or of a model with other weights.
    """
    wanted = _shapes(_model_tensors(model))
    found: list[Tensors] = [{}, {}]  # stays empty in the other processes

    def read() -> tuple[dict[str, Any], list[str]] | None:
        sound = _newest_sound(folder, wanted, settings)
        if sound is None:
            return None
        state, found[0], found[1] = sound
        return state, list(found[1])

    if (told := processes.from_main(read)) is None:
        return None
    state, names = told
    with torch.no_grad():
        for name, target in _model_tensors(model).items():
            target.copy_(copy_from_main(found[0].get(name), target))
    _restore(optimizers, found[1], names)
    return state


def _newest_sound(
    folder: Path, wanted: dict[str, torch.Size], settings: dict[str, Any] | None
) -> tuple[dict[str, Any], Tensors, Tensors] | None:
    """State, weights and moments of the newest checkpoint that its manifest vouches for."""
    for checkpoint in reversed(checkpoints(folder)):
        try:
            verify_folder(checkpoint)
        except DamagedFolderError as error:
            warnings.warn(f"{error} Trying the checkpoint before it.", stacklevel=2)
            continue
        state = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
        _refuse_other(checkpoint, state.get("settings"), settings)
        weights = load_file(checkpoint / "model.safetensors")
        if _shapes(weights) != wanted:
            raise CourseError(
                f"{checkpoint} is of another model: choose another folder or delete this one."
            )
        return state, weights, load_file(checkpoint / "optimizer.safetensors")
    return None


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints in a folder, oldest first."""
    return sorted(folder.glob("step-????????"))


def save_best(folder: Path, model: nn.Module) -> None:
    """Keep the weights as the best so far. Every process must call it.

    Raises:
        CourseError: the folder cannot be written or the disk is full.
    """
    weights = _gathered(_model_tensors(model))

    def write() -> None:
        with whole_folder(folder / BEST) as partial:
            save_file(weights, partial / "model.safetensors")

    processes.from_main(write)


@torch.no_grad()
def load_best(folder: Path, model: nn.Module) -> None:
    """Put the best weights into the model. Every process must call it.

    Raises:
        DamagedFolderError: they are not what was saved.
    """
    found: Tensors = {}

    def read() -> None:
        verify_folder(folder / BEST)
        found.update(load_file(folder / BEST / "model.safetensors"))

    processes.from_main(read)
    for name, target in _model_tensors(model).items():
        target.copy_(copy_from_main(found.get(name), target))


def newest(folder: Path | None) -> Path | None:
    """The last of them, None where there is none."""
    return next(reversed(checkpoints(folder)), None) if folder else None


def differences(theirs: dict[str, Any], ours: dict[str, Any], prefix: str = "") -> list[str]:
    """In which settings two recipes differ: `seed = 3, here 4`."""
    found = []
    for key in sorted(theirs.keys() | ours.keys()):
        a, b, name = theirs.get(key), ours.get(key), f"{prefix}{key}"
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{name}.")
        elif a != b:
            found.append(f"{name} = {a!r}, here {b!r}")
    return found


def _refuse_other(
    checkpoint: Path, theirs: dict[str, Any] | None, ours: dict[str, Any] | None
) -> None:
    if theirs is None or ours is None or theirs == ours:
        return
    what = "; ".join(differences(theirs, ours)[:4])
    raise CourseError(
        f"{checkpoint.parent} holds checkpoints of another run ({what}): choose another folder, "
        "or delete it to start anew."
    )


def _model_tensors(model: nn.Module) -> Tensors:
    """Trained parameters and buffers, each tied weight once, as named_parameters has them."""
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    named |= dict(model.named_buffers())
    saved = set(model.state_dict())
    return {name: t.detach() for name, t in named.items() if name in saved}


def _shapes(tensors: Tensors) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _gathered(tensors: Tensors) -> Tensors:
    """Whole tensors in the main process, one after another; the others have nothing to keep."""
    found = {}
    for name, tensor in tensors.items():
        value = whole(tensor)
        if processes.is_main():
            found[name] = (value if value is tensor else value.cpu()).contiguous()
    return found


def _optimizer_tensors(optimizers: list[Optimizer]) -> Tensors:
    return {
        f"{number}/{index}/{key}": torch.as_tensor(value)
        for number, optimizer in enumerate(optimizers)
        for index, entries in optimizer.state_dict()["state"].items()
        for key, value in entries.items()
    }


def _restore(optimizers: list[Optimizer], tensors: Tensors, names: list[str]) -> None:
    """Give each optimizer its state back; every process knows the names, the main one the rest."""
    for number, optimizer in enumerate(optimizers):
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        state: dict[int, Tensors] = {}
        for name in names:
            owner, index, key = name.split("/")
            if int(owner) == number:
                target = parameters[int(index)].detach()
                if key == "step":
                    target = torch.zeros((), device=target.device)
                state.setdefault(int(index), {})[key] = copy_from_main(tensors.get(name), target)
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
