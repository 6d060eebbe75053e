"""Guards the loss inside a model: that of its logits, with its gradients, for causal models alone.

pytest tests/objectives/test_loss_inside.py
"""

import pytest
import torch
from tiny import FAMILY_OF, tiny_model, word_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from course_lib.models import build
from course_lib.models.adapters import add_lora
from course_lib.objectives import count_targets, summed_loss
from course_lib.objectives.inside import giving_loss, loss_inside
from course_lib.objectives.loss import to_device
from course_lib.runtime import CourseError

VOCABULARY = 40


def llama():
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": VOCABULARY}
    return LlamaForCausalLM(LlamaConfig(**shape, **heads, pad_token_id=0))


MODELS = {
    "gpt2": lambda: tiny_model("gpt2", length=12),
    "bloom": lambda: build("bloom", word_tokenizer("gpt2"), width=16, layers=1, heads=2, length=12),
    "llama": llama,
    "adapted": lambda: add_lora(llama(), rank=2, alpha=4.0),
}


def batch_of(targets):
    """Three rows of 12 tokens, one of them padded; the labels of all, of a few places, of none."""
    ids = torch.randint(1, VOCABULARY, (3, 12), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[2, 9:] = 0
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, : {"all": 0, "few": 9, "none": 12}[targets]] = -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def loss_and_gradients(model, batch, loss):
    model.zero_grad()
    value = loss(model, to_device(model, batch, "cpu"))
    value.backward()
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return value.detach(), found


@pytest.mark.parametrize("chunk", [5, None])
@pytest.mark.parametrize("targets", ["all", "few", "none"])
@pytest.mark.parametrize("name", MODELS)
def test_loss_and_gradients_are_those_of_logits(name, targets, chunk):
    model, batch = MODELS[name](), batch_of(targets)
    plain, expected = loss_and_gradients(model, batch, summed_loss)
    with giving_loss(model, chunk):
        found, gradients = loss_and_gradients(model, batch, loss_inside)
    torch.testing.assert_close(found, plain)
    assert (plain == 0) == (targets == "none")
    assert gradients.keys() == expected.keys()
    for parameter, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[parameter], msg=parameter)


def test_so_they_are_in_bf16_and_compiled():
    batch = batch_of("all")
    for compiled in (False, True):
        model = MODELS["gpt2"]()
        with torch.autocast("cpu", torch.bfloat16):
            plain, expected = loss_and_gradients(model, batch, summed_loss)
            with giving_loss(model, 5):
                called = torch.compile(model, backend="aot_eager") if compiled else model
                found, _ = loss_and_gradients(called, batch, loss_inside)
                gradients = {n: p.grad for n, p in model.named_parameters()}
        torch.testing.assert_close(found, plain, rtol=1e-2, atol=0)
        for parameter, gradient in gradients.items():
            close = torch.nn.functional.cosine_similarity(
                gradient.flatten(), expected[parameter].flatten(), dim=0
            )
            assert close > 0.99, parameter


def test_no_tensor_has_all_logits():
    model, batch = MODELS["gpt2"](), batch_of("all")
    largest = 0

    class Largest(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            out = function(*args, **kwargs or {})
            shape = getattr(out, "shape", ())
            if shape and shape[-1] == model.config.vocab_size:
                largest = max(largest, out.numel() // shape[-1])
            return out

    with giving_loss(model, 5), Largest():
        loss_and_gradients(model, batch, loss_inside)
    assert 0 < largest <= 16, "more than the vocabulary layer, which is 16 wide"


def test_afterwards_the_model_answers_with_logits():
    model, batch = MODELS["gpt2"](), batch_of("all")
    before = summed_loss(model, batch)
    with giving_loss(model):
        assert torch.equal(summed_loss(model, batch), before)
    assert torch.equal(summed_loss(model, batch), before)
    assert "forward" not in vars(model)
    assert count_targets(model, batch) == 3 * 11 - 3


@pytest.mark.parametrize("objective", ["masked", "span", "infilling"])
def test_other_kinds_are_refused(objective):
    with (
        pytest.raises(CourseError, match="chunked_loss is for causal models"),
        giving_loss(tiny_model(FAMILY_OF[objective], length=12)),
    ):
        pass
