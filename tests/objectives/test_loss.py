"""Guards the loss that every run trains on: right targets, right shift, right sum, for each kind.

pytest tests/objectives/test_loss.py
"""

import pytest
import torch
from torch import nn
from transformers import BertForSequenceClassification

from course_lib.models import FAMILIES, build
from course_lib.objectives import (
    count_targets,
    loss_sum,
    summed_loss,
    target_losses,
)
from course_lib.objectives.loss import kind_of, to_device
from course_lib.runtime import CourseError


def make(family, tokenizer):
    torch.manual_seed(0)
    model = build(family, tokenizer, width=16, layers=2, heads=2, length=12)
    for parameter in model.parameters():  # fresh models guess uniformly, which would hide mistakes
        nn.init.normal_(parameter, std=0.3)
    return model


def random_batch(share=0.4, seed=0):
    draws = torch.Generator().manual_seed(seed)
    blocks = torch.randint(5, 100, (5, 12), generator=draws)
    hidden = torch.rand(blocks.shape, generator=draws) >= share
    mask = torch.ones_like(blocks)
    mask[0, 9:] = 0
    return {
        "input_ids": blocks.masked_fill(mask == 0, 1),
        "attention_mask": mask,
        "labels": blocks.masked_fill(hidden | (mask == 0), -100),
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_agrees_with_the_loss_of_transformers(family, tokenizer):
    model, batch = make(family, tokenizer), random_batch()
    expected = model(**batch).loss
    total, targets = loss_sum(model, batch)
    losses = target_losses(model, batch)
    torch.testing.assert_close(total / targets, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(losses.nanmean(), expected, rtol=1e-5, atol=1e-6)
    assert losses.shape == batch["labels"].shape
    assert targets == (~losses.isnan()).sum() == count_targets(model, batch)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_agree_with_transformers(family, tokenizer):
    model, batch = make(family, tokenizer), random_batch()
    parameters = list(model.parameters())
    expected = torch.autograd.grad(model(**batch).loss, parameters)
    targets = count_targets(model, batch)
    found = torch.autograd.grad(summed_loss(model, batch) / targets, parameters)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_nan_exactly_where_there_is_no_target(family, tokenizer):
    model, batch = make(family, tokenizer), random_batch()
    empty = batch["labels"] == -100
    if kind_of(model) == "causal":
        empty[:, 0] = True
    assert torch.equal(target_losses(model, batch).isnan(), empty)


def one_prefix_at_a_time(model, row):
    """-log p(token t | tokens before t), by running the model on every prefix alone."""
    return torch.stack(
        [
            -model(row[None, :t], use_cache=False).logits[0, -1].log_softmax(-1)[row[t]]
            for t in range(1, len(row))
        ]
    )


@pytest.mark.parametrize("family", ["gpt2", "bloom"])
def test_causal_column_t_predicts_token_t_from_the_tokens_before(family, tokenizer):
    model = make(family, tokenizer).eval()
    row = random_batch(seed=3)["input_ids"][1]
    expected = one_prefix_at_a_time(model, row)
    found = target_losses(model, {"input_ids": row[None], "labels": row[None]})[0]
    torch.testing.assert_close(found[1:], expected, rtol=1e-4, atol=1e-4)
    # The planted bug: labels shifted by the collator as well. It must not look the same.
    twice = torch.cat([row[1:], torch.tensor([-100])])
    shifted = target_losses(model, {"input_ids": row[None], "labels": twice[None]})[0]
    assert (shifted[1:-1] - expected[:-1]).abs().max() > 0.1


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_masked_column_t_predicts_the_label_at_t(family, tokenizer):
    model, batch = make(family, tokenizer).eval(), random_batch()
    logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    expected = -logits.log_softmax(-1).gather(2, batch["labels"].clamp(min=0)[..., None])[..., 0]
    found = target_losses(model, batch)
    wanted = batch["labels"] != -100
    torch.testing.assert_close(found[wanted], expected[wanted], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_masked_model_is_left_as_it_was(family, tokenizer):
    """The vocabulary layer sees the targets only during the call, also when the call fails."""
    model, batch = make(family, tokenizer), random_batch()
    summed_loss(model, batch)
    with pytest.raises(IndexError):
        summed_loss(model, batch | {"input_ids": batch["input_ids"] + 10_000})
    assert model(batch["input_ids"]).logits.shape == (5, 12, 100)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_wrapped_models_give_the_same_loss(family, tokenizer):
    model, batch = make(family, tokenizer), random_batch()

    class Wrapper(nn.Module):
        """What DistributedDataParallel looks like from outside."""

        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, **inputs):
            return self.module(**inputs)

    expected = summed_loss(model, batch)
    torch.testing.assert_close(summed_loss(Wrapper(model), batch), expected)
    # The eager backend compiles in no time and still goes through torch.compile's wrapper.
    compiled = torch.compile(model, backend="eager")
    torch.testing.assert_close(summed_loss(compiled, batch), expected)
    torch.testing.assert_close(
        summed_loss(compiled, random_batch(0.6)), summed_loss(model, random_batch(0.6))
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_two_batches_sum_to_one(family, tokenizer):
    """Unequal target counts must not change the weight of a target."""
    model, batch = make(family, tokenizer), random_batch()
    halves = [{k: v[i] for k, v in batch.items()} for i in (slice(0, 1), slice(1, 5))]
    (whole, targets), parts = loss_sum(model, batch), [loss_sum(model, half) for half in halves]
    torch.testing.assert_close(sum(part[0] for part in parts), whole, rtol=1e-5, atol=1e-4)
    assert sum(part[1] for part in parts) == targets


@pytest.mark.parametrize("family", FAMILIES)
def test_no_target_is_a_loss_of_zero(family, tokenizer):
    model, batch = make(family, tokenizer), random_batch()
    total, targets = loss_sum(model, batch | {"labels": torch.full_like(batch["labels"], -100)})
    total.backward()
    assert (total.item(), targets) == (0.0, 0)


@pytest.mark.parametrize("family", ["bert", "gpt2", "bart"])
def test_half_precision_models_are_summed_in_fp32(family, tokenizer):
    model, batch = make(family, tokenizer), random_batch()
    expected = summed_loss(model, batch)
    found = summed_loss(model.bfloat16(), batch)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.05, atol=1.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_that_was_moved_gives_the_same_loss(family, tokenizer):
    model, batch = make(family, tokenizer), random_batch()
    moved = to_device(model, batch, "cpu")
    assert torch.equal(summed_loss(model, moved), summed_loss(model, batch))
    assert count_targets(model, moved) == count_targets(model, batch)
    torch.testing.assert_close(
        target_losses(model, moved), target_losses(model, batch), equal_nan=True
    )
    assert set(batch) == {"input_ids", "attention_mask", "labels"}, "the batch itself is kept"


def test_refuses_a_classifier(tokenizer):
    config = make("bert", tokenizer).config
    with pytest.raises(CourseError, match="BertForSequenceClassification is not a language model"):
        kind_of(BertForSequenceClassification(config))


@pytest.mark.parametrize("family", ["bert", "gpt2", "bloom"])
def test_where_few_positions_are_asked_the_vocabulary_layer_sees_them_alone(family, tokenizer):
    model, seen = make(family, tokenizer), []
    head = model.cls if family == "bert" else model.lm_head
    head.register_forward_hook(lambda _, given, out: seen.append(tuple(given[0].shape)))
    for share in (0.3, 1.0):
        batch = random_batch(share)
        loss = summed_loss(model, batch)
        assert torch.equal(summed_loss(model, to_device(model, batch, "cpu")), loss)
    few, most = count_targets(model, random_batch(0.3)), count_targets(model, random_batch(1.0))
    assert seen[:2] == [(few, 16)] * 2
    assert seen[2:] == [(most, 16) if family == "bert" else (5, 12, 16)] * 2
