"""Guards fine-tuning with a new head: the body is reused, labels stand where they should.

pytest tests/finetuning/test_heads.py
"""

import pytest
import torch
from datasets import Dataset

from course_lib.corpora import World, load, train_tokenizer
from course_lib.corpora.world.tasks import TAGS, entities, sentiment
from course_lib.evaluation import f1
from course_lib.finetuning import EntityTask, SentimentTask, fine_tune, heads
from course_lib.finetuning.batches import random_batches
from course_lib.models import build
from course_lib.models.heads import with_head
from course_lib.objectives import Supervised
from course_lib.objectives.labels import label_logits
from course_lib.training import Optimization

SETTINGS = Optimization(steps=3, batch=4, warmup=0, learning_rate=1e-3)


FAMILIES = ("bert", "gpt2", "t5")  # an encoder, a decoder, and both together


@pytest.fixture(scope="module")
def tokenizers():
    texts = load("world", documents=300)["text"]
    return {family: train_tokenizer(family, texts, vocab_size=512) for family in FAMILIES}


@pytest.fixture(scope="module")
def bodies(tokenizers):
    shape = {"width": 16, "layers": 1, "heads": 2, "length": 128}
    torch.manual_seed(0)
    return {family: build(family, tokenizers[family], **shape) for family in FAMILIES}


@pytest.fixture(scope="module")
def tokenizer(tokenizers):
    return tokenizers["bert"]


@pytest.fixture(scope="module")
def body(bodies):
    return bodies["bert"]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_body_is_taken_over_weight_for_weight(bodies, family):
    model = with_head(bodies[family], labels=2, seed=0)
    ours, theirs = bodies[family].base_model.state_dict(), model.base_model.state_dict()
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    assert len(theirs) == len(ours) or family == "t5"  # whose decoder stays behind


def test_of_a_t5_the_whole_encoder_and_nothing_of_the_decoder_is_kept(bodies):
    kept = with_head(bodies["t5"], labels=2, seed=0).base_model.state_dict()
    encoder = {name for name in bodies["t5"].state_dict() if name.startswith("encoder.")}
    assert set(kept) == encoder | {"shared.weight"}


def test_the_head_follows_the_seed_and_fine_tuning_leaves_the_body_alone(body, tokenizer):
    heads = [with_head(body, 2, seed).classifier.weight for seed in (0, 0, 1)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    before = {name: tensor.clone() for name, tensor in body.state_dict().items()}
    data = sentiment(World(), 8)
    fine_tune(body, tokenizer, SentimentTask(), data, data, SETTINGS)
    assert all(torch.equal(tensor, before[name]) for name, tensor in body.state_dict().items())


@pytest.mark.parametrize("piece", ["first", "last"])
@pytest.mark.parametrize("family", FAMILIES)
def test_each_word_has_its_tag_once_at_one_end(tokenizers, family, piece):
    data, tokenizer = entities(World(), 60), tokenizers[family]
    encoded = EntityTask(len(TAGS), piece).encode(data, tokenizer)
    for row, words, tags in zip(encoded.encoded, data["tokens"], data["tags"], strict=True):
        tagged = [pair for pair in zip(*row.values(), strict=True) if pair[1] != -100]
        assert [tag for _, tag in tagged] == tags
        for word, (id, _) in zip(words, tagged, strict=True):
            text = tokenizer.convert_ids_to_tokens(id).strip("\u0120\u2581#")
            if not text.startswith("<0x"):  # a byte of a letter that the vocabulary lacks
                assert word.startswith(text) if piece == "first" else word.endswith(text)


def test_bert_reads_the_same_tokens_as_from_single_words(tokenizer):
    """The two ways agree for BERT, which keeps no spaces; for the others only one is right."""
    data = entities(World(), 60)
    encoded = EntityTask(len(TAGS)).encode(data, tokenizer)
    words = tokenizer(list(data["tokens"]), is_split_into_words=True)["input_ids"]
    assert [row["input_ids"] for row in encoded.encoded] == words


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_words_are_read_as_in_running_text(tokenizers, family):
    row = Dataset.from_dict({"tokens": [["The", "cat", "sat", "on", "it", "."]], "tags": [[0] * 6]})
    encoded = EntityTask(len(TAGS)).encode(row, tokenizers[family])
    read = tokenizers[family]("The cat sat on it.")["input_ids"]
    assert encoded.encoded[0]["input_ids"] == read


@pytest.mark.parametrize("family", FAMILIES)
def test_an_easy_task_is_learned(bodies, tokenizers, family):
    data = Dataset.from_dict(
        {"text": ["The cat sat on the mat.", "The dog sat on the rug."] * 8, "label": [0, 1] * 8}
    )
    settings = Optimization(steps=60, batch=8, warmup=5, learning_rate=5e-3)
    body, tokenizer = bodies[family], tokenizers[family]
    assert fine_tune(body, tokenizer, SentimentTask(), data, data, settings) == 1.0


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_has_no_say(bodies, tokenizers, family):
    """A text's logits are the same alone and beside a longer text."""
    texts = ["The cat sat.", "The dog sat on the rug, and nobody was angry."]
    pad = Supervised(tokenizers[family], text_labels=True)
    model = with_head(bodies[family], labels=2, seed=0).eval()
    data = Dataset.from_dict({"text": texts, "label": [0, 1]})
    examples = SentimentTask().encode(data, tokenizers[family]).encoded
    together, alone = (label_logits(model, pad(rows)) for rows in (examples, examples[:1]))
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=1e-5)


