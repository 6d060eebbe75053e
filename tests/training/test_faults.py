"""What goes wrong around a training: signals at its end, other settings, a disk, a closed folder.

Run with: python -m pytest tests/training/test_faults.py
"""

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest
import torch
from refusals import assert_refused
from safetensors.torch import load_file, save_file
from small_runs import (
    StoppedError,
    assert_same,
    batches,
    model_for,
    recipe_on,
    small,
    stopping_at,
    trained,
)

from course_lib.__main__ import main
from course_lib.runtime import processes
from course_lib.runtime.folders import whole_folder
from course_lib.runtime.signals import Stopped
from course_lib.training import Run, fit, log, run_recipe, train
from course_lib.training.checkpoint import checkpoints

# Signals at the end.


def raised_in_the_last_batch(number, patch):
    source = batches("masked")

    def batch_at(step):
        if step == 7:
            signal.raise_signal(number)
        return source(step)

    return {"batch_at": batch_at}


def raised_in_the_last_evaluation(number, patch):
    def evaluate(model):
        signal.raise_signal(number)
        return 1.0

    return {"evaluate": evaluate}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", [raised_in_the_last_batch, raised_in_the_last_evaluation])
def test_a_signal_in_the_last_step_is_not_lost_and_neither_is_the_step(
    number, where, tmp_path, monkeypatch
):
    changes = {"checkpoint_every": None}
    how = {"batch_at": batches("masked")} | where(number, monkeypatch)
    batch_at, evaluate = how["batch_at"], how.get("evaluate")
    settings = small(**changes)
    model = model_for("masked")
    with pytest.raises(Stopped, match=r"after step 8 of 8, saved as .*step-00000008") as stopped:
        fit(model, batch_at, settings, folder=tmp_path, evaluate=evaluate)
    assert stopped.value.number == number
    weights, history = trained("masked", folder=tmp_path, **changes)
    expected = trained("masked", **changes)
    if evaluate:
        expected[1][-1]["validation_loss"] = 1.0
    assert_same((weights, history), expected)


def test_a_signal_after_the_last_look_reaches_whoever_had_it_before(monkeypatch):
    had = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it
    looks, look = [], processes.any_of

    def looking(*flags):
        found = look(*flags)
        looks.append(found)
        if len(looks) == 8:
            signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr(processes, "any_of", looking)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(model_for("masked"), batches("masked"), small())
    finally:
        signal.signal(signal.SIGINT, had)


# Checkpoints by time.


def test_without_a_number_of_steps_it_saves_by_the_clock(tmp_path, monkeypatch):
    now = [time.monotonic()]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    source = batches("masked")

    def batch_at(step):
        now[0] += 70  # five minutes are over in the fifth step, and in the tenth
        return source(step)

    saved = []
    settings = small(steps=12, checkpoint_every=None, log_every=1)

    def noting(entry):
        saved.append([path.name for path in checkpoints(tmp_path)])

    fit(model_for("masked"), batch_at, settings, folder=tmp_path, callback=noting)
    assert log.SAVE_SECONDS == 300
    assert [len(names) for names in saved] == [0] * 5 + [1] * 5 + [2] * 2
    assert saved[-1] == ["step-00000005", "step-00000010"]


# What a folder is of.


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 4}, "seed = 3, here 4"),
        ({"learning_rate": 1e-3}, "learning_rate = 0.003, here 0.001"),
        ({"optimizer": "muon"}, "optimizer = 'adamw', here 'muon'"),
        ({"steps": 7}, "steps = 8, here 7"),
        ({"steps": 3}, "steps = 8, here 3"),
        ({"steps": 9}, "steps = 8, here 9"),
        ({"precision": "bf16"}, "precision = 'no', here 'bf16'"),
        ({"seed": 4, "clip": 2.0}, "clip = 1.0, here 2.0; seed = 3, here 4"),
    ],
    ids=str,
)
def test_other_settings_are_another_run(change, words, tmp_path):
    with pytest.raises(StoppedError):
        fit(model_for("masked"), stopping_at(5, batches("masked")), small(), folder=tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert_refused(lambda: trained("masked", folder=tmp_path, **change), words, "another folder")
    assert sorted(tmp_path.rglob("*")) == before


def test_how_often_it_is_saved_may_change(tmp_path):
    with pytest.raises(StoppedError):
        fit(model_for("masked"), stopping_at(5, batches("masked")), small(), folder=tmp_path)
    assert_same(trained("masked", folder=tmp_path, checkpoint_every=3), trained("masked"))


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "text").mkdir()
    return recipe_on(tmp_path / "text", checkpoint_every=2)


