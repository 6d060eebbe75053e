"""Checkpoints that are either whole or refused.

A checkpoint is written under a temporary name, flushed to the disk, and renamed; it carries a
manifest with the size and SHA-256 of each file. Half-written ones never get their name; torn or
altered ones fail the manifest and the one before is used. Tensors are in safetensors, the rest in
JSON: nothing is unpickled.
"""

import hashlib
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from course_lib.runtime.errors import CourseError

KEEP = 2
FILES = ("model.safetensors", "optimizer.safetensors", "state.json")
MANIFEST = "manifest.json"


class CheckpointError(CourseError):
    """A checkpoint that is not what its manifest says."""


def save_checkpoint(
    folder: Path, step: int, model: nn.Module, optimizers: list[Optimizer], state: dict[str, Any]
) -> Path:
    """Write `folder/step-NNNNNNNN` and delete all but the last two.

    `state` is what else must survive, as JSON values: the history, the loss scale.

    Raises:
        CourseError: the folder cannot be written or the disk is full.
    """
    final = folder / f"step-{step:08d}"
    partial = folder / f".partial-{step:08d}-{os.getpid()}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file(_model_tensors(model), partial / "model.safetensors")
        save_file(_optimizer_tensors(optimizers), partial / "optimizer.safetensors")
        (partial / "state.json").write_text(json.dumps({"step": step, **state}))
        manifest = {name: _fingerprint(partial / name) for name in FILES}
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1))
        for file in partial.iterdir():
            _flush(file)
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        _flush(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise CourseError(
            f"Could not write checkpoint {final} ({error}): free some space or set COURSE_CACHE "
            "to a folder you can write. Checkpoints before it are untouched."
        ) from error
    for old in checkpoints(folder)[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def load_newest(
    folder: Path, model: nn.Module, optimizers: list[Optimizer]
) -> dict[str, Any] | None:
    """Load the newest sound checkpoint into model and optimizers and return its state.

    Each unsound one is named in a warning, with what is wrong, and the one before is tried.
    Returns None when there is no sound checkpoint: the run then starts at step 0.

    Raises:
        CourseError: a sound checkpoint, but of a model with other weights.
    """
    for checkpoint in reversed(checkpoints(folder)):
        try:
            verify(checkpoint)
        except CheckpointError as error:
            warnings.warn(f"{error} Trying the one before it.", stacklevel=2)
            continue
        weights = load_file(checkpoint / "model.safetensors")
        if _shapes(weights) != _shapes(_model_tensors(model)):
            raise CourseError(
                f"{checkpoint} is of another model: choose another folder or delete this one."
            )
        # Not strict: of tied weights only one is saved.
        model.load_state_dict(weights, strict=False)
        _restore(optimizers, load_file(checkpoint / "optimizer.safetensors"))
        return json.loads((checkpoint / "state.json").read_text())
    return None


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints in a folder, oldest first."""
    return sorted(folder.glob("step-????????"))


def verify(checkpoint: Path) -> None:
    """Compare a checkpoint with its manifest.

    Raises:
        CheckpointError: names the checkpoint, the file, and what is wrong with it.
    """
    try:
        manifest = json.loads((checkpoint / MANIFEST).read_text())
        sizes = {name: manifest[name]["bytes"] for name in FILES}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CheckpointError(f"Checkpoint {checkpoint.name} has no readable manifest.") from error
    for name, expected in sizes.items():
        file = checkpoint / name
        if not file.is_file():
            raise CheckpointError(f"Checkpoint {checkpoint.name}: {name} is missing.")
        if (size := file.stat().st_size) != expected:
            raise CheckpointError(
                f"Checkpoint {checkpoint.name}: {name} has {size} bytes, not {expected}."
            )
        if _fingerprint(file) != manifest[name]:
            raise CheckpointError(f"Checkpoint {checkpoint.name}: {name} was altered.")


def _fingerprint(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": file.stat().st_size, "sha256": digest}


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, each tied weight once (named_parameters leaves out the second)."""
    named = dict(model.named_parameters()) | dict(model.named_buffers())
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
