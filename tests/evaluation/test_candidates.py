"""Guards the ranking of words for a gap: each kind of model is asked what it should be asked.

pytest tests/evaluation/test_candidates.py
"""

import copy

import pytest
import torch
from tokenizers import processors

from course_lib.corpora import World, load, train_tokenizer
from course_lib.corpora.world.tasks import cloze as gaps
from course_lib.evaluation import candidate_log_probs, document_losses, sequence_log_prob
from course_lib.evaluation.likelihood import candidates
from course_lib.generation import cloze
from course_lib.objectives.loss import target_losses

TEXTS = [
    "The cat sat on the {}.",
    "In {} lives Ivo Alder, a baker.",
    "{} eats fish, and so it goes.",
]
WORDS = ["mat", "cat", "dog", "rug", "The"]
FAMILIES = ("bert", "gpt2", "t5")


@pytest.fixture(scope="module")
def tokenizers():
    texts = load("world", documents=300)["text"]
    return {family: train_tokenizer(family, texts, vocab_size=768) for family in FAMILIES}


@pytest.fixture(scope="module")
def models(tokenizers, make):
    return {family: make(family, tokenizers[family], length=64) for family in FAMILIES}


def scores(models, tokenizers, family, texts=TEXTS, words=WORDS, **options):
    return candidate_log_probs(models[family], tokenizers[family], texts, words, **options)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_row_is_a_distribution_and_candidates_may_come_in_any_order(
    models, tokenizers, family
):
    found = scores(models, tokenizers, family)
    assert found.shape == (len(TEXTS), len(WORDS))
    torch.testing.assert_close(found.exp().sum(1), torch.ones_like(found[:, 0]))
    turned = scores(models, tokenizers, family, words=WORDS[::-1])
    torch.testing.assert_close(turned.flip(1), found, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_other_texts_in_the_batch_and_batches_change_nothing(
    models, tokenizers, family, monkeypatch
):
    together = scores(models, tokenizers, family)
    monkeypatch.setattr(candidates, "_BATCH", 2)
    for row, text in enumerate(TEXTS):
        alone = scores(models, tokenizers, family, texts=[text])
        torch.testing.assert_close(alone, together[row : row + 1], atol=1e-4, rtol=1e-4)


def test_masked_is_what_the_mask_says(models, tokenizers):
    model, tokenizer = models["bert"], tokenizers["bert"]
    text = TEXTS[0]
    found = cloze(model, tokenizer, [text.format(tokenizer.mask_token)], k=len(tokenizer))
    by_word = found.drop_duplicates("token").set_index("token")["probability"]
    wanted = torch.tensor([by_word[word] for word in WORDS], dtype=torch.float64)
    torch.testing.assert_close(
        scores(models, tokenizers, "bert", [text])[0].exp(), wanted / wanted.sum()
    )


def test_causal_ranks_by_the_whole_text(models, tokenizers):
    model, tokenizer = models["gpt2"], tokenizers["gpt2"]
    for text in TEXTS:
        filled = [text.format(word) for word in WORDS]
        nats = torch.tensor(document_losses(model, tokenizer, filled)["nats"].to_numpy())
        found = scores(models, tokenizers, "gpt2", [text])[0]
        torch.testing.assert_close(found, (-nats).log_softmax(0), atol=1e-4, rtol=1e-4)


def test_causal_left_is_what_it_would_write_and_does_not_see_the_right(models, tokenizers):
    model, tokenizer = models["gpt2"], tokenizers["gpt2"]
    left, other = "The cat sat on the {}.", "The cat sat on the {}, and nobody was angry."
    direct = [sequence_log_prob(model, tokenizer, left[:18], f" {word}") for word in WORDS]
    found = scores(models, tokenizers, "gpt2", [left, other], context="left")
    torch.testing.assert_close(
        found[0], torch.tensor(direct, dtype=torch.float64).log_softmax(0), atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-4)
    both = scores(models, tokenizers, "gpt2", [left, other])
    assert (both[0] - both[1]).abs().max() > 1e-2


def test_seq2seq_is_the_loss_behind_the_sentinel(models, tokenizers):
    model, tokenizer = models["t5"], tokenizers["t5"]
    sentinel = tokenizer.convert_tokens_to_ids("<extra_id_0>")
    nats = []
    for word in WORDS:
        inside = tokenizer(f"The cat sat on the {word}.")["input_ids"]
        before = len(tokenizer("The cat sat on the")["input_ids"]) - 1
        after = len(tokenizer(f"The cat sat on the {word}")["input_ids"]) - 1
        batch = {
            "input_ids": torch.tensor([[*inside[:before], sentinel, *inside[after:]]]),
            "labels": torch.tensor([[sentinel, *inside[before:after]]]),
        }
        nats.append(target_losses(model, batch).nansum())
    found = scores(models, tokenizers, "t5", TEXTS[:1])[0]
    wanted = (-torch.stack(nats).detach()).log_softmax(0).double()
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_words_of_several_tokens_are_welcome_where_a_mask_is_not_needed(models, tokenizers, family):
    rows = gaps(World(), 4, seed=1)
    found = scores(
        models, tokenizers, family, rows["text"], [*sorted(set(rows["answer"])), "Zyzzyva"]
    )
    assert found.isfinite().all()


@pytest.mark.parametrize("context", ["both", "left"])
def test_a_tokenizer_that_opens_no_text_ranks_the_first_word_all_the_same(
    models, tokenizers, context
):
    """As GPT-2's own does not: its first token would go without a score."""
    model, tokenizer = models["gpt2"], tokenizers["gpt2"]
    bare = copy.deepcopy(tokenizer)
    bare.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    assert bare("The cat")["input_ids"] == tokenizer("The cat")["input_ids"][1:]
    texts = ["{} cat sat on the mat.", "The {} sat."]
    found, expected = (
        candidate_log_probs(model, one, texts, WORDS, context) for one in (bare, tokenizer)
    )
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert found[0].std() > 0.01
