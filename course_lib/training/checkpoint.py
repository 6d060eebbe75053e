"""Checkpoints that are either whole or refused, and that know what they are of.

Each is a folder with a manifest (`course_lib.runtime.folders`): half-written ones never get their
name; torn or altered ones fail the manifest and the one before is used. Tensors are in safetensors,
the rest in JSON: nothing is unpickled. What decides the result (the recipe) is kept too, and a run
with other settings is refused.
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

KEEP = 2


def save_checkpoint(
    folder: Path, step: int, model: nn.Module, optimizers: list[Optimizer], state: dict[str, Any]
) -> Path:
    """Write `folder/step-NNNNNNNN` and delete all but the last two.

    `state` is what else must survive, as JSON values: the history, the loss scale, the settings.
    Of frozen weights nothing is kept: they are where the run started.

    Raises:
        CourseError: the folder cannot be written or the disk is full.
    """
    final = folder / f"step-{step:08d}"
    with whole_folder(final) as partial:
        save_file(_model_tensors(model), partial / "model.safetensors")
        save_file(_optimizer_tensors(optimizers), partial / "optimizer.safetensors")
        text = json.dumps({"step": step, **state})
        (partial / "state.json").write_text(text, encoding="utf-8")
    for old in checkpoints(folder)[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def load_newest(
    folder: Path,
    model: nn.Module,
    optimizers: list[Optimizer],
    settings: dict[str, Any] | None = None,
) -> dict[str, Any] | None:
    """Load the newest sound checkpoint into model and optimizers and return its state.

    Each unsound one is named in a warning, with what is wrong, and the one before is tried.
    Returns None when there is no sound checkpoint: the run then starts at step 0.

    Raises:
        CourseError: a sound checkpoint, but of other settings, or of a model with other weights.
    """
    for checkpoint in reversed(checkpoints(folder)):
        try:
            verify_folder(checkpoint)
        except DamagedFolderError as error:
            warnings.warn(f"{error} Trying the checkpoint before it.", stacklevel=2)
            continue
        state = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
        _refuse_other(checkpoint, state.get("settings"), settings)
        weights = load_file(checkpoint / "model.safetensors")
        if _shapes(weights) != _shapes(_model_tensors(model)):
            raise CourseError(
                f"{checkpoint} is of another model: choose another folder or delete this one."
            )
        # Not strict: of tied weights only one is saved, of frozen ones none.
        model.load_state_dict(weights, strict=False)
        _restore(optimizers, load_file(checkpoint / "optimizer.safetensors"))
        return state
    return None


def share_tensors(model: nn.Module, optimizers: list[Optimizer]) -> None:
    """Give all processes what the main one has loaded: it may be the only one to see the folder."""
    if processes.world_size() == 1:
        return
    weights, moments = processes.from_main(
        lambda: (_model_tensors(model), _optimizer_tensors(optimizers))
    )
    if not processes.is_main():
        model.load_state_dict(weights, strict=False)
        _restore(optimizers, moments)


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints in a folder, oldest first."""
    return sorted(folder.glob("step-????????"))


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


def _model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Trained parameters and buffers, each tied weight once, as named_parameters has them."""
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    named |= dict(model.named_buffers())
    saved = set(model.state_dict())
    return {name: t.detach().contiguous() for name, t in named.items() if name in saved}


def _shapes(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _optimizer_tensors(optimizers: list[Optimizer]) -> dict[str, Tensor]:
    return {
        f"{number}/{index}/{key}": torch.as_tensor(value).contiguous()
        for number, optimizer in enumerate(optimizers)
        for index, entries in optimizer.state_dict()["state"].items()
        for key, value in entries.items()
    }


def _restore(optimizers: list[Optimizer], tensors: dict[str, Tensor]) -> None:
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            owner, index, key = name.split("/")
            if int(owner) == number:
                state.setdefault(int(index), {})[key] = tensor
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
