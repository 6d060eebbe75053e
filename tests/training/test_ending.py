"""Guards where training ends: early when nothing gets better, and with the best weights if asked.

pytest tests/training/test_ending.py
"""

import pytest
import torch
from small_runs import StoppedError, batches, model_for, small, stopping_at

from course_lib.runtime import CourseError
from course_lib.training import fit
from course_lib.training.checkpoint import checkpoints

LOSSES = [3.0, 2.0, 2.5, 2.0, 2.2, 1.0, 0.5, 0.4]  # told at each evaluation, step by step


def train(folder=None, losses=LOSSES, stop=None, **changes):
    """Weights after each step, the weights at the end, the steps of the history."""
    model, seen = model_for("causal", dropout=0.0), {}
    source = batches("causal") if stop is None else stopping_at(stop, batches("causal"))

    def evaluate(model):
        return losses[trained[0] - 1]

    trained = [0]

    def batch_at(step):
        seen[step] = model.transformer.wte.weight.detach().clone()
        trained[0] = step + 1
        return source(step)

    settings = small(log_every=1, evaluate_every=1, **changes)
    history = fit(model, batch_at, settings, folder=folder, evaluate=evaluate)
    return seen, model.transformer.wte.weight.detach(), [entry["step"] for entry in history]


def test_patience_counts_evaluations_since_the_lowest():
    assert train(patience=3)[2] == [1, 2, 3, 4, 5]
    assert train(patience=4)[2] == list(range(1, 9))
    assert train()[2] == list(range(1, 9))


def test_a_run_that_goes_on_ends_where_an_unbroken_one_does(tmp_path):
    with pytest.raises(StoppedError):
        train(tmp_path, patience=3, stop=4)
    assert train(tmp_path, patience=3)[2] == [1, 2, 3, 4, 5]


def test_the_best_weights_are_those_after_the_lowest_validation_loss(tmp_path):
    seen, end, steps = train(tmp_path / "a", patience=3, keep_best=True)
    assert torch.equal(end, seen[2]), "the weights before step 2 are those of the second evaluation"
    assert steps[-1] == 5
    with pytest.raises(StoppedError):
        train(tmp_path / "b", patience=3, keep_best=True, stop=4)
    assert torch.equal(train(tmp_path / "b", patience=3, keep_best=True)[1], end)
    assert not torch.equal(train(patience=3)[1], end)


def test_as_many_checkpoints_are_kept_as_asked(tmp_path):
    for keep in (1, 3):
        train(tmp_path / str(keep), keep=keep, checkpoint_every=1)
        assert len(checkpoints(tmp_path / str(keep))) == keep


def test_the_best_needs_a_place_and_evaluations():
    with pytest.raises(CourseError, match="keep_best needs a folder"):
        train(keep_best=True)
    for field in ("patience", "keep_best"):
        with pytest.raises(CourseError, match="evaluate_every"):
            small(**{field: True if field == "keep_best" else 2})
