"""Guards examples that share a row: the loss and the gradient of separate rows, and no more.

pytest tests/corpora/test_packed_examples.py
"""

import json
import math
from itertools import pairwise

import pytest
import torch
import transformers
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_recipe, word_tokenizer

from course_lib.corpora.packed_examples import pack_examples
from course_lib.models import build
from course_lib.objectives import Supervised, count_targets, summed_loss
from course_lib.runtime import CourseError, generator
from course_lib.training import Data, Recipe, fit, prepare

LENGTH = 24
SIZES = (9, 4, 13, 7, 3, 11, 5, 20, 2)
sizes = st.lists(st.integers(1, LENGTH), min_size=1, max_size=30)


def example(size, *key):
    """Random tokens; the second half is the answer."""
    draw = generator("packed examples", size, *key)
    ids = torch.randint(8, 30, (size,), generator=draw).tolist()
    return {"input_ids": ids, "labels": [-100] * (size // 2) + ids[size // 2 :]}


def gpt2(attention):
    torch.manual_seed(0)
    model = build("gpt2", word_tokenizer("gpt2"), width=16, layers=2, heads=2, length=LENGTH)
    model.set_attn_implementation(attention)
    return model.eval()


def llama(attention):
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    config = transformers.LlamaConfig(
        vocab_size=64,
        num_hidden_layers=2,
        num_key_value_heads=1,
        attn_implementation=attention,
        **shape,
    )
    return transformers.LlamaForCausalLM(config).eval()


def loss_and_gradient(model, batch):
    model.zero_grad()
    loss = summed_loss(model, batch)
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("made", [gpt2, llama])
def test_a_shared_row_has_the_loss_and_gradient_of_separate_ones(made, attention):
    model, pad = made(attention), Supervised(word_tokenizer("gpt2"))
    examples = [example(size) for size in SIZES]
    apart, together = pad(examples), pad(pack_examples(examples, LENGTH))
    assert len(together["labels"]) < len(apart["labels"])
    assert count_targets(model, together) == count_targets(model, apart)
    loss, gradient = loss_and_gradient(model, apart)
    packed_loss, packed_gradient = loss_and_gradient(model, together)
    assert packed_loss == pytest.approx(loss, rel=1e-5)
    for name, value in gradient.items():
        largest = value.abs().max().item()
        assert torch.allclose(packed_gradient[name], value, rtol=1e-4, atol=1e-5 * largest), name


@pytest.mark.parametrize("made", [gpt2, llama])
def test_what_stands_in_front_changes_nothing(made):
    """And it would, without positions that begin again."""
    model, pad = made("sdpa"), Supervised(word_tokenizer("gpt2"))
    last = example(8)

    def logits(first, positions):
        row = pack_examples([first, last], LENGTH)
        batch = {name: value for name, value in pad(row).items() if name != "labels"}
        kept = batch if positions else {"input_ids": batch["input_ids"]}
        with torch.no_grad():
            return model(**kept, use_cache=False).logits[0, -8:]

    one, other = example(12, "one"), example(12, "other")
    assert torch.equal(logits(one, True), logits(other, True))
    assert not torch.allclose(logits(one, False), logits(other, False), atol=1e-4)


@given(sizes)
@settings(max_examples=60, deadline=None)
def test_each_example_stands_whole_in_one_row(sizes):
    examples = [example(size, place) for place, size in enumerate(sizes)]
    rows, found = pack_examples(examples, LENGTH), []
    for row in rows:
        starts = [i for i, place in enumerate(row["position_ids"]) if place == 0]
        assert len(row["input_ids"]) == len(row["labels"]) == len(row["position_ids"]) <= LENGTH
        for start, end in zip(starts, [*starts[1:], None], strict=True):
            found.append((row["input_ids"][start:end], row["labels"][start:end]))
            assert row["position_ids"][start:end] == list(range(len(found[-1][0])))
    asked = [(e["input_ids"], [-100, *e["labels"][1:]]) for e in examples]
    assert sorted(found) == sorted(asked)


@given(sizes)
@settings(max_examples=60, deadline=None)
def test_no_two_rows_would_fit_into_one(sizes):
    filled = sorted(len(r["input_ids"]) for r in pack_examples([*map(example, sizes)], LENGTH))
    assert len(filled) < 2 or filled[0] + filled[1] > LENGTH


@pytest.mark.parametrize("seed", range(3))
def test_the_rows_are_filled_as_those_of_trl(seed):
    trl = pytest.importorskip("trl")
    drawn = torch.randint(1, LENGTH + 1, (200,), generator=generator("trl", seed)).tolist()
    examples = [example(size, place) for place, size in enumerate(drawn)]
    table = Dataset.from_dict({"input_ids": [e["input_ids"] for e in examples]})
    theirs = trl.pack_dataset(table, LENGTH, strategy="bfd")["seq_lengths"]
    starts = [row["position_ids"] for row in pack_examples(examples, LENGTH)]
    ends = [[*(i for i, p in enumerate(row) if p == 0), len(row)] for row in starts]
    assert theirs[:] == [[b - a for a, b in pairwise(e)] for e in ends]


def test_a_batch_is_that_of_trl():
    """Its collator for rows that are shared, fed with the same rows."""
    trl = pytest.importorskip("trl")
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    assert trl
    tokenizer, rows = word_tokenizer("gpt2"), pack_examples([*map(example, SIZES)], LENGTH)
    ours = Supervised(tokenizer)(rows)
    collate = DataCollatorForLanguageModeling(tokenizer.pad_token_id, padding_free=True)
    for number, row in enumerate(rows):
        starts = [*(i for i, p in enumerate(row["position_ids"]) if p == 0), len(row["labels"])]
        lengths = [b - a for a, b in pairwise(starts)]
        theirs = collate([row | {"seq_lengths": lengths}])
        for name in ("input_ids", "labels", "position_ids"):
            width = theirs[name].shape[1]
            assert ours[name][number, :width].tolist() == theirs[name][0].tolist(), name


def test_a_recipe_with_packed_rows_learns_from_the_same_examples(tmp_path):
    asked = [f"the cat {n} {'sat ' * (n % 7)}" for n in range(120)]
    pairs = [{"prompt": prompt, "completion": "on mat"} for prompt in asked]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, pairs)))
    changes = {"corpus": f"file:{path}", "objective": "supervised", "length": LENGTH, "batch": 4}
    recipe = tiny_recipe("gpt2", **changes, steps=5, warmup=1, width=16, layers=1)
    tokenizer = word_tokenizer("gpt2")
    apart = prepare(recipe, tokenizer)
    packed = prepare(recipe.replace(packed=True), tokenizer)
    assert recipe.digest() == recipe.replace(packed=False).digest()
    assert recipe.digest() != recipe.replace(packed=True).digest()
    assert len(packed.train.rows) < len(apart.train.rows) / 2

    def all_ids(rows):
        return sorted(token for row in rows.encoded for token in row["input_ids"])

    assert all_ids(packed.train.rows) == all_ids(apart.train.rows)
    assert packed.validation[0].keys() == apart.validation[0].keys()
    history = fit(gpt2("sdpa"), packed.train, recipe.optimization)
    assert math.isfinite(history[-1]["loss"])


