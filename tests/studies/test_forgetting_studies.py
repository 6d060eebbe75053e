"""Guards the studies of forgetting and its cures: stages and mixings are those they name.

pytest tests/studies/test_forgetting_studies.py
"""

from functools import partial

import torch
from tiny import tiny_model

from course_lib.corpora.examples import load_pairs
from course_lib.studies import cures, forgetting
from course_lib.studies import kinds as kinds_study


def test_a_stage_changes_tasks_and_start_and_leaves_the_settings():
    first = forgetting.first_stage(3)
    then = forgetting.stage("x", {forgetting.NEW: 1}, "run:/elsewhere", 3)
    assert first.start == f"base:{forgetting.BASE}"
    assert [source.corpus for source in first.data.sources] == ["requests/sentiment"]
    assert [source.corpus for source in then.data.sources] == ["requests/translation"]
    assert then.optimization == first.optimization
    assert first.seed == 3


def test_the_control_of_steps_has_the_steps_of_together_and_the_rows_of_each_task():
    alone = cures.first_stage(0)
    for task in (cures.OLD, cures.NEW):
        slow = cures.slowly(task, 0)
        assert slow["steps"] == 2 * alone["steps"]
        assert slow["steps"] * slow["batch"] == alone["steps"] * alone["batch"]
        assert [source.corpus for source in slow.data.sources] == [f"requests/{task}"]
        assert (slow["learning_rate"], slow.start) == (alone["learning_rate"], alone.start)


def test_an_average_lies_between_and_changes_neither():
    old, new = tiny_model("gpt2"), tiny_model("gpt2")
    with torch.no_grad():
        for weight in new.parameters():
            weight.add_(1.0)
    before = [weight.clone() for weight in new.parameters()]
    middle = cures.averaged(old, new, 0.25)
    for a, b, m in zip(old.parameters(), new.parameters(), middle.parameters(), strict=True):
        assert torch.allclose(m, 0.25 * a + 0.75 * b, atol=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(before, new.parameters(), strict=True))


def test_single_rows_are_the_batch():
    batch = {"input_ids": torch.arange(6).view(3, 2), "labels": torch.arange(6, 12).view(3, 2)}
    rows = cures._single(batch)
    assert [row["labels"].shape for row in rows] == [(1, 2)] * 3
    assert torch.equal(torch.cat([row["input_ids"] for row in rows]), batch["input_ids"])


def test_facts_have_their_answer_first_and_three_others_of_the_kind():
    prompts, choices = forgetting._facts(40)
    assert len(prompts) == len(choices) > 10
    assert all(len(set(four)) == 4 for four in choices)


def test_kinds_never_seen_are_in_no_subset_and_every_subset_costs_the_same():
    recipes = {kinds_study.tuned_on(kinds) for kinds in kinds_study.SUBSETS}
    assert len(recipes) == 7
    assert len({(r["steps"], r["batch"]) for r in recipes}) == 1
    for recipe in recipes:
        corpora = {source.corpus for source in recipe.data.sources}
        assert not corpora & {f"requests/{task}" for task in kinds_study.NEVER}


def test_an_oracle_has_all_labels_in_order_and_its_reverse_none(monkeypatch):
    rows = load_pairs("requests/earnings", "test", documents=kinds_study.TEST)
    gold = dict(zip(rows["prompt"], rows["completion"], strict=True))

    def oracle(model, tokenizer, prompts, choices, template, sign=1):
        assert template == "plain"
        return [
            sign * torch.tensor([float(choice == gold[prompt]) for choice in four])
            for prompt, four in zip(prompts, choices, strict=True)
        ]

    for sign, share, nats in ((1, 1.0, -1.0), (-1, 0.0, 1.0)):
        for module in (kinds_study, forgetting):
            monkeypatch.setattr(module, "choice_log_probs", partial(oracle, sign=sign))
        assert forgetting.ranked(None, None, "earnings") == share
        assert kinds_study.nats_of_answers(None, None, "earnings") == nats
