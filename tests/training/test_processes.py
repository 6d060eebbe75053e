"""Several processes train the model that one trains, and stop, fail and resume together.

Run with: python -m pytest tests/training/test_processes.py
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file
from small_runs import (
    StoppedError,
    batches,
    exit_codes,
    in_processes,
    model_for,
    recipe_on,
    small,
    trained,
)
from together import (
    apart,
    as_one_would,
    dropped,
    failing,
    in_parts,
    losses,
    recipes,
    slowly,
    sparing,
    told,
)

from course_lib.objectives import OBJECTIVES
from course_lib.runtime import CourseError, processes
from course_lib.training import Run, fit
from course_lib.training.checkpoint import checkpoints
from course_lib.training.loop import _Trainer
from course_lib.training.shards import SHARDS, saved_shapes


def together(target, *arguments):
    assert exit_codes(in_processes(2, target, *arguments)) == [0, 0]


def largest_difference(one, other):
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


# The same losses.


def check_two_against_one(objective, folder, sharded=False):
    unbroken = losses(objective, None)
    with pytest.raises(StoppedError):
        losses(objective, folder / "of one", stop=11)
    together(as_one_would, objective, folder, sharded)
    assert largest_difference(told(folder, "unbroken"), unbroken) < 1e-5
    assert largest_difference(told(folder, "taken over"), unbroken) < 1e-5
    assert [c.name for c in checkpoints(folder / "of two")] == ["step-00000010"]
    assert largest_difference(losses(objective, folder / "of two"), unbroken) < 1e-5


@pytest.mark.parametrize("sharded", [False, True], ids=["whole", "sharded"])
@pytest.mark.parametrize("objective", ["masked", "causal"])
def test_two_give_the_losses_of_one_and_go_on_from_each_others_checkpoints(
    objective, sharded, tmp_path
):
    # Masked: the two halves of a batch have unequal numbers of targets.
    check_two_against_one(objective, tmp_path, sharded)


@pytest.mark.torture
@pytest.mark.parametrize("sharded", [False, True], ids=["whole", "sharded"])
@pytest.mark.parametrize("objective", sorted(set(OBJECTIVES) - {"masked", "causal"}))
def test_so_they_do_whatever_the_objective(objective, sharded, tmp_path):
    check_two_against_one(objective, tmp_path, sharded)


def test_what_spares_memory_goes_with_shards(tmp_path):
    together(sparing, tmp_path)
    assert largest_difference(told(tmp_path, "spared"), losses("causal", None)) < 1e-5


def test_sharded_each_holds_half_of_every_weight_and_ends_with_the_whole(tmp_path):
    together(in_parts, tmp_path)
    first, second = (told(tmp_path, "held", rank) for rank in (0, 1))
    for name, (mine, count) in first.items():
        assert mine + second[name][0] == count
        assert mine <= 0.6 * count, f"{name} is held whole"
    expected = trained("causal", dropout=0.0)[0]
    for rank in ("0", "1"):
        for name, weight in load_file(tmp_path / rank).items():
            assert torch.allclose(weight, expected[name], atol=1e-5), name
    saved, _ = checkpoints(tmp_path / "run")
    shapes = saved_shapes(saved)
    for name in first:
        assert shapes[f"model/{name}"] == expected[name].shape
    sizes = [file.stat().st_size for file in sorted((saved / SHARDS).iterdir())]
    assert len(sizes) == 2
    assert max(sizes) < 0.6 * sum(sizes), "one process has written more than its part"


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("micro_batches", [1, 2])
def test_a_process_selects_its_rows_of_the_batch_and_no_more(count, micro_batches, monkeypatch):
    batch, parts = batches("masked")(3), []
    settings = small(micro_batches=micro_batches)
    for rank in range(count):
        monkeypatch.setattr(processes, "join_processes", lambda device: None)
        monkeypatch.setattr(processes, "world_size", lambda: count)
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        trainer = _Trainer(model_for("masked"), batches("masked"), settings, None, None, None)
        mine = trainer._parts(trainer.batch_at(3))
        assert [len(part["labels"]) for part in mine] == [8 // count // micro_batches] * len(mine)
        parts += mine
    for key, value in batch.items():
        assert torch.equal(torch.cat([part[key] for part in parts]), value)


def test_dropout_alone_is_keyed_by_the_process_and_by_the_step(tmp_path):
    together(dropped, tmp_path)
    first, second = (told(tmp_path, "losses", rank) for rank in (0, 1))
    assert len({*first, *second}) == 8, "a mask came twice: in both processes, or in two steps"


def test_the_step_to_go_on_from_is_the_main_processs(tmp_path):
    together(apart, tmp_path)
    one, other = (told(tmp_path, "end", rank) for rank in (0, 1))
    assert one == other
    assert one[0] == list(range(10, 20))
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["0"]


# Stopping and failing.


def wait_for(path, seconds=60):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} did not appear"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "rank"), [(signal.SIGINT, 1), (signal.SIGTERM, 0)], ids=["int-1", "term-0"]
)
def test_a_signal_to_one_of_two_stops_both_and_they_can_go_on(number, rank, tmp_path):
    children = in_processes(2, slowly, tmp_path, "go")
    wait_for(tmp_path / f"go-{rank}")
    os.kill(children[rank].pid, number)
    codes = exit_codes(children, 30)
    assert codes[rank] == 128 + number
    assert codes[1 - rank] == 128 + signal.SIGINT
    (saved,) = checkpoints(tmp_path / "run")
    assert 3 < int(saved.name[-8:]) < 60
    settings = small(steps=60, warmup=4, checkpoint_every=None)
    entries = [
        fit(model_for("masked", dropout=0.0), batches("masked"), settings, folder=folder)
        for folder in (tmp_path / "run", None)
    ]
    assert largest_difference(*([e["loss"] for e in history] for history in entries)) < 1e-5


def test_what_fails_in_one_is_the_error_of_both(tmp_path):
    together(failing, tmp_path)
    one, other = (dict(told(tmp_path, "said", rank)) for rank in (0, 1))
    assert one == other
    assert "step-00000002 (Not a directory)" in one["disk"]
    assert "loss is not finite at step 0" in one["loss"]
    assert "seed = 3, here 4" in one["seed"]


@pytest.mark.parametrize(
    ("said", "count", "ours"),
    [
        ("[gloo/transport/tcp/pair.cc:537] Connection closed by peer [::1]:3", 2, True),
        ("NCCL communicator was aborted on rank 1", 8, True),
        ("shapes cannot be multiplied", 2, False),
        ("[gloo/transport/tcp/pair.cc:537] Connection closed by peer [::1]:3", 1, False),
    ],
)
def test_a_lost_process_is_one_line_and_other_errors_stay(said, count, ours, monkeypatch):
    monkeypatch.setattr(processes, "world_size", lambda: count)
    kinds = (RuntimeError, CourseError)
    with pytest.raises(kinds) as caught, processes.lost_process(lambda: "Last: step-3."):
        raise RuntimeError(said)
    expected = "Another process of this training is gone. Last: step-3." if ours else said
    assert str(caught.value) == expected
    assert isinstance(caught.value, CourseError) == ours


def test_runs_follow_each_other_and_only_the_main_process_speaks_and_writes(tmp_path):
    together(recipes, tmp_path, recipe_on(tmp_path))
    (heard, first, again, other, same, info), second = (
        told(tmp_path, "runs", rank) for rank in (0, 1)
    )
    assert first == again == second[1] == second[2] != other
    assert same
    assert second[4]
    assert heard == first * 2
    assert second[0] == []
    assert info["processes"] == 2
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"0", "other-0"}
    assert Run.load(tmp_path / "0").history == first
    sharded = Run.load(tmp_path / "other-0")
    assert sharded.history == other
    assert sharded.recipe.optimization.sharded


# As a reader starts them.


def torchrun(recipe, folder):
    command = [Path(sys.executable).with_name("torchrun"), "--nproc_per_node", "2"]
    command += ["--standalone", "-m", "course_lib", "train", recipe, "--folder", folder]
    return subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", **UNBUFFERED},
    )


UNBUFFERED = {"PYTHONUNBUFFERED": "1"}  # what the main process prints is there when it prints it


def check_stopped_and_started_again(number, rank, folder):
    """`torchrun`, a signal to one of its processes, and `torchrun` again."""
    recipe, place = folder / "recipe.toml", folder / "run"
    recipe.write_text(as_toml(recipe_on(folder, steps=300, log_every=20)), encoding="utf-8")
    launcher = torchrun(recipe, place)
    assert launcher.stdout.readline().startswith("step      20")
    workers = sorted(psutil.Process(launcher.pid).children(), key=lambda p: p.environ()["RANK"])
    workers[rank].send_signal(number)
    _, said = launcher.communicate(timeout=30)
    assert launcher.returncode != 0
    assert "run it again to go on" in said
    (saved,) = checkpoints(folder / "run-checkpoints")
    assert 20 <= int(saved.name[-8:]) < 300

    launcher = torchrun(recipe, place)
    printed, said = launcher.communicate(timeout=300)
    assert (launcher.returncode, said) == (0, "")
    steps = [line.split()[1] for line in printed.splitlines() if line.startswith("step")]
    assert steps == [str(step) for step in range(20, 301, 20)]
    assert printed.count("validation loss") == printed.count("saved in") == 1
    assert sorted(path.name for path in folder.iterdir()) == [
        "recipe.toml",
        "run",
        "run-log.csv",
        "text.jsonl",
    ]
    assert Run.load(place).info["processes"] == 2


def as_toml(recipe):
    """A recipe as a file; JSON's texts and numbers are also TOML's."""
    fields = recipe.to_dict()
    lines = [f"{key} = {json.dumps(v)}" for key, v in fields.items() if not isinstance(v, dict)]
    for table, values in fields.items():
        if isinstance(values, dict):
            lines.append(f"[{table}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines)


def test_torchrun_prints_once_saves_once_stops_as_one_and_starts_again(tmp_path):
    check_stopped_and_started_again(signal.SIGINT, 1, tmp_path)


@pytest.mark.parametrize("sharded", [False, True], ids=["whole", "sharded"])
def test_a_killed_worker_ends_the_job_with_the_cause_and_a_checkpoint(sharded, tmp_path):
    recipe, place = tmp_path / "recipe.toml", tmp_path / "run"
    changes = {"steps": 3000, "log_every": 10, "checkpoint_every": 10, "sharded": sharded}
    recipe.write_text(as_toml(recipe_on(tmp_path, **changes)), encoding="utf-8")
    launcher = torchrun(recipe, place)
    for _ in range(2):
        assert launcher.stdout.readline()
    workers = psutil.Process(launcher.pid).children()
    next(worker for worker in workers if worker.environ()["RANK"] == "1").kill()
    _, said = launcher.communicate(timeout=120)
    assert launcher.returncode != 0
    assert "SIGKILL" in said
    assert 10 <= int(checkpoints(tmp_path / "run-checkpoints")[-1].name[-8:]) < 3000


@pytest.mark.torture
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
def test_torchrun_stops_as_one_by_whichever_signal_to_whichever_process(number, rank, tmp_path):
    check_stopped_and_started_again(number, rank, tmp_path)
