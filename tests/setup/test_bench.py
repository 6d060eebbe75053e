"""Guards what `make bench` compares: the same training, in turns, judged by its bars. No timing.

pytest tests/setup/test_bench.py
"""

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import packed_rows, tiny_recipe, word_tokenizer

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import bench
from bench import Clock, Measure, alternate, compare, corruption_cost, throughput
from plain_gpt import PlainGPT, plain_loss
from reference_loops import LOOPS, bare_loop, trainer

from course_lib.objectives import make_objective, summed_loss
from course_lib.training import Recipe, fit, fresh_model
from course_lib.training.data import Batches, Prepared

LENGTH = 24


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")


def tiny(family: str, objective: str) -> tuple[Recipe, Prepared]:
    """What `tiny_recipe` and `prepare` give, with words for text and six steps."""
    sizes = {"width": 16, "layers": 2, "heads": 2, "length": LENGTH, "batch": 4}
    run = {"steps": 6, "warmup": 2, "log_every": 2, "precision": "no"}
    recipe = tiny_recipe(family, **sizes, **run)
    tokenizer, rows = word_tokenizer(family), packed_rows(family, 40, LENGTH, "bench")
    batches = Batches([rows], make_objective(objective, tokenizer), 4, recipe.seed)
    return recipe, Prepared(tokenizer, batches, [])


def test_contestants_take_turns():
    order = []
    names = ("ours", "theirs", "bare")
    contestants = {name: (lambda n=name: order.append(n) or len(order)) for name in names}
    results = alternate(contestants, 3)
    assert order == [*names] * 3
    assert results == {"ours": [1, 4, 7], "theirs": [2, 5, 8], "bare": [3, 6, 9]}


def test_a_machine_that_slows_down_leaves_the_ratio():
    machine = iter([1.0, 1.0, 0.5, 0.5, 0.1, 0.1])
    contestants = {"ours": lambda: 3.0 * next(machine), "theirs": lambda: 2.0 * next(machine)}
    speeds = alternate(contestants, 3)
    assert compare("", speeds["ours"], speeds["theirs"]).value == pytest.approx(1.5)


def test_one_disturbed_repetition_does_not_decide():
    assert compare("", [100, 1, 100], [80, 80, 80]).value == 1.25
    assert compare("", [100, 100, 100], [80, 80, 1]).value == 1.25


@pytest.mark.parametrize(
    ("value", "bar", "at_least", "failed"),
    [
        (1.25, 1.25, True, False),
        (1.24, 1.25, True, True),
        (0.049, 0.05, False, False),
        (0.05, 0.05, False, True),
        (math.nan, 1.25, True, True),
        (math.nan, 0.05, False, True),
        (0.1, None, True, False),
    ],
)
def test_a_bar_is_a_bar(value, bar, at_least, failed):
    measure = Measure("x", value, bar, at_least)
    assert measure.failed == failed
    assert ("FAIL" in str(measure)) == failed
    assert ("pass" in str(measure)) == (not failed and bar is not None)


@pytest.mark.parametrize(("values", "status"), [((2.0, 2.0), 0), ((2.0, 0.5), 1), ((0.5, 2.0), 1)])
def test_one_failed_bar_fails_the_command(values, status, monkeypatch, capsys):
    monkeypatch.setattr(bench, "stay_on_one_thread", lambda: None)
    sections = {f"part {v}": lambda repeats, steps, v=v: [Measure("x", v, 1.0)] for v in values}
    monkeypatch.setattr(bench, "SECTIONS", sections | {"more": lambda *_: [Measure("y", 0.1)]})
    assert bench.main([]) == status
    printed = capsys.readouterr().out
    assert printed.count("FAIL") == sum(value < 1 for value in values)
    assert " 0.100" in printed, "a failed bar does not keep the rest from being measured"


def test_the_clock_leaves_out_what_comes_before_its_first_mark():
    clock = Clock()
    clock.marks = [(10, 100.0), (20, 101.0), (30, 104.0)]
    assert clock.seconds_per_step() == 0.2


