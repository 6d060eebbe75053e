"""Guards what `make bench` compares: the same training, in turns, judged by its bars. No timing.

pytest tests/setup/test_bench.py
"""

import io
import itertools
import json
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
import bench_metrics
import contest
import contestant
from bench import corruption_cost
from contest import BEFORE, contestants, unpacked
from contestant import Turnstile
from measuring import BLOCK, Measure, alternate, compare, compare_rounds, ratio, take_turns
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


# Turns, ratios, bars.


def test_sides_take_turns_at_every_step_and_the_first_block_does_not_count():
    order = []
    sides = {name: (lambda n=name: order.append(n) or len(order)) for name in ("ours", "theirs")}
    seconds = take_turns(sides, 3)
    assert order[:8] == ["theirs", "ours", "ours", "theirs"] * 2
    assert len(order) == 2 * (3 + BLOCK)
    assert {name: len(values) for name, values in seconds.items()} == {"ours": 3, "theirs": 3}
    assert min(seconds["ours"] + seconds["theirs"]) == 2 * BLOCK + 1


def test_what_differs_from_process_to_process_widens_the_interval():
    """Half of the processes are lucky by 4 %: steps alone would be sure of either answer."""
    quiet = [1.0] * (3 * BLOCK)
    rounds = [([1.0 + 0.04 * (n % 2)] * (3 * BLOCK), quiet) for n in range(6)]
    assert ratio(quiet, rounds[1][0])[1][1] < 0.97
    found = compare_rounds("", rounds, bar=0.99)
    low, high = found.interval
    assert low < 0.97
    assert high > 0.99
    assert not found.failed
    slow = compare_rounds("", [([1.1] * (3 * BLOCK), quiet) for _ in range(6)], bar=0.99)
    assert slow.failed


def test_contestants_that_measure_themselves_take_turns():
    order = []
    names = ("ours", "theirs", "bare")
    sides = {name: (lambda n=name: order.append(n) or len(order)) for name in names}
    assert alternate(sides, 3) == {"ours": [1, 4, 7], "theirs": [2, 5, 8], "bare": [3, 6, 9]}
    assert order == [*names] * 3


def test_a_machine_that_slows_down_leaves_the_ratio():
    machine = [1.0, 1.1, 0.5, 3.0, 7.0] * 30
    theirs, ours = [3.0 * m for m in machine], [2.0 * m for m in machine]
    measure = compare("", ours, theirs, bar=1.4)
    assert measure.value == pytest.approx(1.5)
    assert measure.interval == pytest.approx((1.5, 1.5))
    assert not measure.failed


def test_a_few_disturbed_steps_do_not_decide_and_what_recurs_in_a_block_does():
    ours, theirs = [1.0] * 300, [1.2] * 300
    for step in range(0, 80, 10):
        ours[step] = 50.0
    assert compare("", ours, theirs).value == pytest.approx(1.2)
    assert compare("", ours, theirs).interval[1] == pytest.approx(1.2)
    for step in range(0, 300, BLOCK):  # a line of the log, say
        ours[step] = 3.0
    assert compare("", ours, theirs).value == pytest.approx(1.0)


def test_noise_alone_widens_the_interval_and_fails_nothing():
    torch.manual_seed(0)
    quiet = torch.ones(300, dtype=torch.float64)
    noise = 1 + 0.5 * torch.rand(300, dtype=torch.float64)
    narrow, wide = (
        compare("", (quiet * ours).tolist(), quiet.tolist(), bar=1.0)
        for ours in (1.01, noise / 1.24)
    )
    assert narrow.failed
    assert wide.interval[0] < 1.0 < wide.interval[1]
    assert not wide.failed


def test_the_interval_holds_the_median_of_what_is_drawn():
    torch.manual_seed(1)
    held = []
    for _ in range(40):
        above, below = 1.5 * torch.rand(400).exp(), torch.rand(400).exp()
        _, (low, high) = ratio(above.tolist(), below.tolist())
        held.append(low < 1.5 < high)
    assert sum(held) >= 30


@pytest.mark.parametrize(
    ("value", "interval", "bar", "at_least", "failed"),
    [
        (1.25, None, 1.25, True, False),
        (1.24, None, 1.25, True, True),
        (1.24, (1.20, 1.26), 1.25, True, False),
        (1.24, (1.20, 1.249), 1.25, True, True),
        (0.049, None, 0.05, False, False),
        (0.05, None, 0.05, False, True),
        (0.051, (0.049, 0.06), 0.05, False, False),
        (0.06, (0.05, 0.07), 0.05, False, True),
        (math.nan, None, 1.25, True, True),
        (math.nan, (math.nan, math.nan), 0.05, False, True),
        (0.1, (0.1, 0.2), None, True, False),
    ],
)
def test_a_bar_is_missed_where_all_of_the_interval_is_beyond_it(
    value, interval, bar, at_least, failed
):
    measure = Measure("x", value, bar, at_least, interval=interval)
    assert measure.failed == failed
    assert ("FAIL" in str(measure)) == failed
    assert ("pass" in str(measure)) == (not failed and bar is not None)


