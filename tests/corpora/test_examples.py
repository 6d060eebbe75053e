"""Guards examples with an answer: the border of the loss, both sides of a pair, files, labels.

pytest tests/corpora/test_examples.py
"""

import json
from itertools import chain

import pytest
import torch

from course_lib.corpora import (
    encode,
    encode_pairs,
    load,
    load_examples,
    load_labelled,
    load_pairs,
    train_tokenizer,
)
from course_lib.corpora.examples import TASKS
from course_lib.corpora.world.tasks import TAGS
from course_lib.evaluation import sequence_log_prob
from course_lib.models import build
from course_lib.objectives import Supervised, summed_loss
from course_lib.runtime import CourseError
from course_lib.runtime.packaged import packaged

SPLITS = ("train", "validation", "test")
LONG = 4000  # tokens: nothing here is longer


@pytest.fixture(scope="module")
def tokenizers():
    texts = load("world", documents=300)["text"]
    return {f: train_tokenizer(f, texts, 512) for f in ("bert", "gpt2", "t5", "bart")}


def written(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return f"file:{path}"


PAIRS = [{"prompt": f"question {n}?", "completion": f"answer {n}"} for n in range(200)]


# ---------------------------------------------------------------- prompts and completions


@pytest.mark.parametrize("template", ["plain", "alpaca"])
def test_one_row_has_its_loss_exactly_from_the_border_on(tokenizers, template):
    tokenizer = tokenizers["gpt2"]
    pairs = load_pairs("world/translation", documents=20)
    found = load_examples(
        "world/translation", "train", tokenizer, documents=20, length=LONG, template=template
    )
    for row, pair in zip(found.encoded, pairs, strict=True):
        asked = [label != -100 for label in row["labels"]]
        border = asked.index(True)
        assert all(asked[border:])
        assert row["labels"][border:] == row["input_ids"][border:]
        assert row["labels"][-1] == tokenizer.eos_token_id
        before = tokenizer.decode(row["input_ids"][:border], skip_special_tokens=True)
        after = tokenizer.decode(row["input_ids"][border:-1])
        assert after.removeprefix(" ") == pair["completion"]
        assert before.endswith(pair["prompt"] if template == "plain" else "### Response:\n")


def test_the_loss_of_a_row_is_minus_the_log_probability_of_the_completion_and_its_end(tokenizers):
    tokenizer = tokenizers["gpt2"]
    torch.manual_seed(0)
    model = build("gpt2", tokenizer, width=16, layers=2, heads=2, length=256).eval()
    pairs = load_pairs("world/translation", documents=4)
    found = load_examples("world/translation", "train", tokenizer, documents=4, length=LONG)
    for row, pair in zip(found.encoded, pairs, strict=True):
        with torch.no_grad():
            nats = summed_loss(model, Supervised(tokenizer)([row])).item()
            closed = model(torch.tensor([row["input_ids"][:-1]])).logits[0, -1].log_softmax(-1)
        words = sequence_log_prob(model, tokenizer, pair["prompt"], f" {pair['completion']}")
        assert -nats == pytest.approx(words + closed[tokenizer.eos_token_id].item(), rel=1e-4)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_two_rows_are_what_the_familys_own_tokenizer_gives(tokenizers, family):
    """T5 closes a source with </s>, BART also opens it with <s>; so do their targets."""
    tokenizer = tokenizers[family]
    pairs = load_pairs("world/translation", documents=20)
    found = load_examples(
        "world/translation", "train", tokenizer, documents=20, length=LONG, kind="seq2seq"
    )
    assert [row["input_ids"] for row in found.encoded] == encode(list(pairs["prompt"]), tokenizer)
    batch = encode_pairs(tokenizer, list(pairs["prompt"]), list(pairs["completion"]))
    for row, labels in zip(found.encoded, batch["labels"].tolist(), strict=True):
        assert row["labels"] == [label for label in labels if label != -100]
    assert found.encoded[0]["input_ids"][-1] == tokenizer.eos_token_id
    opened = found.encoded[0]["input_ids"][0] == tokenizer.bos_token_id
    assert opened == (family == "bart")


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_two_rows_in_a_template_are_closed_once(tokenizers, family):
    tokenizer = tokenizers[family]
    found = load_examples(
        "world/questions",
        "train",
        tokenizer,
        documents=5,
        length=LONG,
        template="alpaca",
        kind="seq2seq",
    )
    for row in found.encoded:
        assert row["input_ids"].count(tokenizer.eos_token_id) == 1
        assert row["input_ids"][-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("task", [task for task in TASKS if task != "entities"])
def test_every_task_of_the_world_is_a_set_of_pairs(task):
    pairs = load_pairs(f"world/{task}", documents=12)
    assert pairs.column_names[:2] == ["prompt", "completion"]
    assert len(pairs) == 12
    assert all(pair["prompt"].strip() and pair["completion"].strip() for pair in pairs)


def test_a_label_as_a_word_is_the_right_one():
    labelled = load_labelled("world/sentiment", documents=30)
    pairs = load_pairs("world/sentiment", documents=30)
    for row, pair in zip(labelled, pairs, strict=True):
        assert row["text"] in pair["prompt"]
        assert pair["completion"] == ("negative", "positive")[row["label"]]


def test_draws_of_a_world_differ_by_split_and_seed_and_repeat():
    def texts(*args, **options):
        return load_labelled("world/sentiment", *args, documents=40, **options)["text"][:]

    assert texts("train") == texts("train")
    drawn = [texts(split) for split in SPLITS] + [texts("train", seed=1)]
    assert len({tuple(rows) for rows in drawn}) == 4


# ---------------------------------------------------------------- labels


def test_as_many_labels_as_the_task_has_even_if_a_few_rows_lack_some(tokenizers, tmp_path):
    tokenizer = tokenizers["bert"]
    for split in SPLITS:
        few = load_examples(
            "world/entities", split, tokenizer, task="tagging", documents=1, length=LONG
        )
        assert few.labels == len(TAGS)
        one = load_examples(
            "world/sentiment", split, tokenizer, task="classification", documents=1, length=LONG
        )
        assert one.labels == 2
    # The label 7 stands in one row alone, and counts in every split.
    rows = [{"text": f"text {n}", "label": n % 3} for n in range(300)]
    rows[5]["label"] = 7
    name = written(tmp_path / "labels.jsonl", rows)
    labels = {
        load_examples(name, split, tokenizer, task="classification").labels for split in SPLITS
    }
    assert labels == {8}


def test_a_text_and_its_label_stay_together(tokenizers, tmp_path):
    rows = [{"text": f"the cat {n}", "label": n % 5} for n in range(200)]
    name = written(tmp_path / "labels.jsonl", rows)
    found = load_examples(name, "train", tokenizers["bert"], task="classification")
    wanted = {
        tuple(ids): row["label"]
        for ids, row in zip(
            encode([row["text"] for row in rows], tokenizers["bert"]), rows, strict=True
        )
    }
    assert len(found) > 150
    for row in found.encoded:
        assert row["labels"] == [wanted[tuple(row["input_ids"])]]


def test_places_pick_rows(tokenizers):
    found = load_examples(
        "world/sentiment",
        "train",
        tokenizers["bert"],
        task="classification",
        documents=10,
        length=LONG,
    )
    assert found[torch.tensor([3, 0])] == [found.encoded[3], found.encoded[0]]
    assert len(found) == 10


# ---------------------------------------------------------------- files


def test_a_file_is_split_without_loss_and_without_overlap(tmp_path):
    name = written(tmp_path / "pairs.jsonl", PAIRS)
    parts = [load_pairs(name, split)["prompt"][:] for split in SPLITS]
    assert sorted(chain(*parts)) == sorted(row["prompt"] for row in PAIRS)
    assert len(parts[0]) > 150
    assert min(map(len, parts)) > 0
    # A row's split is its own: it does not move when the file grows.
    grown = written(tmp_path / "grown.jsonl", [{"prompt": "new", "completion": "one"}, *PAIRS])
    assert set(parts[1]) <= set(load_pairs(grown, "validation")["prompt"])


def test_a_file_may_have_a_mark_empty_lines_and_odd_characters(tmp_path):
    odd = [{"prompt": f"a\u2028b\x85 {n}", "completion": "caf\u00e9"} for n in range(40)]
    path = tmp_path / "odd.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) for row in odd]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n\n".join(lines).encode() + b"\n")
    pairs = load_pairs(f"file:{path}")
    assert len(pairs) > 20
    assert {pair["completion"] for pair in pairs} == {"caf\u00e9"}
    assert all("\u2028" in pair["prompt"] for pair in pairs)


def test_a_file_gives_as_many_as_asked_for_from_its_beginning(tmp_path):
    name = written(tmp_path / "pairs.jsonl", PAIRS)
    everything = load_pairs(name)["prompt"][:]
    assert load_pairs(name, documents=5)["prompt"][:] == everything[:5]
    assert load_pairs(name, documents=10_000)["prompt"][:] == everything


def test_other_columns_of_a_file_are_left_out(tmp_path):
    rows = [row | {"id": n, "prompt_length": None} for n, row in enumerate(PAIRS)]
    assert load_pairs(written(tmp_path / "more.jsonl", rows)).column_names == [
        "prompt",
        "completion",
    ]


# ---------------------------------------------------------------- reviews


def test_reviews_keep_their_document_on_one_side_and_their_seeds_order():
    try:
        packaged("reviews")
    except CourseError as error:
        pytest.skip(str(error))
    units = [set(load_labelled("reviews/product", split)["unit"]) for split in SPLITS]
    assert not units[0] & units[1] | units[0] & units[2] | units[1] & units[2]
    first, again, other = (
        load_labelled("reviews/film", documents=50, seed=seed)["text"][:] for seed in (0, 0, 1)
    )
    assert first == again != other
