"""Guards every measurement, and training, on a device that has no float64, as Apple's MPS has none.

The device is a stand-in (tests/fake_device.py): no float64 tensor reaches it, and everything that
the model reads is moved to it. It is unverified on the hardware itself.

pytest tests/evaluation/test_without_float64.py
"""

import importlib
import inspect

import pytest
import torch
from datasets import Dataset
from fake_device import DEVICE, FakeDevice
from measurements import assert_like, each, measurements
from tiny import closing_tokenizer, packed_rows, tiny_model, word_tokenizer

from course_lib import evaluation, generation
from course_lib.evaluation.likelihood import losses
from course_lib.finetuning import SentimentTask, fine_tune, fine_tune_seq2seq
from course_lib.objectives import CausalLM, MaskedLM, SpanCorruption, summed_loss
from course_lib.objectives.loss import to_device
from course_lib.runtime import generator
from course_lib.training import Optimization, fit

TEXTS = ["the cat sat on mat", "a dog ran to door .", "red old house"]
SETTINGS = Optimization(steps=2, batch=2, warmup=0, learning_rate=1e-3)
LABELLED = Dataset.from_dict({"text": TEXTS, "label": [0, 1, 0]})
PAIRS = Dataset.from_dict({"source": TEXTS, "target": TEXTS[::-1]})


@each(measurements())
def test_a_measurement_is_the_same_without_float64(measurement):
    here = measurement.of_tiny()
    with FakeDevice() as device:
        there = measurement.of_tiny(DEVICE)
    assert device.operations, "nothing was computed on the device"
    assert_like(here, there)


def test_every_measurement_of_a_model_is_tried():
    tried = {measurement.name for measurement in measurements()}
    for room in (evaluation, generation):
        for name in room.__all__:
            exported = getattr(room, name)
            if inspect.isfunction(exported) and "model" in inspect.signature(exported).parameters:
                assert name in tried, f"{name} measures a model: add it to tests/measurements.py"


@pytest.fixture
def fused(monkeypatch):
    """Let torch's fused AdamW take the stand-in for a device that it knows."""
    module = importlib.import_module("torch.optim.optimizer")
    known = [*module._get_fused_kernels_supported_devices(), DEVICE.type]
    monkeypatch.setattr(module, "_get_fused_kernels_supported_devices", lambda: known)


OBJECTIVES = {
    "bert": MaskedLM.from_tokenizer(word_tokenizer("bert"), rate=0.4),
    "gpt2": CausalLM.from_tokenizer(word_tokenizer("gpt2")),
    "t5": SpanCorruption.from_tokenizer(word_tokenizer("t5")),
}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("family", OBJECTIVES)
def test_training_is_the_same_without_float64(family, optimizer, fused, monkeypatch):
    rows = packed_rows(family, 4, 12, "fit")
    settings = SETTINGS.replace(optimizer=optimizer, micro_batches=2, evaluate_every=1, batch=4)

    def history(device):
        monkeypatch.setattr("course_lib.training.loop.choose_device", lambda: device)
        batch = OBJECTIVES[family](rows, generator("fit"))
        return fit(
            tiny_model(family),
            lambda step: batch,
            settings,
            evaluate=lambda model: float(losses.token_losses(model, batch).cpu().nanmean()),
        )

    here = history(torch.device("cpu"))
    with FakeDevice() as device:
        there = history(DEVICE)
    assert device.operations
    for one, other in zip(here, there, strict=True):
        assert one == pytest.approx(other, rel=1e-5)


def test_fine_tuning_is_the_same_without_float64(fused, monkeypatch):
    def tuned(device):
        monkeypatch.setattr("course_lib.training.loop.choose_device", lambda: device)
        body, tokenizer = tiny_model("bert").to(device), closing_tokenizer("bert")
        score = fine_tune(body, tokenizer, SentimentTask(), LABELLED, LABELLED, SETTINGS)
        pairs = fine_tune_seq2seq(
            tiny_model("t5").to(device), closing_tokenizer("t5"), PAIRS, SETTINGS
        )
        return score, pairs.shared.weight.detach().cpu()

    score, weights = tuned(torch.device("cpu"))
    with FakeDevice():
        other_score, other_weights = tuned(DEVICE)
    assert score == other_score
    torch.testing.assert_close(weights, other_weights)


def test_of_a_masked_loss_nothing_waits_for_the_device():
    """`nonzero` and `item` make the CPU wait; a masked loss finds its places before it moves."""
    batch = OBJECTIVES["bert"](packed_rows("bert", 4, 12, "waits"), generator("waits"))
    expected = summed_loss(tiny_model("bert"), batch).item()
    with FakeDevice() as device:
        model = tiny_model("bert").to(DEVICE)
        found = summed_loss(model, to_device(model, batch, DEVICE))
        found.backward()
    assert not {"nonzero", "_local_scalar_dense", "masked_select"} & set(device.operations)
    assert "embedding" in device.operations
    assert found.detach().cpu().item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("family", OBJECTIVES)
def test_training_waits_for_the_device_once_a_step_and_not_at_each_micro_batch(
    family, fused, monkeypatch
):
    """For the loss and for the norm of the gradient, which decide whether the step is taken."""
    monkeypatch.setattr("course_lib.training.loop.choose_device", lambda: DEVICE)
    batch = OBJECTIVES[family](packed_rows(family, 4, 12, "waits"), generator("waits"))
    with FakeDevice() as device:
        fit(tiny_model(family), lambda step: batch, SETTINGS.replace(batch=4, micro_batches=4))
    assert "nonzero" not in device.operations
    if family != "gpt2":  # whose own forward in transformers looks for padding at the edges
        assert device.operations.count("_local_scalar_dense") <= 3 * SETTINGS.steps


def test_the_device_knows_no_float64_and_mixes_with_no_other():
    with FakeDevice():
        here, there = torch.ones(3), torch.ones(3).to(DEVICE)
        with pytest.raises(TypeError, match="no float64"):
            there.double()
        with pytest.raises(TypeError, match="no float64"):
            torch.zeros(3, dtype=torch.float64, device=DEVICE)
        with pytest.raises(RuntimeError, match="on the CPU"):
            here + there
        assert (there + there).cpu().tolist() == [2, 2, 2]


def test_a_planted_float64_is_seen(monkeypatch):
    plain = losses.token_losses
    monkeypatch.setattr(losses, "token_losses", lambda *given: plain(*given).double())
    with FakeDevice(), pytest.raises(TypeError, match="no float64"):
        measurements()[0].of_tiny(DEVICE)