OTHERS = [
    ({"seed": 4}, "optimization.seed = 0, here 4"),
    ({"steps": 5}, "optimization.steps = 6, here 5"),
    ({"width": 32}, "model.width = 16, here 32"),
    ({"documents": 100}, "data.documents = None, here 100"),
    ({"dropout": 0.0}, "model.dropout = 0.1, here 0.0"),
]


@pytest.mark.parametrize(("change", "words"), OTHERS, ids=str)
def test_another_recipe_is_refused_by_checkpoints_and_by_a_finished_run(
    change, words, recipe, tmp_path, monkeypatch
):
    def stop(entry):
        if entry["step"] == 4:
            raise StoppedError

    place = tmp_path / "place"
    with pytest.raises(StoppedError):
        train(recipe, folder=place, callback=stop)
    other = recipe.replace(**change)
    assert_refused(lambda: train(other, folder=place), "of another run", words)
    train(recipe, folder=place)
    monkeypatch.setattr(run_recipe, "fit", None)
    assert_refused(lambda: train(other, folder=place), "holds another run", words)
    again = recipe.replace(checkpoint_every=5, name="called otherwise")
    assert train(again, folder=place).recipe == recipe


def test_the_second_of_two_recipes_in_a_folder_is_an_error(recipe, tmp_path, capsys):
    files = []
    for seed in (1, 2):
        file = tmp_path / f"{seed}.toml"
        text = f'[data]\ncorpus = "{recipe.data.corpus}"\nvocab_size = 300\nlength = 24\n'
        text += '[model]\nfamily = "gpt2"\nwidth = 16\nlayers = 1\n'
        text += f"[optimization]\nsteps = 2\nbatch = 4\nwarmup = 0\nseed = {seed}\n"
        file.write_text(f'name = "{seed}"\n{text}', encoding="utf-8")
        files.append(str(file))
    folder = str(tmp_path / "place")
    assert main(["train", files[0], "--folder", folder]) == 0
    assert "validation loss" in capsys.readouterr().out
    assert main(["train", files[1], "--folder", folder]) == 1
    said = capsys.readouterr()
    assert "validation loss" not in said.out
    assert "seed = 1, here 2" in said.err


def test_checkpoints_that_a_kill_left_beside_a_finished_run_go(recipe, tmp_path):
    train(recipe, folder=tmp_path / "place")
    shutil.copytree(tmp_path / "place", tmp_path / "place-checkpoints" / "step-00000004")
    train(recipe, folder=tmp_path / "place")
    assert not (tmp_path / "place-checkpoints").exists()


# Folders.


def test_a_folder_that_cannot_be_written_is_noticed_before_the_work(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(run_recipe, "load_start", None)
    (tmp_path / "file").write_text("", encoding="utf-8")
    for place in (tmp_path / "file" / "run", tmp_path / "file" / "deep" / "run"):
        assert_refused(lambda p=place: train(recipe, folder=p), "cannot be written", "choose")


def test_a_folder_where_one_may_not_look_is_refused(recipe, closed_folder, monkeypatch):
    monkeypatch.setattr(run_recipe, "load_start", None)
    for name in ("run", "hidden/run"):
        place = closed_folder / name
        assert_refused(lambda p=place: train(recipe, folder=p), "cannot be written", "choose")


def test_the_current_folder_can_be_meant(recipe, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    run = train(recipe, folder=".")
    assert Run.load(tmp_path / "here").history == run.history
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "here-log.csv", "text"]


def test_a_file_system_that_cannot_flush_a_folder_does_not_stop_training(
    recipe, tmp_path, monkeypatch
):
    flush, tried = os.fsync, []

    def fails_for_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            tried.append(descriptor)
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fails_for_folders)
    run = train(recipe, folder=tmp_path / "place")
    assert len(tried) >= 6
    assert Run.load(tmp_path / "place").history == run.history


# Runs that are not what was saved.


@pytest.fixture
def place(recipe, tmp_path):
    train(recipe.replace(steps=1, warmup=0), folder=tmp_path / "place")
    return tmp_path / "place"


def rewrite(place, change):
    """Alter the weights, with a manifest that agrees: what a wrong export would leave."""
    weights = load_file(place / "model.safetensors")
    change(weights)
    with whole_folder(place) as partial:
        for file in place.iterdir():
            if file.name not in ("manifest.json", "model.safetensors"):
                shutil.copy(file, partial)
        save_file(weights, partial / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value, place):
    def spoil(weights):
        weights["transformer.h.0.mlp.c_fc.weight"][0, 0] = value

    rewrite(place, spoil)
    assert_refused(lambda: Run.load(place), "damaged", "c_fc.weight are not finite")


@pytest.mark.parametrize("name", ["transformer.wte.weight", "transformer.h.0.mlp.c_fc.bias"])
def test_weights_that_are_missing_are_refused_and_not_drawn_at_random(name, place):
    rewrite(place, lambda weights: weights.pop(name))
    tied = {"transformer.wte.weight": "lm_head.weight"}
    assert_refused(lambda: Run.load(place), "damaged", f"no weights for {tied.get(name, name)}")


