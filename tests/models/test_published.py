"""Guards the table of published sizes: every count is ours, and every oddity has its note.

Run with: pytest tests/models/test_published.py
"""

import time

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from course_lib.models import (
    FAMILIES,
    PublishedSize,
    build,
    count_parameters,
    published_sizes,
    size_table,
)

SIZES = {(size.family, size.name): size for size in published_sizes()}


@pytest.mark.parametrize("size", SIZES.values(), ids=lambda s: f"{s.family}-{s.name}")
def test_count_rounds_to_the_published_one_or_a_note_says_why_not(size):
    off = abs(count_parameters(size) - size.published)
    assert off <= size.half_step or size.note
    assert off < 0.07 * size.published
    assert size.source


@pytest.mark.parametrize(
    ("family", "name", "expected"),
    [
        ("gpt3", "175B", 174_604_259_328),
        ("bloom", "176B", 176_247_271_424),
        ("gpt2", "small", 124_439_808),
        ("t5", "11B", 11_307_321_344),
        ("bart", "large", 406_291_456),
        ("bert", "base", 109_482_240),
    ],
)
def test_known_counts(family, name, expected):
    assert count_parameters(SIZES[family, name]) == expected


@pytest.mark.parametrize(("family", "name"), [("gpt3", "175B"), ("bloom", "176B")])
def test_the_largest_are_counted_quickly(family, name):
    size = SIZES[family, name]
    fresh = PublishedSize(**(vars(size) | {"config": size.config | {"use_cache": False}}))
    start = time.process_time()
    count_parameters(fresh)  # another configuration, so not remembered
    assert time.process_time() - start < 2


def test_gpt3_by_hand():
    """12 width^2 + 13 width a layer, the embeddings, the positions, the last normalisation."""
    for size in published_sizes("gpt3"):
        width, layers = size.config["n_embd"], size.config["n_layer"]
        blocks = layers * (12 * width**2 + 13 * width)
        assert count_parameters(size) == blocks + (50257 + 2048) * width + 2 * width


def test_every_family_has_its_sizes():
    assert {family for family, _ in SIZES} == set(FAMILIES)
    assert len(published_sizes("gpt3")) == 8
    assert [size.name for size in published_sizes("t5")] == ["small", "base", "large", "3B", "11B"]


@pytest.mark.parametrize(
    ("stated", "published", "half_step"),
    [
        ("110M", 110e6, 5e6),
        ("2.7B", 2.7e9, 0.05e9),
        ("13B", 13e9, 0.5e9),
        ("400M", 400e6, 50e6),
        ("559,214,592", 559_214_592, 0.5),
    ],
)
def test_stated_counts_are_read_with_their_precision(stated, published, half_step):
    size = PublishedSize("gpt2", "x", {}, stated, "", "GPT2LMHeadModel")
    assert size.published == published
    assert size.half_step == pytest.approx(half_step)


def test_counts_models_in_memory_with_tied_weights_once(tokenizer):
    model = build("gpt2", tokenizer, width=16, layers=1, heads=2, length=8)
    assert count_parameters(model) == model.num_parameters()
    untied = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=100, n_embd=16, n_layer=1, n_head=2, n_positions=8, tie_word_embeddings=False
        )
    )
    assert count_parameters(untied) - count_parameters(model) == 100 * 16


def test_counting_takes_no_memory_and_no_random_numbers():
    before = torch.get_rng_state()
    size = SIZES["gpt2", "small"]
    count_parameters(PublishedSize(**(vars(size) | {"config": size.config | {"n_layer": 3}})))
    assert torch.equal(torch.get_rng_state(), before)


def test_table():
    table = size_table()
    assert list(table.columns) == [
        "family",
        "name",
        "published",
        "counted",
        "difference %",
        "source",
        "note",
    ]
    assert len(table) == len(SIZES)
    row = table.set_index(["family", "name"]).loc[("gpt2", "small")]
    assert row["difference %"] == pytest.approx(6.36, abs=0.01)
