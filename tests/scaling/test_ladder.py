"""Guards ladders: a run that fails loses no other, what is done is not done again, sizes are true.

pytest tests/scaling/test_ladder.py
"""

import os
import signal

import pytest
from joblib import parallel_config
from tiny import tiny_recipe

from course_lib.corpora import World
from course_lib.runtime import CourseError
from course_lib.scaling import ladder, ladder_table
from course_lib.training import Record, Run, sweep, train

TINY = tiny_recipe(
    "gpt2",
    name="rung",
    corpus="world-finance-small",
    documents=40,
    vocab_size=400,
    width=8,
    layers=1,
    length=32,
    steps=4,
    batch=2,
    warmup=1,
    log_every=2,
)
RUNGS = tuple(TINY.replace(width=w, steps=s) for w in (8, 4) for s in (6, 4))


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Runs that this file trains are its own."""
    patch = pytest.MonkeyPatch()
    patch.setenv("COURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


def measure(run: Run) -> dict[str, float]:
    """What training logs, and a word of its own."""
    return {
        "loss": run.validation_loss,
        "parameters": sum(p.numel() for p in run.model.parameters()),
    }


def test_a_row_a_run_with_the_sizes_of_the_model_itself():
    table = ladder(RUNGS, measure, jobs=1)
    assert list(table.width) == [4, 4, 8, 8]
    assert list(table.tokens) == [256, 384, 256, 384]
    assert list(table.params) == list(table.parameters)
    tables = (TINY.data.vocab_size + TINY.data.length) * table.width
    assert list(table.non_embedding) == list(table.params - tables)
    assert list(table.flop) == list(6 * table.params * table.tokens)
    assert table.loss.between(1, 10).all()
    assert [tokens for tokens, _ in table.curve[0]] == [128, 256]


def test_processes_and_threads_and_one_after_the_other_give_the_same(monkeypatch, tmp_path):
    here = ladder(RUNGS[:2], measure, jobs=1)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    with parallel_config(backend="threading"):
        assert ladder(RUNGS[:2], measure, jobs=1).equals(here)


def test_what_is_trained_is_not_trained_again(monkeypatch):
    first = ladder(RUNGS, measure, jobs=1)

    def refuse(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr("course_lib.training.run_recipe.fit", refuse)
    assert ladder(RUNGS, measure, jobs=1).equals(first)


def test_a_failure_is_named_and_the_others_stay(monkeypatch):
    def fragile(recipe):
        if recipe.model.width == 4:
            raise FloatingPointError("too steep")
        return train(recipe)

    monkeypatch.setattr(sweep, "train", fragile)
    with pytest.warns(UserWarning, match="2 of 4 runs failed: rung seed 0: FloatingPointError"):
        table = ladder(RUNGS, measure, jobs=1)
    assert list(table.width) == [8, 8]
    with pytest.raises(CourseError, match="2 of 2 runs failed"):
        ladder(RUNGS[2:], measure, jobs=1)


def measure_and_be_killed(run: Run) -> dict[str, float]:
    """As if the machine had run out of memory in the middle of one run."""
    if (run.recipe.model.width, run.recipe.optimization.steps) == (4, 6):
        os.kill(os.getpid(), signal.SIGKILL)
    return measure(run)


def test_a_killed_process_costs_no_run_but_its_own():
    with pytest.warns(UserWarning, match="1 of 4 runs failed: rung seed 0: its process was killed"):
        table = ladder(RUNGS, measure_and_be_killed, jobs=2)
    assert sorted(zip(table.width, table.tokens, strict=True)) == [(4, 256), (8, 256), (8, 384)]


def test_a_failure_keeps_its_traceback(monkeypatch):
    def fragile(recipe):
        raise FloatingPointError("too steep")

    monkeypatch.setattr(sweep, "train", fragile)
    [failure] = sweep.each_record(RUNGS[:1], measure, jobs=1)
    first, *rest = failure.splitlines()
    assert first == "rung seed 0: FloatingPointError: too steep"
    assert any("in fragile" in line for line in rest)


def test_the_dearest_run_starts_first(monkeypatch):
    started = []
    monkeypatch.setattr(sweep, "train", lambda recipe: started.append(recipe) or train(recipe))
    ladder(RUNGS[::-1], measure, jobs=1)
    costs = [recipe.model.width * recipe.optimization.steps for recipe in started]
    assert costs == sorted(costs, reverse=True)


def test_a_ladder_leaves_the_threads_of_the_session_alone():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        ladder(RUNGS, measure, jobs=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_recorded_runs_make_the_same_table():
    history = [{"step": 2, "loss": 5.0}, {"step": 4, "loss": 4.0, "validation_loss": 4.5}]
    table = ladder_table([Record(TINY, history, {"loss": 4.5, "floor": 0.4}, {})])
    assert table.curve[0] == [(128, 5.0), (256, 4.0)]
    assert (table.loss[0], table.floor[0], table.seed[0]) == (4.5, 0.4, 0)


def test_the_ladders_corpus_is_the_small_world():
    from course_lib.corpora import load, world_of

    world = world_of("world-finance-small")
    assert world.entropy() == World(register="finance", entities=40).entropy()
    assert all(
        world.log_prob(text) < 0 for text in load("world-finance-small", "test")["text"][:50]
    )
