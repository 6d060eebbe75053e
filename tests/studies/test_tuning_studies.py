"""Guards the studies of fine-tuning: conditions differ in one thing, mistakes are those they name.

pytest tests/studies/test_tuning_studies.py
"""

import pytest
import torch
from tiny import word_tokenizer

from course_lib.corpora import NO_TARGET
from course_lib.objectives.supervised import Supervised
from course_lib.studies import instructions, reminders, tuning, weighed
from course_lib.training.checkpoint import differences


def test_conditions_on_the_real_model_differ_in_what_their_names_say():
    told = {
        name: sorted(
            line.split(" ")[0].split(":")[0]
            for line in differences(tuning.TUNED.to_dict(), recipe.to_dict())
            if "name" not in line
        )
        for name, recipe in tuning.CONDITIONS.items()
    }
    assert told["tuned"] == []
    assert all("data" in line for line in told["replayed"])
    assert all("adapter" in line or "learning_rate" in line for line in told["lora"])


def test_a_quarter_of_the_examples_are_the_models_own_answers():
    reviews, own = tuning.REPLAYED.data.sources
    assert (reviews.corpus, own.corpus) == ("reviews/film", "own-answers/smollm2")
    assert own.weight / (own.weight + reviews.weight) == 0.25
    assert reviews.documents == tuning.TUNED.data.sources[0].documents


def test_reminders_differ_from_the_first_replay_in_the_data_alone():
    old, new = tuning.REPLAYED, reminders.REMINDED
    reviews, own = new.data.sources
    assert (reviews.corpus, own.corpus) == ("reviews/film", "own-answers/smollm2-brief")
    assert own.weight / (own.weight + reviews.weight) == 1 / new["batch"]
    assert reviews.documents == old.data.sources[0].documents
    assert new.optimization == old.optimization


def test_the_weighed_arm_adds_to_the_plain_one_and_takes_nothing():
    plain, new = tuning.TUNED, weighed.WEIGHED
    reviews, own = new.data.sources
    share = reviews.weight / (reviews.weight + own.weight)
    assert new["batch"] * share == plain["batch"]
    assert reviews.corpus == plain.data.corpus
    assert reviews.documents == plain.data.documents
    assert own.corpus == reminders.REMINDED.data.sources[1].corpus
    assert new.optimization.replace(batch=plain["batch"]) == plain.optimization


def test_a_lead_is_the_distance_to_the_best_wrong_choice():
    scores = torch.tensor([-1.0, -3.0, -0.5, -9.0])
    assert tuning._lead(scores, 2) == pytest.approx(0.5)
    assert tuning._lead(scores, 1) == pytest.approx(-2.5)


def test_a_limit_takes_questions_of_all_kinds():
    assert tuning._stride(218, None) == 1
    assert len(range(0, 218, tuning._stride(218, 12))) >= 12


def test_the_fresh_model_is_the_base_but_for_its_weights():
    base = instructions.recipe(instructions.BASE)
    assert instructions.FRESH.model == base.model
    assert instructions.FRESH.data.tokenizer == base.data.sources[0].corpus
    assert instructions.FRESH.data.vocab_size == base.data.vocab_size
    assert instructions.FRESH.data.mixture == instructions.TUNED.data.mixture
    assert instructions.FRESH.optimization == instructions.TUNED.optimization


def test_sizes_change_the_number_of_examples_of_every_task_and_nothing_else():
    small = instructions.with_examples(instructions.TUNED, 10)
    assert {source.documents for source in small.data.mixture} == {10}
    whole = small.replace(
        mixture=[source.model_dump() for source in instructions.TUNED.data.mixture]
    )
    assert whole == instructions.TUNED


@pytest.fixture
def batch():
    """Two rows, "the cat | sat on </s>" and "dog | ran </s>", padded with the end token."""
    tokenizer = word_tokenizer("gpt2")
    end = tokenizer.eos_token_id
    tokenizer.pad_token = tokenizer.eos_token
    rows = []
    for prompt, completion in (("the cat", "sat on"), ("dog", "ran")):
        asked, answer = (tokenizer(text)["input_ids"] for text in (prompt, completion))
        labels = [NO_TARGET] * len(asked) + [*answer, end]
        rows.append({"input_ids": [*asked, *answer, end], "labels": labels})
    return Supervised(tokenizer)(rows), tokenizer


def test_prompts_in_the_loss_are_all_that_is_not_padding(batch):
    batch, tokenizer = batch
    changed = instructions.prompts_in_the_loss(batch, tokenizer)
    assert (changed["labels"] != NO_TARGET).sum(dim=1).tolist() == [5, 3]
    kept = changed["labels"] != NO_TARGET
    assert torch.equal(changed["labels"][kept], batch["input_ids"][kept])


def test_an_end_outside_the_loss_is_the_only_target_that_is_gone(batch):
    batch, tokenizer = batch
    changed = instructions.end_outside_the_loss(batch, tokenizer)
    assert (changed["labels"] != NO_TARGET).sum(dim=1).tolist() == [2, 1]
    assert tokenizer.eos_token_id not in changed["labels"]
    assert (batch["labels"] == tokenizer.eos_token_id).sum() == 2, "the batch itself is as it was"


def test_cut_rows_end_where_they_are_cut(batch, monkeypatch):
    monkeypatch.setattr(instructions, "CUT", 3)
    batch, tokenizer = batch
    changed = instructions.rows_cut(batch, tokenizer)
    assert {values.shape[1] for values in changed.values()} == {3}
    assert (changed["labels"] != NO_TARGET).sum(dim=1).tolist() == [1, 2]


def test_scores_are_one_for_the_gold_and_nothing_for_nothing():
    gold = ["The cat is black and has a young.", "The dog lives in Alder and is loud."]
    for task in instructions.TASKS:
        assert instructions.score(task, gold, gold) == pytest.approx(1)
        assert instructions.score(task, ["", ""], gold) == 0


def test_a_request_is_asked_in_its_frame():
    tokenizer = word_tokenizer("gpt2")
    asked = []

    def note(model, tokenizer, prompts, **options):
        asked.append(prompts)
        return [""] * len(prompts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instructions, "answers", note)
        prompts, _, gold = instructions.ask(None, tokenizer, "translation", 3)
        instructions.ask(None, tokenizer, "translation", 3, frame="Do this: {} Now.")
        instructions.ask(None, tokenizer, "translation", 3, unseen=True)
    assert len(prompts) == len(gold) == 3
    assert asked[0] == prompts
    assert asked[1] == [f"Do this: {prompt} Now." for prompt in prompts]
    assert not set(asked[2]) & set(prompts)
