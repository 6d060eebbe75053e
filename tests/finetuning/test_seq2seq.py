"""Guards fine-tuning on pairs of texts: what the decoder is asked for, and a copy that learns it.

pytest tests/finetuning/test_seq2seq.py
"""

import pytest
import torch
from datasets import Dataset
from tiny import WORDS, closing_tokenizer, documents, tiny_model

from course_lib.corpora import World, encode_pairs, load, train_tokenizer
from course_lib.corpora.pairs import without_padding
from course_lib.corpora.world import translation
from course_lib.evaluation import teacher_forcing
from course_lib.finetuning import fine_tune_seq2seq
from course_lib.generation import generate_targets
from course_lib.objectives.loss import loss_sum
from course_lib.training import Optimization

FAMILIES = ["t5", "bart"]
SETTINGS = Optimization(steps=3, batch=4, warmup=0, learning_rate=1e-3)
PAIRS = Dataset.from_dict({"source": documents(16, "source"), "target": documents(16, "target")})


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("family", FAMILIES)
def test_labels_are_the_target_with_its_end_and_nothing_at_padding(family):
    tokenizer = train_tokenizer(family, load("world", documents=300)["text"], vocab_size=512)
    pairs = translation(World(), 30)
    batch = encode_pairs(tokenizer, pairs["source"], pairs["target"])
    for row, pair in enumerate(pairs):
        seen = batch["attention_mask"][row].bool()
        ids = batch["input_ids"][row][seen]
        assert tokenizer.decode(ids, skip_special_tokens=True) == pair["source"]
        labels = batch["labels"][row]
        asked = labels[labels != -100]
        assert tokenizer.decode(asked, skip_special_tokens=True) == pair["target"]
        assert asked[-1] == tokenizer.eos_token_id
        assert (asked == tokenizer.eos_token_id).sum() == 1
        assert (labels[len(asked) :] == -100).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_decoder_reads_its_start_and_then_the_target_but_for_its_last_token(family):
    model, tokenizer = tiny_model(family), closing_tokenizer(family)
    labels = encode_pairs(tokenizer, ["the cat", "a"], ["a dog ran .", "the cat"])["labels"]
    read = model.prepare_decoder_input_ids_from_labels(labels)
    assert (read[:, 0] == model.config.decoder_start_token_id).all()
    shifted = labels[:, :-1].masked_fill(labels[:, :-1] == -100, tokenizer.pad_token_id)
    assert torch.equal(read[:, 1:], shifted)


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_that_all_rows_share_can_go(family):
    model, tokenizer = tiny_model(family).eval(), closing_tokenizer(family)
    batch = encode_pairs(tokenizer, PAIRS["source"], PAIRS["target"])
    rows = {
        name: value[batch["attention_mask"].sum(dim=1).argsort()[:4]]
        for name, value in batch.items()
    }
    short = without_padding(rows)
    assert short["input_ids"].shape[1] < rows["input_ids"].shape[1]
    with torch.no_grad():
        (loss, count), (again, same) = loss_sum(model, rows), loss_sum(model, short)
    assert count == same
    assert loss.item() == pytest.approx(again.item(), rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_copy_is_trained_and_the_seed_decides_it(family):
    model, tokenizer = tiny_model(family, dropout=0.1), closing_tokenizer(family)
    before = weights(model)
    runs = [
        fine_tune_seq2seq(
            model, tokenizer, PAIRS, Optimization(steps=3, batch=4, warmup=0, seed=seed)
        )
        for seed in (0, 0, 1)
    ]
    assert equal(before, weights(model))
    assert equal(weights(runs[0]), weights(runs[1]))
    assert not equal(weights(runs[0]), weights(runs[2]))
    assert not any(run.training for run in runs)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_easy_task_is_learned_until_the_model_writes_it_by_itself(family):
    """Answer a word with another, and stop."""
    words = WORDS[3:9]
    pairs = Dataset.from_dict({"source": words, "target": words[::-1]})
    model, tokenizer = tiny_model(family), closing_tokenizer(family)
    # A BART of this size learns it with AdamW from few seeds, with Muon from 21 of 22 tried.
    settings = Optimization(steps=300, batch=12, warmup=10, optimizer="muon", learning_rate=3e-2)
    history = []
    tuned = fine_tune_seq2seq(model, tokenizer, pairs, settings, callback=history.append)
    assert (
        generate_targets(tuned, tokenizer, pairs["source"], max_new_tokens=4) == pairs["target"][:]
    )
    scores = teacher_forcing(tuned, tokenizer, pairs["source"], pairs["target"]).sum()
    assert scores.right == scores.tokens
    assert history[-1]["step"] == settings.steps
