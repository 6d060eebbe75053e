"""Guards likelihoods of whole documents: exact sums, no effect of batching, padding or dropout.

Run with: pytest tests/evaluation/test_document_losses.py
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.evaluation import (
    bits_per_byte,
    document_losses,
    loss_by_position,
    perplexity,
    pseudo_document_losses,
    token_losses,
)
from course_lib.evaluation.likelihood.losses import _batch, _windows


@pytest.mark.parametrize("family", ["gpt2", "bloom"])
def test_is_the_log_probability_of_the_document(family, make, causal_tokenizer, texts):
    """Against the chain rule, a prefix at a time: bos, every token, eos."""
    model = make(family, causal_tokenizer)
    found = document_losses(model, causal_tokenizer, texts)
    for text, row in zip(texts, found.itertuples(), strict=True):
        ids = [0, *causal_tokenizer.encode(text, add_special_tokens=False), 0]
        expected = 0.0
        for t in range(1, len(ids)):
            logits = model(torch.tensor([ids[:t]])).logits[0, -1].detach()
            expected -= logits.log_softmax(-1)[ids[t]].item()
        assert row.nats == pytest.approx(expected, rel=1e-4)
        assert row.tokens == len(ids) - 1
        assert row.bytes == len(text.encode())


@pytest.mark.parametrize("family", ["gpt2", "bloom"])
@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_batching_changes_nothing(family, batch_size, make, causal_tokenizer, texts):
    model = make(family, causal_tokenizer)
    together = document_losses(model, causal_tokenizer, texts)
    apart = document_losses(model, causal_tokenizer, texts, batch_size=batch_size)
    np.testing.assert_allclose(together["nats"], apart["nats"], rtol=1e-5)
    backwards = document_losses(model, causal_tokenizer, texts[::-1])
    np.testing.assert_allclose(together["nats"], backwards["nats"][::-1], rtol=1e-5)


def test_uniform_model_scores_every_token_once_however_long_the_document(make, causal_tokenizer):
    """With no preference each token costs log V: a token scored twice, or skipped, would show."""
    model = make("gpt2", causal_tokenizer, length=8, std=0.0)
    found = document_losses(model, causal_tokenizer, ["cat", "The cat sat on the mat. " * 9, ""])
    assert found["tokens"].max() > 40
    expected = found["tokens"] * math.log(len(causal_tokenizer))
    np.testing.assert_allclose(found["nats"], expected, rtol=1e-5)


@given(st.integers(2, 70), st.integers(2, 20))
def test_windows_score_each_token_once_with_half_a_context_before_it(size, limit):
    ids = list(range(size))
    rows = _windows(0, ids, limit)
    scored = [token for row in rows for token in row.ids[row.first_target :]]
    assert scored == ids[1:]
    assert all(len(row.ids) <= limit for row in rows)
    assert all(row.first_target >= limit // 2 for row in rows[1:])


def test_padding_is_no_target(causal_tokenizer):
    rows = [*_windows(0, [7, 8, 1], None), *_windows(1, [7, 8], None)]
    batch = _batch(rows, causal_tokenizer)  # whose padding is token 1, which a text may hold
    assert batch["labels"].tolist() == [[-100, 8, 1], [-100, 8, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]


def test_dropout_is_off_during_and_back_on_after(make, causal_tokenizer, texts):
    model = make("gpt2", causal_tokenizer, dropout=0.5).train()
    first, again = (document_losses(model, causal_tokenizer, texts)["nats"] for _ in range(2))
    assert (first == again).all()
    assert model.training
    ids = torch.tensor([[0, 5, 6]])
    assert not token_losses(model, {"input_ids": ids, "labels": ids}).requires_grad


def test_token_losses_average_to_the_loss(make, causal_tokenizer):
    model = make("gpt2", causal_tokenizer)
    ids = torch.randint(2, 300, (4, 20), generator=torch.Generator().manual_seed(0))
    batch = {"input_ids": ids, "labels": ids}
    losses = token_losses(model, batch)
    torch.testing.assert_close(losses.nanmean(), model(**batch).loss.detach())
    assert losses[:, 0].isnan().all()


def test_loss_by_position(make, causal_tokenizer):
    model = make("gpt2", causal_tokenizer)
    blocks = torch.randint(2, 300, (7, 12), generator=torch.Generator().manual_seed(0))
    found = loss_by_position(model, blocks, batch_size=3)
    losses = token_losses(model, {"input_ids": blocks, "labels": blocks})[:, 1:].double()
    torch.testing.assert_close(found.mean, losses.mean(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.error, losses.std(0) / 7**0.5, rtol=1e-4, atol=1e-6)
    assert found.mean.shape == found.error.shape == (11,)
    # The last token can change its own loss alone.
    blocks[:, -1] = 5
    changed = loss_by_position(model, blocks)
    torch.testing.assert_close(changed.mean[:-1], found.mean[:-1], rtol=1e-5, atol=1e-6)
    assert abs(changed.mean[-1] - found.mean[-1]) > 1e-3


def test_units():
    assert perplexity(math.log(50)) == pytest.approx(50)
    assert perplexity(0) == 1
    assert perplexity(1000) == math.inf
    # A model that gives each of 256 byte values the same chance needs eight bits for each.
    assert bits_per_byte(10 * math.log(256), 10) == pytest.approx(8)


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("batch_size", [3, 256])
def test_pseudo_losses_mask_one_token_at_a_time(family, batch_size, make, masked_tokenizer, texts):
    """Against the model run by hand, a token at a time; opening and closing tokens are given."""
    model = make(family, masked_tokenizer)
    found = pseudo_document_losses(model, masked_tokenizer, texts, batch_size=batch_size)
    for text, row in zip(texts, found.itertuples(), strict=True):
        ids = masked_tokenizer.encode(text)
        expected = 0.0
        for t in range(1, len(ids) - 1):
            asked = [*ids[:t], masked_tokenizer.mask_token_id, *ids[t + 1 :]]
            logits = model(torch.tensor([asked])).logits[0, t].detach()
            expected -= logits.log_softmax(-1)[ids[t]].item()
        assert row.nats == pytest.approx(expected, rel=1e-4)
        assert (row.tokens, row.bytes) == (len(ids) - 2, len(text.encode()))