@pytest.mark.parametrize(("values", "status"), [((2.0, 2.0), 0), ((2.0, 0.5), 1), ((0.5, 2.0), 1)])
def test_one_failed_bar_fails_the_command(values, status, monkeypatch, capsys):
    monkeypatch.setattr(bench, "stay_on_one_thread", lambda: None)
    sections = {f"part {v}": lambda steps, v=v: [Measure("x", v, 1.0)] for v in values}
    monkeypatch.setattr(bench, "SECTIONS", sections | {"more": lambda steps: [Measure("y", 0.1)]})
    assert bench.main([]) == status
    printed = capsys.readouterr().out
    assert printed.count("FAIL") == sum(value < 1 for value in values)
    assert " 0.100" in printed, "a failed bar does not keep the rest from being measured"


def test_a_count_that_measures_nothing_is_refused(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--steps", "10"])
    assert "20 steps or more" in capsys.readouterr().err


def test_the_corruption_cost_is_that_of_the_timed_steps(monkeypatch):
    now = 0.0

    def work(seconds: float, result: object = None) -> object:
        nonlocal now
        now += seconds
        return result

    recipe, prepared = tiny("bert", "masked")
    recipe, objective = recipe.replace(steps=2 * BLOCK + 1), prepared.train.objective
    costs = itertools.chain([9.0] * BLOCK, itertools.repeat(2.0))  # the first block does not count
    slow = replace(prepared.train, objective=lambda *args: work(next(costs), objective(*args)))
    monkeypatch.setattr(bench.time, "process_time", lambda: now)
    monkeypatch.setattr(bench, "fit", pretend_to_fit(lambda: work(38.0)))
    seconds, steps = corruption_cost(recipe, replace(prepared, train=slow))
    assert seconds == pytest.approx([2.0] * BLOCK)
    assert steps == pytest.approx([40.0] * BLOCK)


def pretend_to_fit(work: Callable[[], None]) -> Callable:
    def loop(model, batches, settings):
        for step in range(settings.steps):
            batches(step)
            work()

    return loop


def test_a_block_of_metrics_is_every_pair_once():
    seen = []
    texts = [str(number) for number in range(3 * BLOCK)]
    step = bench_metrics.in_parts(lambda a, b: seen.extend(zip(a, b, strict=True)), texts, texts)
    for _ in range(2 * BLOCK):
        step()
    assert seen == 2 * list(zip(texts, texts, strict=True))


# Contestants.


@pytest.mark.parametrize("name", LOOPS)
def test_every_loop_waits_for_its_turn_at_each_step(name, monkeypatch):
    """Six steps: told to go four times, it says four times how long it took, and then ends."""
    recipe, prepared = tiny("bert", "masked")
    answers = io.StringIO()
    monkeypatch.setattr(contestant, "ANSWERS", answers)
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n" * 4 + "end\n"))
    batches = replace(prepared.train, objective=Turnstile(prepared.train.objective))
    model = fresh_model(recipe, prepared.tokenizer)
    LOOPS[name](model, batches, recipe.optimization, callback=lambda entry: None)
    seconds = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert len(seconds) == 4
    assert all(0 < s < 60 for s in seconds)


def test_it_ends_where_nobody_tells_it_anything(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(SystemExit):
        Turnstile(lambda *rows: None)()


def test_the_older_loop_is_measured_with_the_older_library(tmp_path, monkeypatch):
    tree = unpacked(tmp_path)
    if tree is None:
        pytest.skip("the history of this clone does not go back that far")
    text = (tree / "course_lib" / "training" / "loop.py").read_text(encoding="utf-8")
    assert "from accelerate import Accelerator" in text
    monkeypatch.setattr(contest, "COMMIT", "0" * 40)
    assert unpacked(tmp_path) is None


@pytest.mark.torture
def test_both_loops_take_the_steps_that_they_are_told_to():
    with contestants(("fit", BEFORE)) as loops:
        for family in ("bert", "gpt2"):
            for loop in loops.values():
                loop.begin(family, 32, 4)
            seconds = take_turns(loops, 4)
            for loop in loops.values():
                loop.end()
            assert all(0 < s < 60 for values in seconds.values() for s in values)
    assert [loop.process.returncode for loop in loops.values()] == [0] * len(loops)


# What the loops and models do.


@pytest.mark.parametrize(("family", "objective"), [("bert", "masked"), ("gpt2", "causal")])
def test_the_bare_loop_trains_what_fit_trains(family, objective):
    recipe, prepared = tiny(family, objective)
    weights, entries = [], []
    for loop in (fit, bare_loop):
        model = fresh_model(recipe, prepared.tokenizer)
        loop(model, prepared.train, recipe.optimization, callback=entries.append)
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
    LOOPS[name](model, prepared.train, recipe.optimization, callback=entries.append)
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
        model = fresh_model(recipe, prepared.tokenizer)
        loop(model, prepared.train, recipe.optimization, callback=print)
    ours, theirs = made.values()
    for one, other in zip(ours.param_groups, theirs.param_groups, strict=True):
        assert len(one["params"]) == len(other["params"])
        for key in ("betas", "weight_decay", "eps", "fused"):
            assert one[key] == other[key], key


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
