"""A run that was killed, stopped, or lost its last checkpoint ends as an unbroken one, bit for bit.

Run with: python -m pytest tests/training/test_resume.py
"""

import os
import shutil
import signal

import pytest
import torch
from small_runs import (
    assert_same,
    batches,
    in_child,
    model_for,
    small,
    train_and_be_killed,
    trained,
)

from course_lib.objectives import OBJECTIVES
from course_lib.runtime import CourseError, signals
from course_lib.training import fit

NEWEST, BEFORE = "step-00000006", "step-00000004"


class StoppedError(Exception):
    """Ends a run from outside, with no chance to save."""


def run_until(step, folder, objective="masked", **changes):
    source = batches(objective)

    def batch_at(number):
        if number == step:
            raise StoppedError
        return source(number)

    with pytest.raises(StoppedError):
        fit(model_for(objective), batch_at, small(**changes), folder=folder)


@pytest.fixture(scope="module")
def straight():
    """The unbroken run."""
    return trained("masked")


@pytest.fixture(scope="module")
def broken_off(tmp_path_factory):
    """What a run leaves that was stopped in step 7, with checkpoints of 4 and 6."""
    folder = tmp_path_factory.mktemp("broken") / "run"
    run_until(7, folder)
    return folder


@pytest.fixture
def folder(broken_off, tmp_path):
    return shutil.copytree(broken_off, tmp_path / "run")


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_killed_and_resumed_equals_unbroken(objective, tmp_path):
    child = in_child(train_and_be_killed, objective, tmp_path / "run", 5)
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    assert [c.name for c in sorted((tmp_path / "run").iterdir())] == ["step-00000002", BEFORE]
    assert_same(trained(objective, folder=tmp_path / "run"), trained(objective))


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "muon"},
        {"micro_batches": 4},
        {"schedule": "wsd", "checkpoint_every": 3, "log_every": 1},
        {"precision": "bf16"},
    ],
    ids=str,
)
def test_resume_is_exact_whatever_the_settings(changes, tmp_path):
    run_until(7, tmp_path / "run", "causal", **changes)
    assert_same(trained("causal", folder=tmp_path / "run", **changes), trained("causal", **changes))


def test_a_run_may_be_broken_off_again_and_again(straight, tmp_path):
    for step in (3, 5, 7):
        run_until(step, tmp_path / "run")
    assert_same(trained("masked", folder=tmp_path / "run"), straight)


def test_how_often_it_is_saved_does_not_change_the_result(straight):
    assert_same(trained("masked", checkpoint_every=1), straight)


def test_the_callback_hears_of_the_earlier_entries_too(straight, folder):
    heard = []
    fit(model_for("masked"), batches("masked"), small(), folder=folder, callback=heard.append)
    assert heard == straight[1]


