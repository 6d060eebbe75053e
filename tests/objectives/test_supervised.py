"""Guards batches of examples: padding changes nothing, and no target is padding or prompt.

pytest tests/objectives/test_supervised.py
"""

import pytest
import torch
from tiny import closing_tokenizer, tiny_model, word_tokenizer

from course_lib.models import build
from course_lib.models.heads import with_head
from course_lib.objectives import Supervised, count_targets, summed_loss
from course_lib.objectives.labels import count_labels, label_logits, label_loss
from course_lib.runtime import generator

SIZES = (3, 9, 1, 6)


def examples(kind, rows=SIZES):
    """Random rows of different length, with labels of a kind."""
    draw = generator("supervised", kind)

    def ids(count):
        return torch.randint(8, 30, (count,), generator=draw).tolist()

    made = []
    for number, size in enumerate(rows):
        row = ids(size)
        if kind == "completion":
            answer = ids(2 + number)
            made.append({"input_ids": row + answer, "labels": [-100] * size + answer})
        elif kind == "pair":
            made.append({"input_ids": row, "labels": ids(2 + number)})
        elif kind == "text":
            made.append({"input_ids": row, "labels": [number % 3]})
        else:
            labels = torch.randint(0, 3, (size,), generator=draw).tolist()
            labels[0] = labels[0] if size > 1 else 2
            made.append({"input_ids": row, "labels": [-100, *labels[1:]] if size > 1 else labels})
    return made


@pytest.mark.parametrize(
    ("family", "kind"),
    [("gpt2", "completion"), ("bloom", "completion"), ("t5", "pair"), ("bart", "pair")],
)
def test_a_batch_is_worth_its_rows_one_by_one(family, kind):
    tokenizer = closing_tokenizer("gpt2" if family == "bloom" else family)
    torch.manual_seed(0)
    model = build(family, tokenizer, width=16, layers=1, heads=2, length=24)
    pad, rows = Supervised(tokenizer), examples(kind)
    with torch.no_grad():
        together = summed_loss(model.eval(), pad(rows)).item()
        alone = sum(summed_loss(model, pad([row])).item() for row in rows)
    assert together == pytest.approx(alone, rel=1e-5)
    targets = sum(label != -100 for row in rows for label in row["labels"])
    assert count_targets(model, pad(rows)) == targets


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
@pytest.mark.parametrize("kind", ["text", "word"])
def test_a_batch_of_labels_is_worth_its_rows_one_by_one(family, kind):
    model = with_head(tiny_model(family), labels=3, seed=0).eval()
    pad, rows = Supervised(closing_tokenizer(family), text_labels=kind == "text"), examples(kind)
    with torch.no_grad():
        together = label_loss(model, pad(rows)).item()
        alone = sum(label_loss(model, pad([row])).item() for row in rows)
    assert together == pytest.approx(alone, rel=1e-5)
    assert count_labels(model, pad(rows)) == sum(
        label != -100 for row in rows for label in row["labels"]
    )


def test_a_text_is_the_mean_of_its_tokens_votes():
    model = with_head(tiny_model("bert"), labels=3, seed=0).eval()
    rows = examples("text")
    batch = Supervised(closing_tokenizer("bert"), text_labels=True)(rows)
    with torch.no_grad():
        found = label_logits(model, batch)
        for row, logits in zip(rows, found, strict=True):
            votes = model(torch.tensor([row["input_ids"]])).logits[0]
            torch.testing.assert_close(logits, votes.mean(dim=0))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_on_the_right_and_no_target_whatever_the_tokenizer_does(side):
    tokenizer = closing_tokenizer("gpt2")
    tokenizer.padding_side = side
    rows = examples("completion")
    batch = Supervised(tokenizer)(rows)
    for row, ids, mask, labels in zip(rows, *(batch[k].tolist() for k in batch), strict=True):
        size = len(row["input_ids"])
        assert ids[:size] == row["input_ids"]
        assert labels[:size] == row["labels"]
        assert mask == [1] * size + [0] * (len(mask) - size)
        assert set(ids[size:]) <= {tokenizer.pad_token_id}
        assert set(labels[size:]) <= {-100}


def test_an_end_is_learnt_where_padding_is_written_with_it():
    """As SmolLM2's and GPT-2's is by custom: a batch that masks every end never learns to stop."""
    tokenizer = closing_tokenizer("gpt2")
    tokenizer.pad_token = tokenizer.eos_token
    end = tokenizer.eos_token_id
    rows = [
        {"input_ids": [5, 6, end], "labels": [-100, 6, end]},
        {"input_ids": [5, end], "labels": [-100, end]},
    ]
    batch = Supervised(tokenizer)(rows)
    assert batch["labels"].tolist() == [[-100, 6, end], [-100, end, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]


def test_nothing_is_drawn_and_examples_stay_as_they_are():
    tokenizer, rows = word_tokenizer("gpt2"), examples("completion")
    before, state = [dict(row) for row in rows], torch.get_rng_state()
    first, again = Supervised(tokenizer)(rows, generator(0)), Supervised(tokenizer)(rows)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert rows == before
    assert torch.equal(state, torch.get_rng_state())
