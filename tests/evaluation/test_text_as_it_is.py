"""Guards how measurements and fine-tuning read text: one rule for all, whatever the tokenizer.

A special token that a text spells is plain text, and padding is told by the mask, not by its side.

pytest tests/evaluation/test_text_as_it_is.py
"""

import pytest
import torch
from datasets import Dataset
from measurements import TEXTS, assert_like, each, measurements, on_the_cpu
from tiny import closing_tokenizer, tiny_model

from course_lib.corpora import load, train_tokenizer
from course_lib.finetuning import EntityTask, SentimentTask, fine_tune, fine_tune_seq2seq
from course_lib.models import build
from course_lib.training import Optimization

SETTINGS = Optimization(steps=2, batch=4, warmup=0, learning_rate=1e-2)
READ = [measurement for measurement in measurements() if measurement.reads_text]


def left(family):
    tokenizer = closing_tokenizer(family)
    tokenizer.padding_side = tokenizer.truncation_side = "left"
    return tokenizer


@each(READ)
def test_a_tokenizer_that_pads_on_the_left_measures_the_same(measurement):
    model = tiny_model(measurement.family).eval()
    here = measurement.of(model, closing_tokenizer(measurement.family))
    assert_like(on_the_cpu(here), on_the_cpu(measurement.of(model, left(measurement.family))))


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
@pytest.mark.parametrize("task", ["text", "words"])
def test_a_tokenizer_that_pads_on_the_left_tunes_the_same(family, task, monkeypatch):
    rows = Dataset.from_dict(
        {
            "text": list(TEXTS),
            "label": [0, 1, 0],
            "tokens": [text.split() for text in TEXTS],
            "tags": [[0] * len(text.split()) for text in TEXTS],
        }
    )
    losses = []
    monkeypatch.setattr(
        "course_lib.finetuning.heads.label_loss",
        lambda model, batch: losses.append(seen_loss(model, batch)) or losses[-1],
    )
    wanted = SentimentTask() if task == "text" else EntityTask(3)
    for tokenizer in (closing_tokenizer(family), left(family)):
        fine_tune(tiny_model(family), tokenizer, wanted, rows, rows, SETTINGS)
    first, again = losses[: SETTINGS.steps], losses[SETTINGS.steps :]
    assert torch.equal(torch.stack(first), torch.stack(again))


def seen_loss(model, batch):
    from course_lib.objectives.labels import label_loss

    return label_loss(model, batch)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_a_tokenizer_that_pads_on_the_left_tunes_pairs_the_same(family):
    pairs = Dataset.from_dict({"source": list(TEXTS), "target": list(TEXTS[::-1])})
    tuned = [
        fine_tune_seq2seq(tiny_model(family), tokenizer, pairs, SETTINGS)
        for tokenizer in (closing_tokenizer(family), left(family))
    ]
    weights = [model.get_input_embeddings().weight for model in tuned]
    assert torch.equal(*weights)


# ---------------------------------------------------------------- special tokens that are spelled

FAMILIES = ("bert", "gpt2", "t5", "bart")
SPELLED = ("the [SEP] cat [CLS]", "a </s> dog <s> sat [MASK]", "<|endoftext|> cat <mask> sat <pad>")
PLAIN = ("the [dog] cat [sat]", "a (on) dog (at) sat [mat]", "(dog) cat (sat) sat (mat)")
WRITING = ("generate", "generate_targets")


@pytest.fixture(scope="module")
def tokenizers():
    texts = load("world", documents=300)["text"]
    return {family: train_tokenizer(family, texts, 512) for family in FAMILIES}


@pytest.fixture(scope="module")
def models(tokenizers):
    torch.manual_seed(0)
    shape = {"width": 16, "layers": 1, "heads": 2, "length": 128}
    return {family: build(family, tokenizers[family], **shape).eval() for family in FAMILIES}


def marks_read(measurement, model, tokenizer):
    """How often each special token stands in a row that the model reads, at the most."""
    rows = []

    def look(module, args, given):
        for name in ("input_ids", "decoder_input_ids"):
            if given.get(name) is not None:
                rows.extend(given[name].tolist())
                break  # of what it writes itself only the first step counts

    parts = [model, model.get_encoder()] if model.config.is_encoder_decoder else [model]
    handles = [part.register_forward_pre_hook(look, with_kwargs=True) for part in parts]
    try:
        measurement.of(model, tokenizer)
    finally:
        for handle in handles:
            handle.remove()
    if measurement.name in WRITING:
        rows = rows[: len(measurement.args[0]) if isinstance(measurement.args[0], list) else 1]
    marks = set(tokenizer.all_special_ids) - {tokenizer.pad_token_id, tokenizer.unk_token_id}
    return {mark: max(row.count(mark) for row in rows) for mark in marks}


@each(READ)
def test_special_tokens_that_a_text_spells_are_plain_text(measurement, models, tokenizers):
    number = [str(m) for m in measurements()].index(str(measurement))
    model, tokenizer = models[measurement.family], tokenizers[measurement.family]
    asks = measurement.name.startswith("cloze")  # there a mask is a gap
    read = []
    for texts in (SPELLED, PLAIN):
        texts = tuple(text.replace("[MASK]", "[SEP]") if asks else text for text in texts)
        read.append(marks_read(measurements(texts)[number], model, tokenizer))
    assert read[0] == read[1]


@pytest.mark.parametrize("task", [SentimentTask(), EntityTask(2)])
def test_labelled_texts_are_read_by_the_same_rule(task, tokenizers):
    for family, tokenizer in tokenizers.items():
        counts = []
        for texts in (SPELLED, PLAIN):
            rows = {"text": list(texts), "label": [0, 1, 0]}
            rows |= {"tokens": [text.split() for text in texts]}
            rows |= {"tags": [[0] * len(words) for words in rows["tokens"]]}
            encoded = task.encode(Dataset.from_dict(rows), tokenizer).encoded
            special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
            counts.append([sum(i in special for i in row["input_ids"]) for row in encoded])
        assert counts[0] == counts[1], family


def test_the_spelled_tokens_would_be_special_to_the_tokenizer_alone(tokenizers):
    """Otherwise the tests above would say little."""
    for family, tokenizer in tokenizers.items():
        inner = [ids[1:-1] for ids in tokenizer(list(SPELLED))["input_ids"]]
        found = set().union(*inner) & set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        assert found, family
