"""Span corruption has T5's exact counts, and nothing is lost between input and target.

Run with: python -m pytest tests/objectives/test_span_corruption.py
"""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import word_tokenizer

from course_lib.objectives import SpanCorruption
from course_lib.runtime import generator

TOKENIZER = word_tokenizer("t5")
OBJECTIVE = SpanCorruption.from_tokenizer(TOKENIZER)
SENTINELS = OBJECTIVE.sentinel_ids.tolist()
END = TOKENIZER.eos_token_id


def ordinary_rows(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    first = max(TOKENIZER.all_special_ids) + 1
    return torch.randint(first, len(TOKENIZER), (batch, length), generator=generator("t5", seed))


def pieces(ids: list[int]) -> dict[int, list[int]]:
    """What stands between the sentinels, keyed by the sentinel before it (None: before any)."""
    assert ids[-1] == END
    found: dict[int, list[int]] = {None: []}
    last = None
    for token in ids[:-1]:
        if token in SENTINELS:
            assert token not in found, "a sentinel stands twice"
            last = token
            found[last] = []
        else:
            found[last].append(token)
    return found


def reconstruct(inputs: list[int], target: list[int]) -> list[int]:
    """Put each span of the target where its sentinel stands in the input."""
    clean, noise = pieces(inputs), pieces(target)
    text = list(clean[None])
    for sentinel in list(clean)[1:]:
        text += noise[sentinel] + clean[sentinel]
    return text


sizes = st.integers(2, 600)
rates = st.floats(0.02, 0.9)
means = st.floats(1, 12)


@settings(deadline=None, max_examples=150)
@given(length=sizes, rate=rates, mean_span=means, seed=st.integers(0, 10**6))
def test_counts_are_exact_and_the_text_comes_back(length, rate, mean_span, seed):
    noise = min(max(round(length * rate), 1), length - 1)
    spans = min(max(round(noise / mean_span), 1), noise, length - noise)
    objective = SpanCorruption(torch.tensor(SENTINELS), END, rate, mean_span)
    rows = ordinary_rows(2, length, seed)
    if spans > len(SENTINELS):
        with pytest.raises(ValueError, match="use shorter rows or longer spans"):
            objective(rows, generator(seed))
        return
    out = objective(rows, generator(seed))
    assert out["input_ids"].shape == (2, length - noise + spans + 1)
    assert out["labels"].shape == (2, noise + spans + 1)
    for row, inputs, target in zip(
        rows.tolist(), out["input_ids"].tolist(), out["labels"].tolist(), strict=True
    ):
        order = SENTINELS[:spans]
        assert [t for t in inputs if t in SENTINELS] == order
        assert [t for t in target if t in SENTINELS] == order
        assert all(pieces(target)[sentinel] for sentinel in order), "an empty span"
        assert inputs[0] == row[0], "a row begins clean"
        assert inputs[-2] == order[-1], "and ends in noise"
        assert reconstruct(inputs, target) == row


def test_without_limits_in_the_way_noise_and_spans_are_as_the_paper_rounds_them():
    mask = OBJECTIVE.noise_mask(64, 200, generator(3))
    starts = mask & ~torch.nn.functional.pad(mask, (1, 0))[:, :-1]
    assert mask.sum(dim=1).unique().tolist() == [round(200 * 0.15)]
    assert starts.sum(dim=1).unique().tolist() == [round(round(200 * 0.15) / 3)]


def test_568_tokens_become_512_and_114_as_in_t5():
    out = OBJECTIVE(ordinary_rows(3, 568), generator(0))
    assert out["input_ids"].shape == (3, 512)
    assert out["labels"].shape == (3, 114)


def test_end_tokens_between_documents_are_text_like_any_other():
    rows = ordinary_rows(4, 60)
    rows[:, ::7] = END
    out = OBJECTIVE(rows, generator(5))
    for row, inputs, target in zip(rows, out["input_ids"], out["labels"], strict=True):
        assert reconstruct(inputs.tolist(), target.tolist()) == row.tolist()


def test_the_example_of_the_docstring():
    words = "The cat sat on the mat".lower().split()
    row = torch.tensor([TOKENIZER.convert_tokens_to_ids(words)])
    mask = torch.tensor([[False, False, True, False, False, True]])
    out = OBJECTIVE.corrupt(row, mask)
    shown = {key: TOKENIZER.decode(ids[0]) for key, ids in out.items()}
    assert shown["input_ids"] == "the cat <extra_id_0> on the <extra_id_1> </s>"
    assert shown["labels"] == "<extra_id_0> sat <extra_id_1> mat </s>"


def test_a_mask_of_your_own_gives_the_text_back_wherever_it_begins_and_ends():
    rows = ordinary_rows(1, 12)
    for bits in range(1, 2**12 - 1, 7):
        noise = torch.tensor([[bool(bits >> place & 1) for place in range(12)]])
        batch = OBJECTIVE.corrupt(rows, noise)
        inputs, target = batch["input_ids"][0].tolist(), batch["labels"][0].tolist()
        spans, gaps = pieces(target), pieces(inputs)
        assert [t for span in spans.values() for t in span] == rows[noise].tolist()
        assert [t for part in gaps.values() for t in part] == rows[~noise].tolist()
        if not noise[0, 0]:
            assert reconstruct(inputs, target) == rows[0].tolist()
            # Where the row ends in clean tokens, one more sentinel closes the target.
            assert len(spans) - len(gaps) == (not noise[0, -1])


def test_all_ways_to_cut_are_equally_likely():
    # 12 tokens, half noise in two spans: 5 x 5 ways to choose where the runs are cut.
    objective = SpanCorruption(torch.tensor(SENTINELS), END, rate=0.5, mean_span=3)
    rows = 10_000
    masks = objective.noise_mask(rows, 12, generator("uniform"))
    counts = Counter(map(tuple, masks.tolist()))
    expected = rows / 25
    assert len(counts) == 25
    assert max(abs(count - expected) for count in counts.values()) < 5 * expected**0.5


def test_same_seed_same_spans_and_rows_of_a_batch_differ():
    rows = ordinary_rows(1, 100).repeat(6, 1)
    first, again, other = (OBJECTIVE(rows, generator(seed))["labels"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len(first.unique(dim=0)) == 6