def test_the_same_seed_gives_the_same_score(body, tokenizer):
    data = sentiment(World(), 24)
    scores = [fine_tune(body, tokenizer, SentimentTask(), data, data, SETTINGS) for _ in range(2)]
    assert scores[0] == scores[1]


def test_macro_f1_is_of_the_whole_test_set_and_not_a_mean_over_batches(
    body, tokenizer, monkeypatch
):
    """Classes that are rare in a batch would weigh otherwise."""
    data = sentiment(World(), 40)
    scores = []
    for size in (3, 256):
        monkeypatch.setattr(heads, "_BATCH", size)
        scores.append(fine_tune(body, tokenizer, SentimentTask(), data, data, SETTINGS))
    assert scores[0] == scores[1]
    predicted = []

    def spy(given, right, average):
        predicted.append((given, right))
        return f1(given, right, average)

    monkeypatch.setattr(heads, "f1", spy)
    fine_tune(body, tokenizer, SentimentTask(), data, data, SETTINGS)
    [(given, right)] = predicted
    assert right == data["label"][:]
    assert len(given) == len(right)


def test_the_test_set_is_read_without_dropout(tokenizer, monkeypatch):
    torch.manual_seed(0)
    body = build("bert", tokenizer, width=16, layers=1, heads=2, length=128, dropout=0.5)
    data, modes = sentiment(World(), 8), []

    def spy(model, batch):
        modes.append((model.training, torch.is_grad_enabled()))
        return label_logits(model, batch)

    monkeypatch.setattr(heads, "label_logits", spy)
    fine_tune(body, tokenizer, SentimentTask(), data, data, SETTINGS)
    assert modes == [(False, False)]


def test_examples_of_a_step_follow_the_seed_and_the_step_and_nothing_else():
    draws = [random_batches(50, SETTINGS.replace(seed=seed)) for seed in (0, 0, 1)]
    first = [draws[0](step).tolist() for step in range(200)]
    assert [draws[1](step).tolist() for step in reversed(range(200))][::-1] == first
    assert [draws[2](step).tolist() for step in range(200)] != first
    assert len(set(map(tuple, first))) == 200
    counts = torch.bincount(torch.tensor(first).flatten(), minlength=50)
    assert (counts - 16).abs().max() < 5 * 16**0.5, "each example is drawn equally often"
    assert all(len(places) == SETTINGS.batch for places in first)
