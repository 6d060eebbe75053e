"""Guards elastic weight consolidation: the Fisher information by hand, and what it holds in place.

pytest tests/objectives/test_ewc.py
"""

import pytest
import torch
from refusals import assert_refused
from tiny import packed_rows, tiny_model

from course_lib.objectives.ewc import ElasticWeights, fisher_diagonal
from course_lib.objectives.loss import count_targets, summed_loss
from course_lib.training import Optimization, fit


def rows_of(*key, count=4):
    rows = packed_rows("gpt2", count, 12, *key)
    return [{"input_ids": row, "labels": row} for row in rows.split(1)]


@pytest.fixture
def model():
    return tiny_model("gpt2", length=12)


def test_the_fisher_information_is_the_mean_of_squares_row_by_row(model):
    rows = rows_of("old", count=3)
    found = fisher_diagonal(model, rows)
    name, weight = next(iter(model.named_parameters()))
    squares = []
    for row in rows:
        model.zero_grad()
        summed_loss(model, row).backward()
        squares.append(weight.grad.clone() ** 2)
    torch.testing.assert_close(found[name], torch.stack(squares).mean(0))
    # The square of the mean gradient is something else.
    model.zero_grad()
    sum(summed_loss(model, row) for row in rows).backward()
    assert not torch.allclose(found[name], (weight.grad / 3) ** 2)


def test_it_is_the_curvature_where_that_is_known():
    """Of a coin with logit w that shows what the model expects, F is p (1 - p)."""

    class Coin(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.tensor(0.7))

    def nats(coin, batch):
        sign = 2 * batch["labels"].squeeze() - 1
        return -torch.nn.functional.logsigmoid(sign * coin.w)

    coin = Coin()
    p = torch.sigmoid(coin.w).item()
    heads = round(10_000 * p)
    tosses = [{"labels": torch.ones(1, 1)}] * heads + [{"labels": torch.zeros(1, 1)}] * (
        10_000 - heads
    )
    found = fisher_diagonal(coin, tosses[:: 10_000 // 1000], loss=nats)["w"]
    assert float(found) == pytest.approx(p * (1 - p), rel=0.02)


def test_the_penalty_is_nothing_at_the_anchor_and_a_parabola_around_it(model):
    elastic = ElasticWeights.of(model, rows_of("old"), strength=3.0)
    assert elastic.penalty(model).item() == 0
    name, weight = next(iter(model.named_parameters()))
    with torch.no_grad():
        weight += 0.1
    once = elastic.penalty(model).item()
    assert once == pytest.approx(1.5 * 0.01 * float(elastic.fisher[name].sum()), rel=1e-4)
    with torch.no_grad():
        weight += 0.1
    assert elastic.penalty(model).item() == pytest.approx(4 * once, rel=1e-4)


def test_parts_of_a_batch_have_the_penalty_once_between_them(model):
    elastic = ElasticWeights.of(model, rows_of("old"), strength=5.0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.05
    rows = packed_rows("gpt2", 4, 12, "new")
    whole = {"input_ids": rows, "labels": rows}
    halves = [{"input_ids": part, "labels": part} for part in rows.split(2)]
    targets = count_targets(model, whole)
    parts = sum(elastic.loss(model, half) for half in halves) / targets
    torch.testing.assert_close(elastic.loss(model, whole) / targets, parts)
    plain = summed_loss(model, whole) / targets
    torch.testing.assert_close(elastic.loss(model, whole) / targets - plain, elastic.penalty(model))


def test_it_keeps_what_the_old_task_needs_and_still_learns(model):
    """Against the same steps without it: the old text is worse by less, the new one is learnt."""
    old, new = rows_of("old", count=8), packed_rows("gpt2", 8, 12, "new")
    settings = Optimization(steps=40, batch=8, learning_rate=1e-2, warmup=0, weight_decay=0)
    before = tiny_model("gpt2", length=12)
    text = torch.cat([row["input_ids"] for row in old])
    fit(before, lambda step: {"input_ids": text, "labels": text}, settings)

    def nats(tuned, rows):
        with torch.no_grad():
            return float(summed_loss(tuned, {"input_ids": rows, "labels": rows}))

    lost, learnt = {}, {}
    for strength in (0.0, 300.0):
        tuned = tiny_model("gpt2", length=12)
        tuned.load_state_dict(before.state_dict())
        elastic = ElasticWeights.of(tuned, old, strength)
        fit(tuned, lambda step: {"input_ids": new, "labels": new}, settings, loss=elastic.loss)
        lost[strength] = nats(tuned, text) - nats(before, text)
        learnt[strength] = nats(before, new) - nats(tuned, new)
    assert lost[300.0] < 0.7 * lost[0.0]
    assert learnt[300.0] > 0


REFUSED = {
    "no rows": (lambda m: fisher_diagonal(m, []), "at least one row"),
    "two rows": (
        lambda m: fisher_diagonal(m, [{"labels": torch.zeros(2, 3)}]),
        "one row at a time",
    ),
    "a negative strength": (lambda m: ElasticWeights.of(m, rows_of("old"), -1.0), "at least 0"),
}


@pytest.mark.parametrize("way", REFUSED)
def test_what_cannot_be_is_refused(model, way):
    call, words = REFUSED[way]
    assert_refused(lambda: call(model), words)
