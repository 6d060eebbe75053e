"""Learning rates have the shape on the label; each weight has the optimizer and decay it should.

Run with: python -m pytest tests/training/test_schedules_and_optimizers.py
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_runs import model_for, small

from course_lib.training import learning_rate_at, make_optimizers

schedules = st.sampled_from(["cosine", "wsd", "constant"])
settings_of = st.integers(1, 400).flatmap(
    lambda steps: st.builds(
        small, steps=st.just(steps), warmup=st.integers(0, steps), schedule=schedules
    )
)


@given(settings=settings_of)
def test_rates_rise_to_the_peak_and_then_never_rise(settings):
    rates = [learning_rate_at(step, settings) for step in range(settings.steps)]
    assert rates == [learning_rate_at(step, settings) for step in range(settings.steps)]
    assert all(0 < rate <= settings.learning_rate for rate in rates)
    warm, rest = rates[: settings.warmup], rates[settings.warmup :]
    assert warm == sorted(warm)
    assert rest == sorted(rest, reverse=True)
    if settings.warmup:
        assert warm[-1] == settings.learning_rate
    if settings.schedule == "constant":
        assert set(rest) <= {settings.learning_rate}


def test_cosine_goes_from_the_peak_to_a_tenth_through_the_middle():
    settings = small(steps=1100, warmup=100, schedule="cosine", learning_rate=1.0)
    assert learning_rate_at(49, settings) == 0.5
    assert learning_rate_at(100, settings) == 1.0
    assert learning_rate_at(600, settings) == pytest.approx(0.55)
    assert learning_rate_at(1099, settings) == pytest.approx(0.1, abs=1e-4)


def test_wsd_is_flat_and_falls_to_nothing_over_the_last_fifth():
    settings = small(steps=1000, warmup=100, schedule="wsd", learning_rate=1.0)
    assert {learning_rate_at(step, settings) for step in range(99, 801)} == {1.0}
    assert learning_rate_at(900, settings) == pytest.approx(0.5)
    assert learning_rate_at(999, settings) == pytest.approx(0.005)


def parameters_of(optimizer):
    return {id(p) for group in optimizer.param_groups for p in group["params"]}


@pytest.mark.parametrize("kind", ["adamw", "muon"])
@pytest.mark.parametrize("objective", ["masked", "causal", "span", "infilling"])
def test_every_weight_has_one_optimizer_and_vectors_do_not_decay(objective, kind):
    model = model_for(objective)
    optimizers = make_optimizers(model, small(optimizer=kind))
    owned = [id(p) for o in optimizers for group in o.param_groups for p in group["params"]]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for p in group["params"]:
                assert group["weight_decay"] == (0.1 if p.ndim >= 2 else 0.0)


@pytest.mark.parametrize("objective", ["masked", "causal", "span", "infilling"])
def test_muon_takes_the_hidden_matrices_and_no_embedding(objective):
    model = model_for(objective)
    muon, adamw = make_optimizers(model, small(optimizer="muon"))
    assert isinstance(muon, torch.optim.Muon)
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    output = id(model.get_output_embeddings().weight)
    assert not parameters_of(muon) & (embeddings | {output})
    hidden = {id(p) for p in model.parameters() if p.ndim == 2} - embeddings - {output}
    assert parameters_of(muon) == hidden != set()
    assert embeddings | {output} <= parameters_of(adamw)


def test_frozen_weights_are_left_out():
    model = model_for("causal")
    for p in model.transformer.wte.parameters():
        p.requires_grad_(False)
    (adamw,) = make_optimizers(model, small())
    assert id(model.transformer.wte.weight) not in parameters_of(adamw)


def test_a_step_of_muon_is_nearly_orthogonal_whatever_the_gradient():
    layer = torch.nn.Linear(32, 24)
    torch.manual_seed(0)
    # Singular values from 1 to 100: plain momentum would hardly move along the last of them.
    u, _, v = torch.linalg.svd(torch.randn(24, 32), full_matrices=False)
    layer.weight.grad = u @ torch.diag(torch.logspace(0, 2, 24)) @ v
    before = layer.weight.detach().clone()
    settings = small(optimizer="muon", weight_decay=0, learning_rate=1.0)
    make_optimizers(layer, settings)[0].step()
    moved = torch.linalg.svdvals(before - layer.weight.detach())
    assert float(moved[0] / moved[-1]) < 3
    # Scaled to the size of AdamW's steps: about 0.2 per entry at a learning rate of 1.
    assert float((before - layer.weight.detach()).pow(2).mean().sqrt()) == pytest.approx(
        0.2, rel=0.2
    )
