"""Guards ladders: a run that fails loses no other, what is done is not done again, sizes are true.

pytest tests/scaling/test_ladder.py
"""

import pytest
from joblib import parallel_config
from tiny import tiny_recipe

from course_lib.corpora import World
from course_lib.runtime import CourseError
from course_lib.scaling import ladder, ladder_table
from course_lib.training import Record, Run, train

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
    tables = (TINY.vocab_size + TINY.length) * table.width
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

    monkeypatch.setattr("course_lib.training.pretraining.fit", refuse)
    assert ladder(RUNGS, measure, jobs=1).equals(first)


def test_a_failure_is_named_and_the_others_stay(monkeypatch):
    def fragile(recipe):
        if recipe.model.width == 4:
            raise FloatingPointError("too steep")
        return train(recipe)

    monkeypatch.setattr(records, "train", fragile)
    with pytest.warns(UserWarning, match="2 of 4 runs failed: rung seed 0: FloatingPointError"):
        table = ladder(RUNGS, measure, jobs=1)
    assert list(table.width) == [8, 8]
    with pytest.raises(CourseError, match="2 of 2 runs failed"):
        ladder(RUNGS[2:], measure, jobs=1)


def test_the_dearest_run_starts_first(monkeypatch):
    started = []
    monkeypatch.setattr(records, "train", lambda recipe: started.append(recipe) or train(recipe))
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
