"""The loop weighs every target alike, looks before it saves, and leaves the model as it found it.

Run with: python -m pytest tests/training/test_loop.py
"""

import math
import threading

import pytest
import torch
import torch.nn.functional as F
from small_runs import assert_same, batches, model_for, small, trained
from torch import nn

from course_lib.objectives import OBJECTIVES, count_targets, summed_loss
from course_lib.objectives.labels import label_loss
from course_lib.runtime import CourseError
from course_lib.training import NonFiniteLossError, fit
from course_lib.training.checkpoint import checkpoints


def weights_of(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def weights_after(objective, loss=summed_loss, **changes):
    """fp64 weights without dropout, so that only the order of additions is left to differ."""
    model = model_for(objective, dropout=0.0).double()
    fit(model, batches(objective), small(checkpoint_every=None, **changes), loss=loss)
    return weights_of(model)


def largest_difference(one, other):
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_four_micro_batches_give_what_one_batch_gives(objective, optimizer):
    whole = weights_after(objective, optimizer=optimizer)
    parts = weights_after(objective, optimizer=optimizer, micro_batches=4)
    # Muon orthogonalises in bf16, where a last bit can round the other way.
    tolerance = 1e-6 if optimizer == "adamw" else 1e-3
    assert largest_difference(whole, parts) < tolerance


def test_the_micro_batches_of_masked_lm_have_unequal_numbers_of_targets():
    model = model_for("masked")
    parts = [
        {key: value[start : start + 2] for key, value in batches("masked")(0).items()}
        for start in (0, 2, 4, 6)
    ]
    assert len({count_targets(model, part) for part in parts}) > 1


class MeanOfMeans:
    """The usual mistake: each of four micro-batches counts a quarter, whatever it holds."""

    def __init__(self, objective):
        self.source, self.calls = batches(objective), 0

    def __call__(self, model, part):
        step, self.calls = self.calls // 4, self.calls + 1
        quarter = count_targets(model, self.source(step)) / 4
        return summed_loss(model, part) * (quarter / max(1, count_targets(model, part)))


def test_planted_bug_a_mean_of_means_gives_other_weights_where_targets_are_unequal():
    for objective, wrong in (("masked", True), ("causal", False)):
        right = weights_after(objective, micro_batches=4)
        means = weights_after(objective, micro_batches=4, loss=MeanOfMeans(objective))
        assert (largest_difference(right, means) > 1e-3) == wrong
        assert (largest_difference(right, means) < 1e-6) != wrong


def test_the_gradient_is_that_of_the_mean_over_all_targets_of_the_batch():
    model, batch = model_for("masked", dropout=0.0), batches("masked")(0)
    logits = model(input_ids=batch["input_ids"]).logits
    mean = F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())  # ignores -100
    mean.backward()
    norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    fresh = model_for("masked", dropout=0.0)
    history = fit(fresh, batches("masked"), small(steps=1, warmup=0, micro_batches=2, clip=1e9))
    assert history[0]["loss"] == pytest.approx(mean.item(), rel=1e-5)
    assert history[0]["gradient_norm"] == pytest.approx(float(norm), rel=1e-4)


def test_the_history_weighs_steps_by_targets_and_has_an_entry_when_due():
    seen, model = [], model_for("masked", dropout=0.0)

    def noting(model, part):
        loss = summed_loss(model, part)
        seen.append((float(loss.detach()), count_targets(model, part)))
        return loss

    history = fit(model, batches("masked"), small(log_every=3, checkpoint_every=None), loss=noting)
    assert [entry["step"] for entry in history] == [3, 6, 8]
    for entry, steps in zip(history, (seen[:3], seen[3:6], seen[6:]), strict=True):
        total, targets = (sum(values) for values in zip(*steps, strict=True))
        assert entry["loss"] == pytest.approx(total / targets)
    assert [entry["targets"] for entry in history] == [
        sum(count for _, count in seen[:end]) for end in (3, 6, 8)
    ]


def test_evaluation_is_in_the_history_when_asked_and_always_at_the_end():
    model, modes = model_for("masked"), []

    def evaluate(given):
        given.eval()
        modes.append(given is model)
        return 1.5

    history = fit(
        model, batches("masked"), small(evaluate_every=5, checkpoint_every=None), evaluate=evaluate
    )
    at = {entry["step"]: entry.get("validation_loss") for entry in history}
    assert at == {3: None, 5: 1.5, 6: None, 8: 1.5}
    assert modes == [True, True]
    assert model.training, "training must go on with dropout"


def test_clipping_bounds_the_gradient_and_the_history_has_it_unclipped(monkeypatch):
    norms = []

    def noting(self, closure=None):
        grads = [p.grad for group in self.param_groups for p in group["params"]]
        norms.append(float(torch.stack([g.norm() for g in grads]).norm()))

    monkeypatch.setattr(torch.optim.AdamW, "step", noting)
    history = fit(model_for("causal"), batches("causal"), small(clip=0.25, steps=2, log_every=1))
    assert norms == [pytest.approx(0.25, rel=1e-3)] * 2
    assert all(entry["gradient_norm"] > 0.25 for entry in history)


