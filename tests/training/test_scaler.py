"""One loss scale serves all optimizers: it changes no update, and an overflow skips all of them.

AdamW, Muon and clipping are held against their formulas, step by step.
Run with: python -m pytest tests/training/test_scaler.py
"""

import math
from contextlib import nullcontext

import pytest
import torch
from small_runs import batches, model_for, small

from course_lib.models.adapters import add_lora
from course_lib.objectives import count_targets, summed_loss
from course_lib.training import NonFiniteLossError, fit, learning_rate_at
from course_lib.training.checkpoint import checkpoints, load_newest
from course_lib.training.loop import _Trainer
from course_lib.training.optimizer import make_optimizers


@pytest.fixture
def fp32_under_a_scale(monkeypatch):
    """fp16's scale of 2^16 on gradients that stay in fp32: multiplied and divided exactly."""
    monkeypatch.setattr(_Trainer, "_autocast", lambda self: nullcontext())


def weights_and_gradients(monkeypatch, **changes):
    """The weights at the end, and each gradient that an optimizer was given."""
    given = []

    def noting(step):
        def wrapped(optimizer, *args, **kwargs):
            given.append([p.grad.clone() for g in optimizer.param_groups for p in g["params"]])
            return step(optimizer, *args, **kwargs)

        return wrapped

    model = model_for("masked", dropout=0.0)
    with monkeypatch.context() as patch:
        for kind in (torch.optim.AdamW, torch.optim.Muon):
            patch.setattr(kind, "step", noting(kind.step))
        history = fit(model, batches("masked"), small(checkpoint_every=None, **changes))
    return model.state_dict(), given, history


@pytest.mark.parametrize("clip", [1e-3, 1e9])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_scale_changes_no_gradient_and_no_weight(
    optimizer, clip, fp32_under_a_scale, monkeypatch
):
    settings = {"optimizer": optimizer, "clip": clip, "micro_batches": 2}
    plain = weights_and_gradients(monkeypatch, **settings, precision="no")
    scaled = weights_and_gradients(monkeypatch, **settings, precision="fp16")
    assert len(plain[1]) == len(scaled[1]) == (8 if optimizer == "adamw" else 16)
    for one, other in zip(plain[1], scaled[1], strict=True):
        for gradient, same in zip(one, other, strict=True):
            assert torch.equal(gradient, same)
    for name, weight in plain[0].items():
        assert torch.equal(weight, scaled[0][name]), name
    assert plain[2] == scaled[2]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_an_optimizer_gets_the_clipped_gradient(optimizer, monkeypatch):
    _, given, history = weights_and_gradients(
        monkeypatch, optimizer=optimizer, clip=1e-3, precision="fp16", steps=2
    )
    kinds = 1 if optimizer == "adamw" else 2
    for step in range(2):
        mine = given[step * kinds : (step + 1) * kinds]
        norm = torch.stack([gradient.norm() for gradients in mine for gradient in gradients]).norm()
        assert float(norm) == pytest.approx(1e-3, rel=1e-3)
    assert history[-1]["gradient_norm"] > 0.1


class Overflows:
    """The loss as it is, with a gradient that is infinite at some calls."""

    def __init__(self, *calls):
        self.calls, self.count = calls, 0

    def __call__(self, model, batch):
        self.count += 1
        if self.count - 1 not in self.calls:
            return summed_loss(model, batch)
        nothing = (next(model.parameters()) * 0).abs().sum()
        return summed_loss(model, batch) + nothing.sqrt()


def watched(monkeypatch):
    """After each step: the weights, the steps of each optimizer, its momentum, the scale."""
    seen, step = [], _Trainer.step

    def noting(self, number):
        result = step(self, number)
        counts = [
            {float(state["step"]) for state in optimizer.state.values() if "step" in state}
            for optimizer in self.optimizers
        ]
        weights = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        buffers = [
            state["momentum_buffer"].clone()
            for optimizer in self.optimizers
            for state in optimizer.state.values()
            if "momentum_buffer" in state
        ]
        seen.append((weights, counts, buffers, self.scaler.get_scale()))
        return result

    monkeypatch.setattr(_Trainer, "step", noting)
    return seen


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_one_overflow_skips_every_optimizer_and_halves_the_scale_once(optimizer, monkeypatch):
    seen = watched(monkeypatch)
    settings = small(optimizer=optimizer, precision="fp16", checkpoint_every=None, steps=5)
    fit(model_for("masked"), batches("masked"), settings, loss=Overflows(2))
    assert [scale for *_, scale in seen] == [2.0**16] * 2 + [2.0**15] * 3
    (before, counts_before, momentum, _), (after, counts_after, same, _) = seen[1:3]
    for name, weight in before.items():
        assert torch.equal(weight, after[name]), name
    for one, other in zip(momentum, same, strict=True):
        assert torch.equal(one, other)
    assert counts_before[-1] == counts_after[-1] == {2.0}
    assert seen[3][1][-1] == {3.0}
    assert all(not torch.equal(w, seen[3][0][n]) for n, w in after.items() if w.ndim == 2)


