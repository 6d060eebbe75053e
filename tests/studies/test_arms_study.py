"""Guards the arms of notebook 04: one body, two masks, branches that are whole runs.

Also that the questions are fair, and that the record is whole.

pytest tests/studies/test_arms_study.py
"""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from course_lib.corpora import world_of
from course_lib.models import unfuse_attention
from course_lib.objectives.loss import kind_of, summed_loss
from course_lib.runtime.errors import CourseError
from course_lib.studies import arms, arms_tasks, arms_writing, one_body
from course_lib.studies.arms_tasks import gaps, labelled, prior_right, tuned
from course_lib.studies.design import LIVE_SEED, SEEDS
from course_lib.studies.one_body import (
    ARMS,
    LENGTH,
    OBJECTIVES,
    PRICES,
    UNIT,
    fresh_body,
    prices_of,
    read_text,
    step_flops,
    steps_for,
)
from course_lib.training import Optimization

SMALL = 0.06  # of a unit


@pytest.fixture(scope="module")
def text():
    return read_text(600)


@pytest.fixture(scope="module")
def bodies(text):
    return {objective: fresh_body(text.tokenizer, objective, 1).eval() for objective in OBJECTIVES}


# ---------------------------------------------------------------- one body


def test_both_objectives_start_from_the_same_weights(bodies):
    masked, causal = (bodies[objective].state_dict() for objective in OBJECTIVES)
    assert masked.keys() == causal.keys()
    assert all(torch.equal(masked[name], causal[name]) for name in masked)


@pytest.mark.parametrize("padded", [False, True])
def test_a_causal_body_sees_the_left_and_a_masked_one_both_sides(text, bodies, padded):
    rows = text.rows[torch.arange(2)]
    changed = rows.clone()
    changed[:, 20] = (rows[:, 20] + 1) % 100 + 100
    options = {"attention_mask": torch.ones_like(rows)} if padded else {}
    if padded:
        options["attention_mask"][:, -5:] = 0
    for objective, body in bodies.items():
        with torch.no_grad():
            here, there = (body(ids, use_cache=False, **options).logits for ids in (rows, changed))
        moved = (here - there).abs().amax(dim=(0, 2)) > 1e-5
        assert moved[20:40].any()
        assert bool(moved[:20].any()) == (objective == "masked")


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_formula_counts_what_pytorch_counts(text, objective):
    body = fresh_body(text.tokenizer, objective, 1)
    unfuse_attention(body)
    batch = text.batches(objective, 1)(0)
    with FlopCounterMode(display=False) as counter:
        summed_loss(body, batch).backward()
    assert counter.get_total_flops() == pytest.approx(step_flops(objective), rel=0.05)


def test_every_arm_pays_the_same_at_a_price():
    for price in PRICES:
        for objective in OBJECTIVES:
            paid = steps_for(objective, price) * step_flops(objective)
            assert paid == pytest.approx(price * UNIT, rel=0.02)
    longest = steps_for("masked", max(PRICES)) * one_body.BATCH
    assert longest < len(read_text().rows), "a row would be read twice"


def test_a_branch_is_the_run_of_that_price_alone(text, monkeypatch):
    settings_for = one_body.settings_for  # such short runs have no time for fifty steps of warm-up
    monkeypatch.setattr(
        one_body, "settings_for", lambda *what: settings_for(*what).replace(warmup=1)
    )
    together = list(prices_of(text, 1, (SMALL, 2 * SMALL)))
    assert {(arm, price) for arm, price, _, _ in together} == {
        (arm, price) for arm in ARMS for price in (SMALL, 2 * SMALL)
    }
    for arm in ARMS:
        [(_, _, alone, losses)] = prices_of(text, 1, (2 * SMALL,), (arm,))
        [(branch, seen)] = [(m, s) for a, p, m, s in together if (a, p) == (arm, 2 * SMALL)]
        assert seen == losses
        for mine, its in zip(branch.parameters(), alone.parameters(), strict=True):
            assert torch.equal(mine, its)


def test_the_third_arm_ends_as_a_masked_model_that_began_as_a_causal_one(text):
    [(arm, _, model, losses)] = prices_of(text, 1, (SMALL,), ARMS[2:])
    assert (arm, kind_of(model)) == (ARMS[2], "masked")
    causal = int(0.5 * steps_for("causal", SMALL))
    assert len(losses) == causal + steps_for("masked", SMALL / 2)