class Poisoned:
    """A loss that is `factor` times too large at one step."""

    def __init__(self, step, factor):
        self.step, self.factor, self.calls = step, factor, 0

    def __call__(self, model, batch):
        self.calls += 1
        loss = summed_loss(model, batch)
        return loss * self.factor if self.calls == self.step + 1 else loss


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_before_the_next_checkpoint(factor, tmp_path):
    settings = small(log_every=100, learning_rate=2e-3)
    with pytest.raises(NonFiniteLossError) as seen:
        fit(
            model_for("masked"),
            batches("masked"),
            settings,
            folder=tmp_path,
            loss=Poisoned(4, factor),
        )
    message = str(seen.value)
    assert "\n" not in message
    assert "The loss is not finite at step 4, learning rate 1." in message
    assert f"Last good checkpoint: {tmp_path / 'step-00000004'}" in message
    assert "Lower learning_rate" in message
    assert [c.name for c in checkpoints(tmp_path)] == ["step-00000002", "step-00000004"]


def test_after_a_resume_the_last_good_checkpoint_is_still_named(tmp_path):
    settings = small(log_every=1, checkpoint_every=4)
    for poisoned in (5, 1):  # step 5 at first; after resuming at 4, again the second step
        with pytest.raises(NonFiniteLossError, match=r"at step 5.*checkpoint: .*step-00000004\."):
            fit(
                model_for("masked"),
                batches("masked"),
                settings,
                folder=tmp_path,
                loss=Poisoned(poisoned, math.nan),
            )


def test_without_a_checkpoint_there_is_none_to_name():
    with pytest.raises(NonFiniteLossError, match="checkpoint: none"):
        fit(model_for("masked"), batches("masked"), small(), loss=Poisoned(0, math.nan))


def test_a_gradient_that_is_not_finite_is_never_saved_though_the_loss_is_fine(tmp_path):
    def steep(model, batch):
        """Adds zero, with the slope of a square root at zero."""
        steep.calls += 1
        nothing = (next(model.parameters()) * 0).abs().sum()
        return summed_loss(model, batch) + (nothing.sqrt() if steep.calls == 4 else 0)

    steep.calls = 0
    with pytest.raises(NonFiniteLossError, match="gradient is not finite at step 3"):
        fit(model_for("masked"), batches("masked"), small(), folder=tmp_path, loss=steep)
    assert [c.name for c in checkpoints(tmp_path)] == ["step-00000002"]


def test_a_batch_without_targets_is_a_step_that_learns_nothing():
    def batch_at(step):
        batch = batches("masked")(step)
        return batch | {"labels": torch.full_like(batch["labels"], -100)}

    model = model_for("masked")
    before = weights_of(model)
    history = fit(model, batch_at, small(weight_decay=0, steps=2, warmup=0))
    assert history[-1]["loss"] == 0
    assert largest_difference(before, weights_of(model)) == 0


def test_rows_that_do_not_divide_are_refused_with_the_way_out():
    with pytest.raises(CourseError, match=r"6 rows does not divide.*change batch or micro_batches"):
        fit(model_for("masked"), batches("masked", 6), small(micro_batches=4))


def test_another_precision_may_follow_in_the_same_session():
    for precision in ("no", "bf16", "no"):
        trained("causal", steps=2, precision=precision)


def test_mixed_precision_leaves_the_model_as_it_was():
    model = model_for("causal", dropout=0.0)
    fit(model, batches("causal"), small(precision="bf16", steps=2, checkpoint_every=None))
    same = model_for("causal", dropout=0.0)
    same.load_state_dict(model.state_dict())
    ids = batches("causal")(0)["input_ids"]
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert torch.equal(model.eval()(ids).logits, same.eval()(ids).logits)
    assert "forward" not in vars(model)


def test_bf16_trains_close_to_fp32():
    exact, rough = (
        trained("causal", precision=p, dropout=0.0, checkpoint_every=None)[1]
        for p in ("no", "bf16")
    )
    assert exact != rough, "bf16 was not used"
    assert rough[-1]["loss"] == pytest.approx(exact[-1]["loss"], rel=0.02)


def test_a_classifier_can_be_trained_with_its_own_loss_and_count():
    torch.manual_seed(0)
    x = torch.randn(200, 4)
    batch = {"input_ids": x, "labels": (x[:, 0] > 0).long()}
    model = nn.Linear(4, 2)

    def loss(model, part):
        return F.cross_entropy(model(part["input_ids"]), part["labels"], reduction="sum")

    history = fit(
        model,
        lambda step: batch,
        small(steps=100, learning_rate=0.05, checkpoint_every=None),
        loss=loss,
        count=lambda model, part: len(part["labels"]),
    )
    assert history[0]["loss"] > 0.6
    assert history[-1]["loss"] < 0.3


def test_it_also_runs_outside_the_main_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(trained("causal", steps=2)))
    thread.start()
    thread.join()
    assert len(results) == 1


@pytest.mark.parametrize("change", ["chunked_loss", "activation_checkpointing"])
def test_what_spares_memory_changes_nothing_else(change):
    plain, spared = (
        trained("causal", log_every=1, checkpoint_every=None, **changes)
        for changes in ({}, {change: True})
    )
    if change == "activation_checkpointing":
        assert_same(spared, plain)
    for before, after in zip(plain[1], spared[1], strict=True):
        assert after == pytest.approx(before, rel=1e-5)


def test_a_loss_in_chunks_is_that_of_the_next_token_alone():
    for objective, loss in (("masked", summed_loss), ("causal", label_loss)):
        with pytest.raises(CourseError, match="chunked_loss"):
            fit(model_for(objective), batches(objective), small(chunked_loss=True), loss=loss)
