"""Text infilling hides an exact share behind single masks and shuffles only whole sentences.

Run with: python -m pytest tests/objectives/test_text_infilling.py
"""

import re
from collections import Counter
from itertools import chain, pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import packed_rows, word_tokenizer

from course_lib.objectives import TextInfilling
from course_lib.runtime import generator

TOKENIZER = word_tokenizer("bart")
MASK, PAD = TOKENIZER.mask_token_id, TOKENIZER.pad_token_id
SPECIAL = set(TOKENIZER.all_special_ids)
ENDS = set(TOKENIZER.convert_tokens_to_ids([".", "!", "?"]))


def ordinary_rows(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    words = max(ENDS) + 1
    return torch.randint(words, len(TOKENIZER), (batch, length), generator=generator("bart", seed))


def can_be_filled(inputs: list[int], text: list[int]) -> bool:
    """Whether putting some tokens (or none) for each mask gives the text."""
    letters = "".join(".*" if t == MASK else re.escape(chr(0x4E00 + t)) for t in inputs)
    return re.fullmatch(letters, "".join(chr(0x4E00 + t) for t in text)) is not None


shapes = {
    "length": st.integers(2, 80),
    "rate": st.floats(0.01, 0.99),
    "mean_span": st.floats(1, 8) | st.integers(1, 8),
    "seed": st.integers(0, 10**6),
}


@settings(deadline=None, max_examples=150)
@given(**shapes)
def test_exactly_the_budget_is_hidden_behind_masks_that_never_touch(length, rate, mean_span, seed):
    objective = TextInfilling.from_tokenizer(
        TOKENIZER, rate=rate, mean_span=mean_span, permute=False
    )
    rows = ordinary_rows(4, length, seed)
    out = objective(rows, generator(seed))
    assert torch.equal(out["labels"], rows), "the target is the whole text"
    assert out["input_ids"].shape == out["attention_mask"].shape
    assert out["input_ids"].shape[1] <= length, "longer than the model has positions"
    for row, inputs, attention in zip(rows, out["input_ids"], out["attention_mask"], strict=True):
        kept = inputs[inputs != PAD].tolist()
        assert inputs.tolist() == kept + [PAD] * (len(inputs) - len(kept))
        assert attention.tolist() == [1] * len(kept) + [0] * (len(inputs) - len(kept))
        assert sum(token != MASK for token in kept) == length - round(length * rate)
        assert (MASK, MASK) not in set(pairwise(kept))
        assert can_be_filled(kept, row.tolist())


@settings(deadline=None, max_examples=60)
@given(**shapes)
def test_special_tokens_stay_and_the_rest_is_the_permuted_text(length, rate, mean_span, seed):
    objective = TextInfilling.from_tokenizer(TOKENIZER, rate=rate, mean_span=mean_span)
    rows = packed_rows("bart", 4, length, seed)
    out = objective(rows, generator(seed))
    permuted = objective.permute_sentences(rows, generator(seed))  # the first thing drawn
    assert torch.equal(out["labels"], rows), "the target is in the original order"
    for text, inputs in zip(permuted.tolist(), out["input_ids"].tolist(), strict=True):
        kept = [token for token in inputs if token != PAD]
        special = [token for token in kept if token in SPECIAL - {MASK}]
        assert special == [token for token in text if token in SPECIAL]
        assert sum(token != MASK for token in kept) >= length - round(length * rate)
        assert can_be_filled(kept, text)


def test_spans_have_poisson_lengths():
    objective = TextInfilling.from_tokenizer(TOKENIZER, permute=False)
    rows = ordinary_rows(1, 400).repeat(300, 1)
    masks = (objective(rows, generator(1))["input_ids"] == MASK).sum()
    # 120 hidden tokens a row in spans of 3 make 40; the span that is cut at the budget adds half.
    assert 40 < float(masks) / 300 < 41
    hidden, inserted = objective._spans(rows, generator(2))
    starts = hidden & ~torch.nn.functional.pad(hidden, (1, 0))[:, :-1]
    empty = float(inserted.sum() / (starts.sum() + inserted.sum()))
    assert empty == pytest.approx(0.0498, abs=0.01)  # exp(-3): a mask where nothing is missing


def test_with_the_rate_of_a_single_token_one_token_goes():
    objective = TextInfilling.from_tokenizer(TOKENIZER, rate=0.1, permute=False)
    rows = ordinary_rows(5_000, 10)
    kept = (objective(rows, generator(0))["input_ids"] >= max(ENDS)).sum(dim=1)
    assert kept.unique().tolist() == [9]


def documents_of(row: list[int]) -> list[list[tuple[int, ...]]]:
    """The sentences of each stretch between two special tokens."""
    found: list[list[tuple[int, ...]]] = [[]]
    sentence: list[int] = []
    for token in row:
        if token in SPECIAL:
            found += [[]]
            assert not sentence, "a special token within a sentence"
            continue
        sentence.append(token)
        if token in ENDS:
            found[-1].append(tuple(sentence))
            sentence = []
    return found


words = st.lists(st.integers(max(ENDS) + 1, len(TOKENIZER) - 1), max_size=4)
sentences = st.tuples(words, st.sampled_from(sorted(ENDS))).map(lambda s: [*s[0], s[1]])
texts = st.lists(st.lists(sentences, max_size=4), min_size=1, max_size=4)


@settings(deadline=None, max_examples=100)
@given(texts=texts, seed=st.integers(0, 99))
def test_sentences_stay_whole_and_documents_apart(texts, seed):
    begin, end = TOKENIZER.bos_token_id, TOKENIZER.eos_token_id
    row = [token for text in texts for token in (begin, *chain.from_iterable(text), end)]
    objective = TextInfilling.from_tokenizer(TOKENIZER)
    shuffled = objective.permute_sentences(torch.tensor([row]), generator(seed))[0].tolist()
    assert [t if t in SPECIAL else 0 for t in row] == [t if t in SPECIAL else 0 for t in shuffled]
    for before, after in zip(documents_of(row), documents_of(shuffled), strict=True):
        assert Counter(before) == Counter(after)


def test_a_sentence_cut_by_the_row_stays_with_its_document():
    rows = packed_rows("bart", 200, 24, "cut")
    shuffled = TextInfilling.from_tokenizer(TOKENIZER).permute_sentences(rows, generator(0))
    special = torch.isin(rows, torch.tensor(sorted(SPECIAL)))
    assert torch.equal(rows[special], shuffled[special])
    document = special.cumsum(dim=1) * len(TOKENIZER)
    assert torch.equal(
        (document + rows).sort(dim=1).values, (document + shuffled).sort(dim=1).values
    )


def test_all_orders_of_three_sentences_are_equally_likely():
    one = TOKENIZER("the cat . a dog ran . bird sang !", add_special_tokens=False).input_ids
    rows = torch.tensor([one]).repeat(6_000, 1)
    shuffled = TextInfilling.from_tokenizer(TOKENIZER).permute_sentences(rows, generator(0))
    counts = Counter(map(tuple, shuffled.tolist()))
    assert len(counts) == 6
    assert max(abs(count - 1_000) for count in counts.values()) < 5 * 1_000**0.5


def test_without_permutation_the_kept_tokens_are_in_their_order():
    rows = packed_rows("bart", 20, 40, "order")
    out = TextInfilling.from_tokenizer(TOKENIZER, permute=False)(rows, generator(0))
    for text, inputs in zip(rows.tolist(), out["input_ids"].tolist(), strict=True):
        assert can_be_filled([token for token in inputs if token != PAD], text)


def test_padding_in_the_text_is_no_target():
    rows = packed_rows("bart", 2, 40, "padding")
    rows[:, 30:] = PAD
    out = TextInfilling.from_tokenizer(TOKENIZER)(rows, generator(0))
    assert (out["labels"][:, 30:] == -100).all()
    assert (out["labels"][:, :30] == rows[:, :30]).all()


def test_same_seed_same_corruption():
    objective = TextInfilling.from_tokenizer(TOKENIZER)
    rows = packed_rows("bart", 8, 40, "seed")
    first, again, other = (objective(rows, generator(seed))["input_ids"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)


def test_a_tokenizer_without_sentence_ends_works():
    rows = ordinary_rows(2, 12)
    bare = TextInfilling(MASK, PAD, torch.tensor(sorted(SPECIAL)), torch.tensor([]).long())
    assert torch.equal(bare(rows, generator(0))["labels"], rows)


@pytest.mark.parametrize("permute", [False, True])
def test_no_mask_stands_among_the_padding(permute):
    objective = TextInfilling.from_tokenizer(TOKENIZER, rate=0.5, mean_span=1, permute=permute)
    rows = ordinary_rows(400, 20)
    texts = torch.arange(len(rows)) % 15 + 3
    rows[torch.arange(20) >= texts[:, None]] = PAD
    out = objective(rows, generator("padded"))
    for row, inputs, size in zip(rows, out["input_ids"], texts, strict=True):
        kept = inputs[inputs != PAD].tolist()
        assert inputs.tolist() == kept + [PAD] * (len(inputs) - len(kept))
        assert (MASK, MASK) not in set(pairwise(kept))
        if not permute:
            assert can_be_filled(kept, row[:size].tolist())