# ---------------------------------------------------------------- what is asked


def test_each_text_is_asked_twice_and_its_answer_stands_on_the_side_that_it_says(text):
    asked = gaps(20)
    assert {gap.kind for gap in asked} == {"article", "name"}
    for right, left in zip(asked[::2], asked[1::2], strict=True):
        assert (right.side, left.side, right.kind) == ("right", "left", left.kind)
        whole = right.text.replace("{}", right.words[0])
        assert whole == left.text.replace("{}", left.words[0])
        assert len(text.tokenizer(whole)["input_ids"]) <= LENGTH
        if right.kind == "article":
            assert set(right.words) == {"a", "an"}
            [noun, other] = left.words
            assert right.text[right.text.index("{}") :].startswith(f"{{}} {noun}")
            assert noun != other
        else:
            assert len(set(right.words)) == arms_tasks.NAMES
            name = right.words[0]
            assert right.text.index("{}") < right.text.index(name)
            assert left.text.index(name) < left.text.index("{}")
            assert not any(other in whole for other in right.words[1:])
    articles = [gap.words[0] for gap in asked if gap.kind == "article" and gap.side == "right"]
    assert 0.3 < articles.count("an") / len(articles) < 0.7
    assert 0 < prior_right(20) < 0.5


def test_gap_scores_are_right_for_a_model_that_knows_names_alone(text, bodies, monkeypatch):
    def copier(model, tokenizer, texts, words, context):
        return torch.tensor([[float(word in texts[0].split()) for word in words]])

    monkeypatch.setattr(arms_tasks, "candidate_log_probs", copier)
    found = arms_tasks.gap_scores(bodies["causal"], text, 10)
    assert found.keys() == {
        f"{way}_{kind}_{side}"
        for kind in ("article", "name")
        for way, side in (("guessed", "left"), ("guessed", "right"), ("ranked", "right"))
    }
    assert found["ranked_name_right"] == found["guessed_name_left"] == 1.0
    assert found["ranked_article_right"] < 1.0
    assert len(arms_tasks.gap_scores(bodies["masked"], text, 10)) == 4


@pytest.mark.parametrize("task", arms_tasks.TASKS)
def test_a_head_keeps_the_bodys_mask_and_no_text_is_cut(text, bodies, task):
    try:
        rows = labelled(task, 20, 1)
    except CourseError as missing:
        pytest.skip(str(missing))
    encoded = arms_tasks.TASKS[task].encode(rows, text.tokenizer).encoded
    assert max(len(example["input_ids"]) for example in encoded) <= LENGTH
    few = Optimization(steps=1, batch=4, warmup=0)
    for objective, body in bodies.items():
        model = tuned(body, text, task, 1, few)
        assert all(
            part.is_causal == (objective == "causal")
            for part in model.modules()
            if hasattr(part, "is_causal")
        )
        said, right = arms_tasks.predictions(model, text, task, rows)
        assert len(said) == len(right) >= 20


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_each_arm_writes_and_the_seed_decides(text, bodies, objective):
    texts = [arms_writing.write(bodies[objective], text, 3, seed) for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]
    assert [len(some) for some in texts] == [3] * 3


def test_what_the_world_writes_is_well_formed():
    found = arms_writing.well_formed(world_of(one_body.CORPUS).documents(40, seed=3))
    assert all(fits for _, fits in found)
    assert arms_writing.well_formed(["The cat sats on the mat."])[0][1] is False


# ---------------------------------------------------------------- the record


def test_each_arm_is_on_record_at_each_price_with_five_seeds():
    for arm in ARMS:
        for price in PRICES:
            found = arms.recorded(arm=arm, price=price)
            assert [one["seed"] for one in found] == list(SEEDS)
            assert LIVE_SEED not in SEEDS
    assert len(arms.recorded(arm="controls")) == len(SEEDS)
    with pytest.raises(CourseError, match=r"arms\.jsonl has no line"):
        arms.recorded(arm="masked", price=3)


@pytest.mark.records
def test_a_recorded_model_can_be_made_again():
    text, price = read_text(), PRICES[0]
    for arm, _, model, _ in prices_of(text, 0, (price,)):
        [one] = [o for o in arms.recorded(arm=arm, price=price) if o["seed"] == 0]
        loss = arms.held_out_loss(model, text)
        assert loss == pytest.approx(one["measurements"]["loss"], abs=0.05)