def test_a_model_without_positions_is_refused():
    """BLOOM takes what it does not know without a word, and would see across the borders."""
    model = build("bloom", word_tokenizer("gpt2"), width=16, layers=1, heads=2, length=LENGTH)
    rows = Supervised(word_tokenizer("gpt2"))(pack_examples([example(5)] * 3, LENGTH))
    with pytest.raises(CourseError, match=r"BloomForCausalLM takes no position_ids.*data\.packed"):
        summed_loss(model, rows)


def test_what_cannot_be_packed_is_refused():
    with pytest.raises(CourseError, match="Example 1 has 25 tokens, and a row 24: make the rows"):
        pack_examples([example(3), example(25)], LENGTH)
    with pytest.raises(CourseError, match="3 tokens and 1 labels"):
        pack_examples([{"input_ids": [1, 2, 3], "labels": [0]}], LENGTH)
    with pytest.raises(CourseError, match=r"data\.packed.*causal has full rows"):
        tiny_recipe("gpt2", packed=True, objective="causal")
    with pytest.raises(CourseError, match=r"data\.packed.*causal has full rows"):
        tiny_recipe("gpt2", packed=True)  # whose own objective that is
    # What a trained model goes on with shows only when it is read.
    goes_on = Recipe(
        name="goes on", data=Data(corpus="world", packed=True), start="base:gpt2-world"
    )
    with pytest.raises(CourseError, match=r"data\.packed is for supervised"):
        prepare(goes_on, word_tokenizer("gpt2"), "causal", "causal")
