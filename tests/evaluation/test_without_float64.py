"""Guards every measurement, and training, on a device that has no float64, as Apple's MPS has none.

The device is a stand-in (tests/fake_device.py): no float64 tensor reaches it, and everything that
the model reads is moved to it. It is unverified on the hardware itself.

pytest tests/evaluation/test_without_float64.py
"""

import importlib
import inspect

import pandas as pd
import pytest
import torch
from datasets import Dataset
from fake_device import DEVICE, FakeDevice
from tiny import closing_tokenizer, packed_rows, tiny_model, word_tokenizer

from course_lib import evaluation, generation
from course_lib.evaluation.likelihood import losses
from course_lib.finetuning import SentimentTask, fine_tune, fine_tune_seq2seq
from course_lib.objectives import CausalLM, MaskedLM, SpanCorruption, summed_loss
from course_lib.objectives.loss import to_device
from course_lib.runtime import generator
from course_lib.training import Optimization, fit

TEXTS = ["the cat sat on mat", "a dog ran to door .", "red old house"]
WORDS = ["cat", "dog"]
SETTINGS = Optimization(steps=2, batch=2, warmup=0, learning_rate=1e-3)
LABELLED = Dataset.from_dict({"text": TEXTS, "label": [0, 1, 0]})
PAIRS = Dataset.from_dict({"source": TEXTS, "target": TEXTS[::-1]})
ROWS = packed_rows("gpt2", 4, 12, "float64")


def causal(name, *args, **options):
    return name, "gpt2", args, options


def masked(name, *args, **options):
    return name, "bert", args, options


def seq2seq(name, *args, **options):
    return name, "t5", args, options


MEASUREMENTS = [
    causal("document_losses", TEXTS),
    masked("pseudo_document_losses", TEXTS),
    causal("loss_by_position", ROWS),
    causal("token_losses", {"input_ids": ROWS, "labels": ROWS}),
    masked("token_losses", {"input_ids": ROWS, "labels": ROWS.masked_fill(ROWS % 3 > 0, -100)}),
    seq2seq("token_losses", {"input_ids": ROWS, "labels": ROWS}),
    causal("sequence_log_prob", "the cat", "sat"),
    causal("candidate_log_probs", ["the {} sat"], WORDS),
    causal("candidate_log_probs", ["the {} sat"], WORDS, "left"),
    masked("candidate_log_probs", ["the {} sat"], WORDS),
    seq2seq("candidate_log_probs", ["the {} sat"], WORDS),
    seq2seq("teacher_forcing", TEXTS, TEXTS),
    masked("cloze", ["the [MASK] sat"]),
    masked("cloze_accuracy", ["the [MASK] sat"], ["cat"]),
    causal("generate", "the cat", max_new_tokens=4),
    causal("next_token_distribution", "the cat"),
    seq2seq("generate_targets", TEXTS, max_new_tokens=4),
    seq2seq("generate_targets", TEXTS, max_new_tokens=4, beams=2),
    seq2seq("greedy_search", {"input_ids": ROWS, "attention_mask": torch.ones_like(ROWS)}, 4),
    seq2seq("beam_search", {"input_ids": ROWS, "attention_mask": torch.ones_like(ROWS)}, 2, 4),
]


def measured(name, family, args, options, device):
    measure = getattr(evaluation, name, None) or getattr(generation, name)
    with_tokenizer = "tokenizer" in inspect.signature(measure).parameters
    tokenizer = (closing_tokenizer(family),) if with_tokenizer else ()
    return measure(tiny_model(family).eval().to(device), *tokenizer, *args, **options)


def on_the_cpu(found):
    if isinstance(found, tuple):
        return tuple(map(on_the_cpu, found))
    return found.cpu() if isinstance(found, torch.Tensor) else found


def assert_like(here, there):
    """The same but for rounding: attention is computed in other steps where it is not fused."""
    if isinstance(here, pd.DataFrame):
        pd.testing.assert_frame_equal(here, there, rtol=1e-4)
    elif isinstance(here, pd.Series):
        pd.testing.assert_series_equal(here, there, rtol=1e-4)
    elif isinstance(here, torch.Tensor | tuple):
        torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-5, equal_nan=True)
    else:
        assert here == (there if isinstance(here, list | str) else pytest.approx(there, rel=1e-4))


@pytest.mark.parametrize(
    ("name", "family", "args", "options"), MEASUREMENTS, ids=lambda value: str(value)[:24]
)
def test_a_measurement_is_the_same_without_float64(name, family, args, options):
    here = on_the_cpu(measured(name, family, args, options, "cpu"))
    with FakeDevice() as device:
        there = on_the_cpu(measured(name, family, args, options, DEVICE))
    assert device.operations, "nothing was computed on the device"
    assert_like(here, there)


def test_every_measurement_of_a_model_is_tried():
    tried = {name for name, *_ in MEASUREMENTS}
    for room in (evaluation, generation):
        for name in room.__all__:
            exported = getattr(room, name)
            if inspect.isfunction(exported) and "model" in inspect.signature(exported).parameters:
                assert name in tried, f"{name} measures a model: add it to MEASUREMENTS"


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
        measured("document_losses", "gpt2", (TEXTS,), {}, DEVICE)