def test_where_no_scale_is_small_enough_it_is_an_error_and_nothing_is_spoiled(tmp_path):
    model, settings = model_for("masked"), small(precision="fp16", steps=40, warmup=2)
    with pytest.raises(NonFiniteLossError, match="gradient is not finite at step 20"):
        fit(model, batches("masked"), settings, folder=tmp_path, loss=Overflows(*range(4, 40)))
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert checkpoints(tmp_path)[-1].name == "step-00000020"


def test_the_scale_is_in_the_checkpoint(tmp_path):
    model, settings = model_for("masked"), small(precision="fp16")
    fit(model, batches("masked"), settings, folder=tmp_path, loss=Overflows(2))
    state = load_newest(tmp_path, model, make_optimizers(model, settings))
    assert state["step"] == 6
    assert state["scaler"]["scale"] == 2.0**15


# Plain references: formulas on one tensor after another.


class PlainAdamW:
    """Loshchilov and Hutter 2019, algorithm 2: decay apart from the gradient."""

    def __init__(self, weight, decay):
        self.weight, self.decay, self.steps = weight, decay if weight.ndim >= 2 else 0.0, 0
        self.first, self.second = torch.zeros_like(weight), torch.zeros_like(weight)

    def update(self, gradient, rate):
        self.steps += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.95 * self.second + 0.05 * gradient**2
        first = self.first / (1 - 0.9**self.steps)
        second = self.second / (1 - 0.95**self.steps)
        self.weight -= rate * self.decay * self.weight
        self.weight -= rate * first / (second.sqrt() + 1e-8)


class PlainMuon:
    """Jordan et al. 2024: Nesterov momentum, made orthogonal by five steps of Newton-Schulz.

    Scaled as Liu et al. 2025, section 2.2, have it: to the size of AdamW's update.
    """

    def __init__(self, weight, decay):
        self.weight, self.decay, self.momentum = weight, decay, torch.zeros_like(weight)

    def update(self, gradient, rate):
        # What is rounded to bf16 must not differ in its last digit: sums are taken as torch has
        # them.
        self.momentum = torch.lerp(self.momentum, gradient, 1 - 0.95)
        x = torch.lerp(gradient, self.momentum, 0.95).bfloat16()
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        x = x / x.norm().clamp(min=1e-7)
        for _ in range(5):
            square = x @ x.T
            inner = torch.addmm(square, square, square, beta=-4.7750, alpha=2.0315)
            x = torch.addmm(x, inner, x, beta=3.4445)
        x = x.T if tall else x
        self.weight -= rate * self.decay * self.weight
        self.weight -= rate * 0.2 * math.sqrt(max(x.shape)) * x.float()


def hidden(name, weight):
    return weight.ndim == 2 and "wte" not in name and "wpe" not in name


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_every_step_is_that_of_the_formulas(optimizer, monkeypatch):
    settings = small(optimizer=optimizer, clip=0.3, warmup=3)
    seen, source, given = watched(monkeypatch), batches("causal"), []
    clip = torch.nn.utils.clip_grad_norm_

    def noting(parameters, limit):
        norm = clip(list(parameters), limit)
        given.append({n: p.grad.clone() for n, p in trained.named_parameters()})
        return norm

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", noting)
    trained = model_for("causal", dropout=0.0)
    fit(trained, source, settings)

    model = model_for("causal", dropout=0.0)
    plain = {
        name: (PlainMuon if optimizer == "muon" and hidden(name, p) else PlainAdamW)(p.data, 0.1)
        for name, p in model.named_parameters()
    }
    assert len({type(p) for p in plain.values()}) == (2 if optimizer == "muon" else 1)
    for step, (found, *_) in enumerate(seen):
        model.zero_grad()
        batch = source(step)
        (summed_loss(model, batch) / count_targets(model, batch)).backward()
        norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
        assert norm > 0.3
        for name, p in model.named_parameters():
            before = p.detach().clone()
            assert torch.allclose(given[step][name], p.grad * 0.3 / norm, rtol=1e-5, atol=1e-8)
            plain[name].update(given[step][name], learning_rate_at(step, settings))
            # The bias of the keys has no gradient but roundoff, which AdamW makes large.
            moved = slice(0, 16) if name.endswith("c_attn.bias") else slice(None)
            far = (found[name] - p.detach())[moved].norm() / (p.detach() - before)[moved].norm()
            assert far < 1e-4, f"step {step}, {name}: {far:.1e} of the update"
            p.data.copy_(found[name])  # each step from where training stood


def test_muon_takes_all_of_an_adapter_and_nothing_of_a_model_without_matrices():
    adapted = add_lora(model_for("masked"), rank=2, alpha=4.0)
    (muon,) = make_optimizers(adapted, small(optimizer="muon"))
    assert isinstance(muon, torch.optim.Muon)
    history = fit(adapted, batches("masked"), small(optimizer="muon", log_every=1))
    assert history[-1]["gradient_norm"] > 0
    (adamw,) = make_optimizers(torch.nn.LayerNorm(4), small(optimizer="muon"))
    assert isinstance(adamw, torch.optim.AdamW)
