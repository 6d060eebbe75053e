"""Guards what the studies measure: margins, floors, losses by part and place, unseen test pairs.

pytest tests/studies/test_measures.py
"""

import math

import pytest
import torch
from fake_device import DEVICE, FakeDevice
from tiny import packed_rows, tiny_model, word_tokenizer

from course_lib.corpora import load, world_of
from course_lib.objectives import SpanCorruption
from course_lib.runtime import generator
from course_lib.studies import LIVE_SEED, causal, ladder, live, spans
from course_lib.studies.design import top_margin
from course_lib.studies.objectives import RECIPES
from course_lib.studies.writing import write
from course_lib.training import Recipe, Run, fresh_model
from course_lib.training.data import Batches, Prepared, tokenizer_of


def fresh(recipe: Recipe) -> Run:
    tokenizer = tokenizer_of(recipe)
    return Run(fresh_model(recipe, tokenizer).eval(), tokenizer, recipe, [])


def tiny(name: str, **changes: object) -> Run:
    shape = {"width": 16, "heads": 2, "layers": 1}
    return fresh(RECIPES[name].replace(**(shape | changes)))


def indifferent(run: Run) -> Run:
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.zero_()
    return run


@pytest.fixture(scope="module")
def writer():
    return tiny("causal", length=128)


def test_a_margin_is_positive_only_for_the_first():
    log_probs = torch.tensor([-3.0, -1.0, -2.0])
    assert top_margin(log_probs, 1) == pytest.approx(1.0)
    assert top_margin(log_probs, 2) == pytest.approx(-1.0)
    assert log_probs.tolist() == [-3.0, -1.0, -2.0]


def test_the_floor_is_the_worlds_own_loss_on_the_very_texts_that_the_model_reads(writer):
    found = causal.floor_gap(indifferent(tiny("causal", length=128)), documents=20)
    assert found["loss"] == pytest.approx(math.log(len(writer.tokenizer)), rel=1e-5)
    texts = load("world", "test", documents=20)["text"]
    tokens = sum(len(ids) for ids in writer.tokenizer(list(texts))["input_ids"])
    nats = -sum(map(world_of("world").log_prob, texts))
    assert found["floor"] == pytest.approx(nats / tokens)
    assert 0 < found["floor"] < found["loss"]


def test_a_question_is_answered_only_if_every_token_of_the_answer_is_the_likeliest(
    writer, monkeypatch
):
    assert ladder.share_answered(indifferent(tiny("causal", length=128)), examples=20) == 0
    monkeypatch.setattr(ladder, "world_of", lambda name: world_of("world-finance"))
    tokenizer = writer.tokenizer

    class Knowing(torch.nn.Module):
        device = torch.device("cpu")

        def __init__(self, but_the_last):
            super().__init__()
            self.but_the_last = but_the_last

        def forward(self, input_ids):
            """Logits of a model that has read the next token."""
            logits = torch.nn.functional.one_hot(input_ids.roll(-1, 1), len(tokenizer)).float()
            if self.but_the_last:
                logits[:, -2] = logits[:, -2].roll(1, -1)
            return type("Output", (), {"logits": logits})

    for but_the_last, share in ((False, 1.0), (True, 0.0)):
        run = Run(Knowing(but_the_last), tokenizer, writer.recipe, [])
        assert ladder.share_answered(run, examples=20) == share


def test_the_marks_of_a_target_are_its_sentinels_and_its_end_and_all_else_was_cut(monkeypatch):
    tokenizer, model = word_tokenizer("t5"), tiny_model("t5").eval()
    objective = SpanCorruption.from_tokenizer(tokenizer, rate=0.3)
    rows = packed_rows("t5", 12, 24, "marks")
    batches = [objective(part, generator("marks", n)) for n, part in enumerate(rows.split(4))]
    prepared = Prepared(tokenizer, Batches([rows], objective, 4, 0), batches)
    monkeypatch.setattr(spans, "prepare", lambda recipe: prepared)
    found = spans.loss_by_token(Run(model, tokenizer, RECIPES["span"], []))
    cut, marks = [], []
    for batch in batches:
        for row, losses in zip(batch["labels"], spans.token_losses(model, batch), strict=True):
            # The end also stands between documents, where it is cut out like any other token.
            for place, (token, loss) in enumerate(zip(row.tolist(), losses.tolist(), strict=True)):
                last = place == len(row) - 1
                (marks if last or token in objective.sentinel_ids else cut).append(loss)
    assert found["cut_loss"] == pytest.approx(sum(cut) / len(cut), rel=1e-5)
    assert found["mark_loss"] == pytest.approx(sum(marks) / len(marks), rel=1e-5)
    assert len(marks) < len(cut)


def test_spans_are_the_texts_behind_each_sentinel():
    tokenizer = tokenizer_of(RECIPES["span"])
    question = spans.cat_question(tokenizer)
    assert spans.spans_of(tokenizer, question["labels"][0].tolist()) == ["sat", "mat", ""]
    assert "cat" in tokenizer.decode(question["input_ids"][0])
    assert "sat" not in tokenizer.decode(question["input_ids"][0])
    assert spans.spans_of(tokenizer, [tokenizer.eos_token_id, *question["labels"][0]]) == []


@pytest.mark.parametrize("task", ["translation", "reading"])
def test_no_pair_that_is_tested_was_trained_on(task):
    train, test = spans.task_pairs(task, seed=3, test_pairs=20)
    assert len(train) == spans.PAIRS
    assert len(test) == 20
    assert not set(train["source"]) & set(test["source"])
    again = spans.task_pairs(task, seed=4, test_pairs=20)
    assert again[0]["source"][:] != train["source"][:]


def test_the_readers_run_has_its_own_seed_and_reads_no_more_than_it_needs():
    recipe = causal.CAUSAL_WORLD
    mine = live(recipe, 40)
    assert (mine.seed, mine["steps"], mine["warmup"]) == (LIVE_SEED, 40, min(recipe["warmup"], 40))
    needed = 40 * recipe["batch"] * recipe["length"] / 50
    assert needed - 1 <= mine["documents"] <= max(300, needed)
    assert live(recipe, 10**6)["documents"] == recipe["documents"]
    assert (
        mine.replace(
            **{k: recipe[k] for k in ("seed", "steps", "warmup", "documents", "evaluate_every")}
        )
        == recipe
    )


def test_what_is_written_lies_on_the_models_device():
    run = tiny("causal", length=12)
    here = write(run, 3)
    with FakeDevice() as device:
        run.model.to(DEVICE)
        assert write(run, 3) == here
    assert device.operations


def test_every_rung_reads_its_tokens_once_and_batches_grow_with_the_run():
    for width, tokens in [(8, 125_000), (64, 1_000_000), (24, 4_000_000)]:
        recipe = ladder.rung(width, tokens)
        read = recipe["steps"] * recipe["batch"] * recipe["length"]
        assert read == pytest.approx(tokens, rel=0.02)
        assert recipe["documents"] * ladder.TOKENS_A_DOCUMENT == pytest.approx(tokens, rel=0.01)
    assert ladder.rung(8, 1_000_000)["batch"] == 8
    assert ladder.rung(8, 4_000_000)["batch"] == 16