@pytest.mark.parametrize("checkpoint_every", [None, 2])
def test_ctrl_c_finishes_the_step_saves_and_can_go_on(straight, tmp_path, checkpoint_every):
    source, asked = batches("masked"), []

    def batch_at(step):
        asked.append(step)
        if step == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return source(step)

    before = signal.getsignal(signal.SIGINT)
    settings = small(checkpoint_every=checkpoint_every)
    with pytest.raises(KeyboardInterrupt, match=r"after step 5 of 8, saved as .*step-00000005"):
        fit(model_for("masked"), batch_at, settings, folder=tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before
    assert asked == [0, 1, 2, 3, 4]
    again = trained("masked", folder=tmp_path / "run", checkpoint_every=checkpoint_every)
    assert_same(again, straight)


def test_ctrl_c_without_a_folder_says_that_nothing_was_saved():
    def batch_at(step):
        signal.raise_signal(signal.SIGINT)
        return batches("masked")(step)

    with pytest.raises(KeyboardInterrupt, match="after step 1 of 8, not saved"):
        fit(model_for("masked"), batch_at, small())


def test_a_second_ctrl_c_does_not_wait_for_the_step(tmp_path, monkeypatch):
    monkeypatch.setattr(signals, "REPEATED", -1.0)

    def batch_at(step):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second one must interrupt at once")

    with pytest.raises(KeyboardInterrupt):
        fit(model_for("masked"), batch_at, small(), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def truncate(checkpoint):
    file = checkpoint / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


def alter_one_byte(checkpoint, name="optimizer.safetensors"):
    file = checkpoint / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def alter_state(checkpoint):
    alter_one_byte(checkpoint, "state.json")


def remove_file(checkpoint):
    (checkpoint / "state.json").unlink()


def remove_manifest(checkpoint):
    (checkpoint / "manifest.json").unlink()


def manifest_of(text):
    def garble(checkpoint):
        (checkpoint / "manifest.json").write_bytes(text)

    return garble


def make_half_written(checkpoint):
    """Killed while writing: the name is still the temporary one."""
    (checkpoint / "optimizer.safetensors").unlink()
    (checkpoint / "manifest.json").unlink()
    checkpoint.rename(checkpoint.with_name(f".{NEWEST}-partial-elsewhere-1234"))


DAMAGE = [
    (truncate, r"model\.safetensors has \d+ bytes, not the \d+"),
    (alter_one_byte, r"optimizer\.safetensors and manifest\.json disagree"),
    (alter_state, r"state\.json and manifest\.json disagree"),
    (remove_file, r"state\.json is missing"),
    (remove_manifest, r"no readable manifest\.json"),
    (manifest_of(b""), r"no readable manifest\.json"),
    (manifest_of(b"\xff\xfe"), r"no readable manifest\.json"),
    (manifest_of(b"[1, 2]"), r"no readable manifest\.json"),
    (manifest_of(b"3"), r"no readable manifest\.json"),
    (manifest_of(b'{"model.safetensors": {"bytes": 3}}'), r"no readable manifest\.json"),
    (manifest_of(b'{"model.safetensors": 3, "state.json": 4}'), r"no readable manifest\.json"),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGE)
def test_a_damaged_checkpoint_is_refused_by_name_and_the_one_before_used(
    damage, said, folder, straight
):
    damage(folder / NEWEST)
    with pytest.warns(UserWarning, match=f"{NEWEST}.*{said}.*Trying the checkpoint before"):
        assert_same(trained("masked", folder=folder), straight)


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_no_byte_can_change_unseen(file, folder, straight):
    for part in (0.0, 0.01, 0.3, 0.999):
        checkpoint = shutil.copytree(folder / NEWEST, folder.parent / f"{file}-{part}" / NEWEST)
        content = bytearray((checkpoint / file).read_bytes())
        content[int(part * len(content))] ^= 0x80
        (checkpoint / file).write_bytes(content)
        with pytest.warns(UserWarning, match=f"{file} and manifest.json disagree"):
            fit(model_for("masked"), batches("masked"), small(), folder=checkpoint.parent)


def test_a_half_written_checkpoint_is_none(folder, straight, recwarn):
    make_half_written(folder / NEWEST)
    assert_same(trained("masked", folder=folder), straight)
    assert not [w for w in recwarn if "checkpoint" in str(w.message)]


def test_with_no_sound_checkpoint_it_starts_again(folder, straight):
    truncate(folder / NEWEST)
    remove_manifest(folder / BEFORE)
    with pytest.warns(UserWarning, match="checkpoint") as told:
        assert_same(trained("masked", folder=folder), straight)
    messages = [str(w.message) for w in told if "checkpoint" in str(w.message)]
    assert [NEWEST in messages[0], BEFORE in messages[1]] == [True, True]


def test_a_checkpoint_of_another_model_is_refused(folder):
    with pytest.raises(CourseError, match="is of another model: choose another folder"):
        trained("causal", folder=folder)
    with pytest.raises(CourseError, match="is of another model"):
        fit(torch.nn.Linear(2, 2), batches("masked"), small(), folder=folder, count=lambda *_: 1)
