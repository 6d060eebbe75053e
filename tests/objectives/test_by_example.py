"""Guards the loss that counts every example the same: its value by hand, and in parts.

pytest tests/objectives/test_by_example.py
"""

import pytest
import torch
from tiny import tiny_model, tiny_recipe, word_tokenizer

from course_lib.objectives import Supervised, summed_loss
from course_lib.objectives.by_example import count_examples, loss_by_example
from course_lib.runtime import CourseError, generator
from course_lib.training import fit

ANSWERS = (1, 2, 9, 4)


@pytest.fixture
def rows():
    draw = generator("by example")

    def ids(count):
        return torch.randint(8, 30, (count,), generator=draw).tolist()

    made = []
    for size in ANSWERS:
        asked, answer = ids(5), ids(size)
        made.append({"input_ids": asked + answer, "labels": [-100] * 5 + answer})
    return made


def test_each_row_has_the_mean_of_its_own_targets(rows):
    model, pad = tiny_model("gpt2").eval(), Supervised(word_tokenizer("gpt2"))
    with torch.no_grad():
        together = loss_by_example(model, pad(rows)).item()
        means = [
            summed_loss(model, pad([row])).item() / size
            for row, size in zip(rows, ANSWERS, strict=True)
        ]
    assert together == pytest.approx(sum(means), rel=1e-5)
    assert together != pytest.approx(summed_loss(model, pad(rows)).item(), rel=0.1)
    assert count_examples(model, pad(rows)) == len(rows)


def test_a_row_without_a_target_adds_nothing(rows):
    model, pad = tiny_model("gpt2").eval(), Supervised(word_tokenizer("gpt2"))
    empty = {"input_ids": [9, 10], "labels": [-100, -100]}
    assert count_examples(model, pad([*rows, empty])) == len(rows)
    loss, other = loss_by_example(model, pad([*rows, empty])), loss_by_example(model, pad(rows))
    assert loss.item() == pytest.approx(other.item(), rel=1e-5)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_a_loss_that_is_not_a_number_stays_one(rows):
    model = tiny_model("gpt2").eval()
    model.transformer.ln_f.bias.data.fill_(torch.nan)
    assert loss_by_example(model, Supervised(word_tokenizer("gpt2"))(rows)).isnan()


def test_micro_batches_give_what_one_batch_gives(rows):
    batch = Supervised(word_tokenizer("gpt2"))(rows)
    recipe = tiny_recipe("gpt2", steps=3, warmup=1, batch=4)
    histories = [
        fit(
            tiny_model("gpt2"),
            lambda step: batch,
            recipe.replace(micro_batches=parts, log_every=1).optimization,
            loss=loss_by_example,
            count=count_examples,
        )
        for parts in (1, 2)
    ]
    for one, two in zip(*histories, strict=True):
        assert one["loss"] == pytest.approx(two["loss"], rel=1e-4)
        assert one["targets"] == two["targets"]


def test_recipes_say_it_and_keep_their_digest():
    recipe = tiny_recipe("gpt2", corpus="reviews/film", objective="supervised")
    other = recipe.replace(mean_over="examples")
    assert recipe.replace(mean_over="targets").digest() == recipe.digest() != other.digest()
    with pytest.raises(CourseError, match=r"mean_over.*it is for supervised, not for causal"):
        tiny_recipe("gpt2", mean_over="examples", objective="causal")
    with pytest.raises(CourseError, match=r"data\.packed.*leave out objective\.mean_over"):
        other.replace(packed=True)