def test_the_corruption_cost_is_that_of_the_timed_steps(monkeypatch):
    now = 0.0

    def work(seconds: float, result: object = None) -> object:
        nonlocal now
        now += seconds
        return result

    recipe, prepared = tiny("bert", "masked")
    objective = prepared.train.objective
    costs = iter([9.0, 9.0, 1.0, 2.0, 3.0, 2.0])  # the first two steps come before the first mark
    slow = replace(prepared.train, objective=lambda *args: work(next(costs), objective(*args)))
    monkeypatch.setattr(bench.time, "perf_counter", lambda: now)
    monkeypatch.setattr(bench, "fit", pretend_to_fit(lambda: work(38.0)))
    seconds, share = corruption_cost(recipe, replace(prepared, train=slow))
    assert seconds == pytest.approx(2.0)
    assert share == pytest.approx(2.0 / 40.0)


def pretend_to_fit(work: Callable[[], None]) -> Callable:
    def loop(model, batches, settings, *, callback):
        for step in range(settings.steps):
            batches(step)
            work()
            if (step + 1) % settings.log_every == 0:
                callback({"step": step + 1})

    return loop


@pytest.mark.parametrize(("family", "objective"), [("bert", "masked"), ("gpt2", "causal")])
def test_the_bare_loop_trains_what_fit_trains(family, objective):
    recipe, prepared = tiny(family, objective)
    weights, entries = [], []
    for loop in (fit, bare_loop):
        model = fresh_model(recipe, prepared.tokenizer)
        loop(model, prepared.train, recipe, callback=entries.append)
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    start = torch.cat([p.flatten() for p in fresh_model(recipe, prepared.tokenizer).parameters()])
    assert torch.allclose(*weights, atol=1e-6)
    assert not torch.allclose(weights[0], start, atol=1e-3)
    assert [entry["step"] for entry in entries] == [2, 4, 6] * 2


@pytest.mark.parametrize("name", ["Trainer", "Trainer, our loss"])
def test_the_trainer_trains_at_the_same_steps_and_says_nothing(name, capfd):
    recipe, prepared = tiny("bert", "masked")
    entries, model = [], fresh_model(recipe, prepared.tokenizer)
    before = [p.detach().clone() for p in model.parameters()]
    LOOPS[name](model, prepared.train, recipe, callback=entries.append)
    assert [entry["step"] for entry in entries] == [2, 4, 6]
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert "{'loss'" not in capfd.readouterr().out


def test_the_trainer_decays_what_we_decay(monkeypatch):
    recipe, prepared = tiny("bert", "masked")
    made = {}
    step = torch.optim.AdamW.step

    def noting(self, *args, **kwargs):
        made.setdefault(id(self), self)
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", noting)
    for loop in (fit, trainer):
        loop(fresh_model(recipe, prepared.tokenizer), prepared.train, recipe, callback=print)
    ours, theirs = made.values()
    for one, other in zip(ours.param_groups, theirs.param_groups, strict=True):
        assert len(one["params"]) == len(other["params"])
        for key in ("betas", "weight_decay", "eps", "fused"):
            assert one[key] == other[key], key


@pytest.mark.parametrize("name", LOOPS)
def test_every_loop_has_a_throughput(name):
    assert throughput(LOOPS[name], *tiny("gpt2", "causal")) > 0


def test_the_plain_gpt_is_our_tiny_gpt2():
    recipe, prepared = tiny("gpt2", "causal")
    model, rows = fresh_model(recipe, prepared.tokenizer), prepared.train.raw(0)
    for p in model.parameters():  # biases and gains too, which a fresh model has at 0 and 1
        torch.nn.init.normal_(p, std=0.3)
    plain = PlainGPT.copy_of(model)
    assert sum(p.numel() for p in plain.parameters()) == model.num_parameters()
    assert torch.allclose(plain(rows), model(rows).logits, atol=1e-4)

    ours, theirs = summed_loss(model, {"input_ids": rows, "labels": rows}), plain_loss(plain, rows)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    ours.backward()
    theirs.backward()
    assert torch.allclose(plain.tokens.weight.grad, model.transformer.wte.weight.grad, rtol=1e-3)


def test_the_plain_gpt_has_weights_of_its_own():
    recipe, prepared = tiny("gpt2", "causal")
    model = fresh_model(recipe, prepared.tokenizer)
    plain = PlainGPT.copy_of(model)
    ours, theirs = ({p.data_ptr() for p in m.parameters()} for m in (model, plain))
    assert not ours & theirs


def test_a_count_that_measures_nothing_is_refused(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--steps", "10"])
    assert "20 steps or more" in capsys.readouterr().err
