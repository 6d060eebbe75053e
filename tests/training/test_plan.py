"""Guards what `train --dry-run` says, and what `--fit` chooses: sizes as published, no training.

pytest tests/training/test_plan.py
"""

import re

import pytest

from course_lib.__main__ import main
from course_lib._train_command import with_rows_that_fit
from course_lib.compute import accelerators, six_nd, training_bill
from course_lib.models import count_parameters, published_sizes
from course_lib.runtime import CourseError, data_path
from course_lib.training import Recipe, Run, fitting
from course_lib.training.plan import fresh_shape, plan

H100 = accelerators()["H100 SXM"]
PUBLISHED = {"gpt2-124m": ("gpt2", "small"), "gpt3-1.3b": ("gpt3", "xl")}


def load(name):
    return Recipe.load(data_path("recipes", f"{name}.toml"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_large_recipes_are_of_published_sizes(name):
    recipe, (family, size) = load(name), PUBLISHED[name]
    published = next(s for s in published_sizes(family) if s.name == size)
    assert fresh_shape(recipe).parameters == count_parameters(published)
    assert recipe.data.length == published.config.get("n_positions", 1024)


@pytest.mark.parametrize(("name", "billions"), [("gpt2-124m", 10), ("gpt3-1.3b", 26)])
def test_tokens_operations_and_the_bill(name, billions):
    recipe = load(name)
    run, shape = recipe.optimization, fresh_shape(recipe)
    tokens = run.steps * run.batch * recipe.data.length
    assert tokens == pytest.approx(billions * 1e9, rel=0.01)
    said = plan(recipe, H100, devices=8, hour_price=2.0)
    flops = float(re.search(r"([\d.e+]+) FLOPs", said)[1])
    # Attention between positions, and the vocabulary layer, are what 6ND leaves out or counts.
    assert 1.0 < flops / six_nd(shape.parameters, tokens) < 1.3
    bill = training_bill(flops, H100, 8, hour_price=2.0)
    hours = float(re.search(r": ([\d.,]+) to [\d.,]+ device hours", said)[1].replace(",", ""))
    assert hours == pytest.approx(bill.device_hours.low, rel=0.01)
    assert "price: " in said


def test_shards_take_less_and_a_batch_must_divide():
    recipe = load("gpt3-1.3b")

    def gigabytes(**changes):
        said = plan(recipe.replace(**changes), H100, devices=8)
        return float(re.search(r"at least ([\d.]+) GB", said)[1])

    assert gigabytes() < gigabytes(sharded=False) - 10
    assert gigabytes() < gigabytes(activation_checkpointing=False) < 80
    with pytest.raises(CourseError, match="does not divide into 7 processes"):
        plan(recipe, H100, devices=7)


def test_the_command_prints_a_plan_and_trains_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    recipe = str(data_path("recipes", "gpt2-124m.toml"))
    assert main(["train", recipe, "--dry-run", "--devices", "8"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("gpt2-124m: 124,439,808 weights, 10 billion tokens")
    assert "8 x H100 SXM" in said
    assert list(tmp_path.iterdir()) == []
    assert main(["train", recipe, "--dry-run", "--on", "H999"]) == 1
    assert "choose one of" in capsys.readouterr().err
    assert main(["train", recipe, "--dry-run", "--devices", "0"]) == 1
    assert "devices=0" in capsys.readouterr().err
    tuned = str(data_path("recipes", "tuned-gpt2.toml"))
    assert main(["train", tuned, "--dry-run"]) == 1
    assert "starts from a trained model" in capsys.readouterr().err


@pytest.mark.parametrize(("memory", "devices"), [(16e9, 1), (80e9, 1), (16e9, 8), (24e9, 8)])
def test_as_many_rows_as_fit_and_no_more_and_the_batch_stays(memory, devices):
    recipe = load("gpt2-124m")
    fitted = with_rows_that_fit(recipe, memory, devices, mixed=True)
    batch = recipe.optimization.batch
    assert fitted.optimization.batch == batch
    assert fitted == recipe.replace(micro_batches=fitted.optimization.micro_batches)
    rows = batch // devices // fitted.optimization.micro_batches
    assert rows.bit_count() == 1

    def gigabytes(count):
        at_once = recipe.replace(micro_batches=batch // devices // count)
        return float(re.search(r"at least ([\d.]+) GB", plan(at_once, H100, devices))[1])

    assert gigabytes(rows) <= 0.9 * memory / 1e9 < gigabytes(2 * rows)


def test_what_spares_memory_lets_more_rows_through():
    recipe = load("gpt2-124m")
    spared = recipe.replace(chunked_loss=True, activation_checkpointing=True)
    parts = [
        with_rows_that_fit(r, 16e9, 1, mixed=True).optimization.micro_batches
        for r in (recipe, spared)
    ]
    assert parts[0] > parts[1]


def test_the_command_fits_and_says_so(capsys):
    recipe = str(data_path("recipes", "gpt2-124m.toml"))
    assert main(["train", recipe, "--dry-run", "--fit", "--on", "T4"]) == 0
    said = capsys.readouterr().out
    parts, rows = map(int, re.search(r"micro_batches = (\d+), (\d+) rows at a time", said).groups())
    assert parts * rows == load("gpt2-124m").optimization.batch
    assert f"for {rows} rows at a time" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gpt2-124m", "--devices", "7"], "512 rows does not divide into 7 processes"),
        (["gpt2-124m", "--devices", "0"], "does not divide into 0 processes"),
        (["gpt3-1.3b", "--on", "T4", "--set", "sharded=false"], "Not even one row of 2,048 tokens"),
        (["tuned-gpt2"], "starts from"),
    ],
)
def test_what_cannot_be_fitted_is_one_line(arguments, words, capsys):
    name, *rest = arguments
    recipe = str(data_path("recipes", f"{name}.toml"))
    assert main(["train", recipe, "--dry-run", "--fit", *rest]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_the_device_at_hand_decides(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(fitting, "device_memory", lambda device: 6e6)
    changes = ["width=16", "heads=2", "steps=2", "warmup=0", "evaluate_every=0", "documents=300"]
    words = [word for change in [*changes, "precision=no"] for word in ("--set", change)]
    folder = tmp_path / "run"
    path = str(data_path("recipes", "gpt2-world.toml"))
    assert main(["train", path, *words, "--fit", "--folder", str(folder)]) == 0
    run = Run.load(folder).recipe.optimization
    assert 1 < run.micro_batches < run.batch == load("gpt2-world").optimization.batch
    assert f"micro_batches = {run.micro_batches}," in capsys.readouterr().out
