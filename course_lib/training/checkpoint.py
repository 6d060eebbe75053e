"""Checkpoints that are either whole or refused, and that know what they are of.

Each is a folder with a manifest (`course_lib.runtime.folders`): half-written ones never get their
name; torn or altered ones fail the manifest and the one before is used. Tensors are in safetensors,
the rest in JSON: nothing is unpickled. What decides the result (the recipe) is kept too, and a run
with other settings is refused. Of several processes the main one writes and reads, whole tensors;
of a sharded run each writes its part (`course_lib.training.shards`). Either way a checkpoint can
be gone on from whatever the number of processes, sharded or not.
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
from course_lib.training.shards import SHARDS, Saving, read_shards, saved_shapes

MODEL = "model/"  # before the names of weights, where those of moments stand beside them
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
    final = _named(folder, step)
    weights, moments = _gathered(_model_tensors(model)), _gathered(_optimizer_tensors(optimizers))

    def write() -> Path:
        with whole_folder(final) as partial:
            save_file(weights, partial / "model.safetensors")
            save_file(moments, partial / "optimizer.safetensors")
            text = json.dumps({"step": step, **state})
            (partial / "state.json").write_text(text, encoding="utf-8")
        forget_old(folder, keep)
        return final

    return processes.from_main(write)


def begin_shards(
    saving: Saving,
    folder: Path,
    step: int,
    model: nn.Module,
    optimizers: list[Optimizer],
    state: dict[str, Any],
) -> Path:
    """Begin to write the same of a sharded run, each process its part. Every process must call it.

    The checkpoint is there once `saving` has settled, and the older ones may go.
    """
    tensors = {f"{MODEL}{name}": tensor for name, tensor in _model_tensors(model).items()}
    final, text = _named(folder, step), json.dumps({"step": step, **state})
    saving.begin(final, tensors | _optimizer_tensors(optimizers), text)
    return final


def forget_old(folder: Path, keep: int) -> None:
    """Delete all checkpoints but the last few."""
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def _named(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"


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
    named = _model_tensors(model)
    found: list[Tensors] = [{}, {}]  # stays empty in the other processes

    def read() -> tuple[Path, dict[str, Any], list[str]] | None:
        sound = _newest_sound(folder, settings)
        if sound is None:
            return None
        checkpoint, state = sound
        if in_shards(checkpoint):
            shapes = saved_shapes(checkpoint)
            names = [name for name in shapes if not name.startswith(MODEL)]
            shapes = {n.removeprefix(MODEL): s for n, s in shapes.items() if n not in names}
        else:
            found[0] = load_file(checkpoint / "model.safetensors")
            found[1] = load_file(checkpoint / "optimizer.safetensors")
            names, shapes = list(found[1]), _shapes(found[0])
        if shapes != _shapes(named):
            raise CourseError(
                f"{checkpoint} is of another model: choose another folder or delete this one."
            )
        return checkpoint, state, names

    if (told := processes.from_main(read)) is None:
        return None
    checkpoint, state, names = told
    moments = _places(optimizers, names)
    if in_shards(checkpoint):
        moments = {name: torch.zeros_like(place) for name, place in moments.items()}
        read_shards(checkpoint, {f"{MODEL}{n}": t for n, t in named.items()} | moments)
    else:
        with torch.no_grad():
            for name, target in named.items():
                target.copy_(copy_from_main(found[0].get(name), target))
        moments = {name: copy_from_main(found[1].get(name), t) for name, t in moments.items()}
    _restore(optimizers, moments)
    return state


def in_shards(checkpoint: Path) -> bool:
    """Whether a checkpoint was written in parts."""
    return (checkpoint / SHARDS).is_dir()


def _newest_sound(
    folder: Path, settings: dict[str, Any] | None
) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint that its manifest vouches for, and its state."""
    for checkpoint in reversed(checkpoints(folder)):
        try:
            verify_folder(checkpoint)
        except DamagedFolderError as error:
            warnings.warn(f"{error} Trying the checkpoint before it.", stacklevel=2)
            continue
        state = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
        _refuse_other(checkpoint, state.get("settings"), settings)
        return checkpoint, state
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


def _places(optimizers: list[Optimizer], names: list[str]) -> Tensors:
    """Under the name of each moment, a tensor of its shape, device and placement."""
    places = {}
    for name in names:
        owner, index, key = name.split("/")
        groups = optimizers[int(owner)].param_groups
        target = [p for group in groups for p in group["params"]][int(index)].detach()
        places[name] = torch.zeros((), device=target.device) if key == "step" else target
    return places


def _restore(optimizers: list[Optimizer], moments: Tensors) -> None:
    """Give each optimizer its state back."""
    for number, optimizer in enumerate(optimizers):
        state: dict[int, Tensors] = {}
        for name, value in moments.items():
            owner, index, key = name.split("/")
            if int(owner) == number:
                state.setdefault(int(index), {})[key] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
