"""Checkpoints appear whole or not at all; a disk that cannot take them gives one clear error.

Run with: python -m pytest tests/training/test_checkpoints.py
"""

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from small_runs import batches, model_for, small, trained

from course_lib.runtime import CourseError
from course_lib.runtime.folders import DamagedFolderError, verify_folder
from course_lib.training import checkpoint as module
from course_lib.training import fit
from course_lib.training.checkpoint import (
    checkpoints,
    load_newest,
    save_checkpoint,
)
from course_lib.training.optimizer import make_optimizers

FILES = ["manifest.json", "model.safetensors", "optimizer.safetensors", "state.json"]


@pytest.fixture
def parts():
    """A model and its optimizers after two steps."""
    model = model_for("causal", dropout=0.0)
    fit(model, batches("causal"), small(steps=2, checkpoint_every=None))
    optimizers = make_optimizers(model, small())
    model(input_ids=torch.tensor([[3, 4]]), labels=torch.tensor([[3, 4]])).loss.backward()
    for optimizer in optimizers:
        optimizer.step()
    return model, optimizers


def test_what_is_loaded_is_what_was_saved(parts, tmp_path):
    model, optimizers = parts
    save_checkpoint(tmp_path, 7, model, optimizers, {"history": [{"loss": 0.1}]})
    other = model_for("causal", dropout=0.0)
    others = make_optimizers(other, small())
    state = load_newest(tmp_path, other, others)
    assert state == {"step": 7, "history": [{"loss": 0.1}]}
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, other.state_dict()[name])
    for one, two in zip(optimizers, others, strict=True):
        for index, entries in one.state_dict()["state"].items():
            for key, value in entries.items():
                assert torch.equal(value, two.state_dict()["state"][index][key])


def test_the_files_hold_nothing_to_unpickle_and_tied_weights_once(parts, tmp_path):
    saved = save_checkpoint(tmp_path, 1, *parts, {})
    assert sorted(file.name for file in saved.iterdir()) == FILES
    parameters = sum(p.numel() for p in parts[0].parameters())
    assert (saved / "model.safetensors").stat().st_size < 4 * parameters + 10_000
    verify_folder(saved)


def test_only_the_last_two_are_kept_and_saving_a_step_again_replaces_it(parts, tmp_path):
    for step in (1, 2, 3, 3):
        save_checkpoint(tmp_path, step, *parts, {"n": step})
    assert [c.name for c in checkpoints(tmp_path)] == ["step-00000002", "step-00000003"]
    assert load_newest(tmp_path, *parts)["n"] == 3


def test_an_empty_or_missing_folder_has_no_checkpoint(parts, tmp_path):
    assert load_newest(tmp_path, *parts) is None
    assert load_newest(tmp_path / "none", *parts) is None


def test_verify_names_checkpoint_and_file(parts, tmp_path):
    saved = save_checkpoint(tmp_path, 1, *parts, {})
    manifest = json.loads((saved / "manifest.json").read_text())
    manifest["state.json"]["sha256"] = "0" * 64
    (saved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        DamagedFolderError, match=r"step-00000001: state\.json and manifest\.json disagree"
    ):
        verify_folder(saved)


def full_disk(*_arguments, **_options):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["save_file", "mkdir", "write_text", "rename", "fsync"])
def test_a_full_disk_is_one_error_and_leaves_the_checkpoints_before(where, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    changes = {"checkpoint_every": 1}

    def fill_the_disk(entry):
        if entry["step"] == 3:
            owner = {"save_file": module, "fsync": os}.get(where, Path)
            monkeypatch.setattr(owner, where, full_disk)

    with pytest.raises(CourseError, match=r"step-00000003.*No space left.*free some space") as seen:
        fit(
            model_for("masked"),
            batches("masked"),
            small(**changes),
            folder=folder,
            callback=fill_the_disk,
        )
    monkeypatch.undo()
    assert "\n" not in str(seen.value)
    assert "COURSE_CACHE" in str(seen.value)
    assert [c.name for c in sorted(folder.iterdir())] == ["step-00000001", "step-00000002"]
    for kept in checkpoints(folder):
        verify_folder(kept)
    assert trained("masked", folder=folder, **changes)[1] == trained("masked")[1]


def test_safetensors_reports_a_full_disk_in_its_own_way(parts, tmp_path, monkeypatch):
    def full(*_):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(CourseError, match="free some space"):
        save_checkpoint(tmp_path, 1, *parts, {})


def test_a_folder_that_cannot_be_is_one_error(parts, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CourseError, match="a folder that you can write"):
        save_checkpoint(tmp_path / "file" / "run", 1, *parts, {})