def test_weights_of_another_shape_are_refused(place):
    rewrite(place, lambda weights: weights.update({"transformer.ln_f.bias": torch.zeros(3)}))
    assert_refused(lambda: Run.load(place), "damaged", "train it again")


def test_an_altered_weight_is_refused(place):
    content = bytearray((place / "model.safetensors").read_bytes())
    content[-20] ^= 1
    (place / "model.safetensors").write_bytes(content)
    assert_refused(lambda: Run.load(place), "model.safetensors", "train it again")


@pytest.mark.parametrize("key", ["recipe", "history", "info"])
def test_a_key_that_is_missing_in_run_json_is_named(key, place):
    about = json.loads((place / "run.json").read_text(encoding="utf-8"))
    del about[key]
    (place / "run.json").write_text(json.dumps(about), encoding="utf-8")
    assert_refused(lambda: Run.load(place), "damaged", f"run.json has no '{key}'")


@pytest.mark.parametrize("content", [b"", b"[]", b"3", b"null", b"\xff\xfe", b'{"recipe": 1'])
def test_a_run_json_that_is_none_is_refused(content, place):
    (place / "run.json").write_bytes(content)
    assert_refused(lambda: Run.load(place), "run.json")


def test_the_home_folder_can_be_written_with_a_tilde(place, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Run.load("~/place").history == Run.load(place).history


# What it says of itself.


@pytest.mark.parametrize(
    ("precision", "said"), [("auto", "fp32"), ("no", "fp32"), ("bf16", "bf16"), ("fp16", "fp16")]
)
def test_a_run_says_in_which_precision_it_was_trained(precision, said, recipe, tmp_path):
    run = train(recipe.replace(precision=precision, steps=1, warmup=0), folder=tmp_path / "place")
    assert Run.load(tmp_path / "place").info["precision"] == run.info["precision"] == said


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("compiled", [False, True])
def test_validation_is_in_fp32_and_of_the_model_itself(precision, compiled, monkeypatch):
    # "eager" traces as any backend does, and compiles nothing.
    compile_with = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model: compile_with(model, backend="eager"))
    model, seen, source = model_for("causal"), [], batches("causal")

    def evaluate(given):
        with torch.no_grad():
            logits = given.eval()(source(50)["input_ids"]).logits
        seen.append((given is model, torch.is_autocast_enabled("cpu"), logits))
        return 1.0

    settings = small(precision=precision, compile=compiled, steps=2)
    fit(model, source, settings, evaluate=evaluate)
    ((same, autocast, logits),) = seen
    assert (same, autocast, logits.dtype) == (True, False, torch.float32)
    assert torch.equal(logits, model.eval()(source(50)["input_ids"]).logits)


def test_a_backward_pass_before_training_leaves_nothing_in_it():
    model, batch = model_for("causal", dropout=0.0), batches("causal")(0)
    (model(**batch).loss * float("inf")).backward()
    fit(model, batches("causal"), small(steps=3))
    expected, _ = trained("causal", dropout=0.0, steps=3)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, expected[name])


# A machine whose texts are not in UTF-8.

ELSEWHERE = """
import locale, sys
from pathlib import Path
assert locale.getpreferredencoding(False).upper() not in ("UTF-8", "UTF8")
from course_lib.training import Recipe, Run, train
folder = Path(sys.argv[1])
recipe = Recipe.load(folder / "recipe.toml")
run = train(recipe, folder=folder / "run")
loaded = Run.load(folder / "run")
assert loaded.history == run.history
assert loaded.recipe.name == "caf\\u00e9"
ids = loaded.tokenizer("un caf\\u00e9 \\u65e5\\u672c").input_ids
assert loaded.tokenizer.decode(ids, skip_special_tokens=True) == "un caf\\u00e9 \\u65e5\\u672c"
"""


def test_it_trains_where_the_locale_is_not_utf_8(tmp_path):
    text = tmp_path / "text.jsonl"
    lines = (json.dumps({"text": f"un café {n} fois 日本"}, ensure_ascii=False) for n in range(300))
    text.write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(
        f'name = "café"\n[data]\ncorpus = "text:{text}"\nvocab_size = 300\nlength = 16\n'
        '[model]\nfamily = "gpt2"\nwidth = 16\nlayers = 1\n'
        "[optimization]\nsteps = 2\nbatch = 4\nwarmup = 0\ncheckpoint_every = 1\n",
        encoding="utf-8",
    )
    # Neither the C locale nor a lack of any may be coerced into UTF-8.
    plain = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    child = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path)],
        env=os.environ | plain | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
    )
    assert child.returncode == 0, child.stderr.decode(errors="replace")
