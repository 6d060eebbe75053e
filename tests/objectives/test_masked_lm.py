"""Masked language modeling keeps BERT's numbers, spares special tokens, and draws when it should.

Run with: python -m pytest tests/objectives/test_masked_lm.py
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import packed_rows, word_tokenizer

from course_lib.objectives import MaskedLM
from course_lib.runtime import generator

TOKENIZER = word_tokenizer("bert")
MASK = TOKENIZER.mask_token_id
SPECIAL = torch.tensor(TOKENIZER.all_special_ids)
ROWS = packed_rows("bert", 2_000, 64, "masked")
ORDINARY = ~torch.isin(ROWS, SPECIAL)
SIGMAS = 5


def assert_share(hits: torch.Tensor, expected: float) -> None:
    """The share of hits is what a binomial draw allows."""
    bound = SIGMAS * (expected * (1 - expected) / hits.numel()) ** 0.5
    assert abs(float(hits.double().mean()) - expected) < bound


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_the_rate_of_ordinary_tokens_are_targets_and_split_80_10_10(rate, static):
    objective = MaskedLM.from_tokenizer(TOKENIZER, rate=rate, static=static)
    # A static mask depends on the row, so rows must differ for the draws to be independent.
    rows, ordinary = (ROWS.unique(dim=0), None) if static else (ROWS, ORDINARY)
    ordinary = ~torch.isin(rows, SPECIAL) if ordinary is None else ordinary
    out = objective(rows, generator("rates"))
    target = out["labels"] != -100
    assert_share(target[ordinary], rate)

    shown, hidden = out["input_ids"][target], out["labels"][target]
    # A random token is the right one by chance once in as many times as there are tokens.
    lucky = 1 / (len(TOKENIZER) - len(SPECIAL))
    assert_share(shown == MASK, 0.8)
    assert_share((shown != MASK) & (shown != hidden), 0.1 * (1 - lucky))
    assert_share(shown == hidden, 0.1 * (1 + lucky))


@pytest.mark.parametrize("static", [False, True])
def test_every_place_in_a_row_is_a_target_equally_often(static):
    objective = MaskedLM.from_tokenizer(TOKENIZER, static=static)
    rows = torch.randint(5, len(TOKENIZER), (4_000, 16), generator=generator("places"))
    target = objective(rows, generator(0))["labels"] != -100
    bound = SIGMAS * (0.15 * 0.85 / len(rows)) ** 0.5
    assert (target.double().mean(dim=0) - 0.15).abs().max() < bound


@pytest.mark.parametrize("static", [False, True])
def test_random_replacements_are_drawn_evenly_from_the_ordinary_tokens(static):
    objective = MaskedLM.from_tokenizer(TOKENIZER, rate=0.9, static=static)
    rows = torch.randint(5, len(TOKENIZER), (4_000, 32), generator=generator("replacements"))
    out = objective(rows, generator(1))
    changed = (out["input_ids"] != rows) & (out["input_ids"] != MASK)
    counts = torch.bincount(out["input_ids"][changed], minlength=len(TOKENIZER)).double()
    assert counts[SPECIAL].sum() == 0
    counts = counts[5:]
    assert (counts - counts.mean()).abs().max() < SIGMAS * counts.mean().sqrt()


rows_of_ids = st.tuples(st.integers(1, 6), st.integers(1, 40), st.integers(0, 10**6)).map(
    lambda shape: torch.randint(0, len(TOKENIZER), shape[:2], generator=generator(shape[2]))
)


@settings(deadline=None, max_examples=60)
@given(rows=rows_of_ids, rate=st.floats(0.01, 0.99), static=st.booleans(), seed=st.integers(0, 99))
def test_labels_are_the_original_on_target_and_special_tokens_stay(rows, rate, static, seed):
    objective = MaskedLM.from_tokenizer(TOKENIZER, rate=rate, static=static)
    before = rows.clone()
    out = objective(rows, generator(seed))
    target = out["labels"] != -100
    special = torch.isin(rows, SPECIAL)
    assert torch.equal(rows, before), "the rows themselves must not be changed"
    assert out["input_ids"].dtype == out["labels"].dtype == torch.long
    assert torch.equal(out["labels"][target], rows[target])
    assert torch.equal(out["input_ids"][~target], rows[~target])
    assert not (target & special).any()
    inserted = out["input_ids"][out["input_ids"] != rows]
    assert set(inserted.tolist()) & set(SPECIAL.tolist()) <= {MASK}


def test_a_dynamic_mask_is_new_at_each_call_and_the_same_for_the_same_seed():
    objective = MaskedLM.from_tokenizer(TOKENIZER)
    first, again, other = (objective(ROWS[:8], generator(seed)) for seed in (1, 1, 2))
    for key in first:
        assert torch.equal(first[key], again[key])
        assert not torch.equal(first[key], other[key])


def test_a_static_mask_belongs_to_the_row_whatever_the_batch_or_the_call():
    objective = MaskedLM.from_tokenizer(TOKENIZER, static=True)
    whole = objective(ROWS[:50], generator(1))
    turned = objective(ROWS[:50].flip(0), generator(2))
    alone = [objective(row[None], generator(3)) for row in ROWS[:50]]
    for key in whole:
        assert torch.equal(whole[key], turned[key].flip(0))
        assert torch.equal(whole[key], torch.cat([out[key] for out in alone]))


def test_static_masks_of_rows_that_differ_in_one_token_have_nothing_in_common():
    objective = MaskedLM.from_tokenizer(TOKENIZER, static=True)
    rows = ROWS[:1].repeat(40, 1)
    rows[:, 5] = torch.arange(5, 45)
    target = (objective(rows, generator(0))["labels"] != -100).double()
    together = (target @ target.T).fill_diagonal_(0).sum() / (40 * 39)
    ordinary = int((~torch.isin(rows[0], SPECIAL)).sum())
    assert abs(float(together) - ordinary * 0.15**2) < 0.5  # as many as by chance
