"""Guards parameter counts: of every family built, and of every published size we have a shape for.

pytest tests/compute/test_shapes.py
"""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import SPECIAL, word_tokenizer

from course_lib.compute import Shape
from course_lib.compute.shapes import ARCHITECTURES
from course_lib.models import FAMILIES, build, count_parameters, published_sizes
from course_lib.objectives import OBJECTIVES

ALIAS = {"gpt3": "gpt2", "bloom": "gpt2"}
SIZES = [s for s in published_sizes() if s.model == FAMILIES[s.family].model]
# (our name, the names of the configuration classes)
WORDS = {
    "width": ("hidden_size", "n_embd", "d_model"),
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "encoder_layers"),
    "heads": ("num_attention_heads", "n_head", "num_heads", "encoder_attention_heads"),
    "feed_forward": ("d_ff", "encoder_ffn_dim"),
    "head_width": ("d_kv",),
}
VOCABULARY = {"gpt2": 50257, "gpt3": 50257, "bloom": 250880, "t5": 32128, "bart": 50265}
POSITIONS = {"gpt2": 1024, "gpt3": 2048, "bart": 1024}


def tokenizer_of(family: str):
    family = ALIAS.get(family, family)
    assert family in SPECIAL
    return word_tokenizer(family)


def shape_of(size) -> Shape:
    """A published size in our words."""
    found = {
        name: next((size.config[word] for word in words if word in size.config), None)
        for name, words in WORDS.items()
    }
    return Shape(
        family=size.family,
        vocab_size=VOCABULARY[size.family],
        positions=POSITIONS.get(size.family, 0),
        **found,
    )


def test_families_and_objectives_are_those_of_the_course():
    assert list(ARCHITECTURES) == list(FAMILIES)
    for name, architecture in ARCHITECTURES.items():
        assert architecture.objective == FAMILIES[name].objective
        assert architecture.objective in OBJECTIVES


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("width", "layers", "heads"), [(16, 1, 2), (24, 3, 4)])
def test_the_count_is_that_of_the_model(family, width, layers, heads):
    tokenizer = tokenizer_of(family)
    sizes = {"width": width, "layers": layers, "heads": heads}
    model = build(family, tokenizer, length=20, **sizes)
    shape = Shape(family=family, vocab_size=len(tokenizer), positions=20, **sizes)
    # RoBERTa's and BART's offset is that of their own padding id, which `tiny` keeps.
    assert shape.parameters == count_parameters(model)
    parts = shape.parameter_parts()
    assert parts["embeddings"] + shape.non_embedding_parameters == shape.parameters


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size.family}-{size.name}")
def test_the_count_of_a_published_size(size):
    assert shape_of(size).parameters == count_parameters(size)


def test_gpt3_by_hand():
    shape = shape_of(next(s for s in SIZES if s.name == "175B"))
    assert shape.parameters == 174_604_259_328
    assert shape.non_embedding_parameters == 96 * (12 * 12288**2 + 13 * 12288) + 2 * 12288


def test_untying_costs_a_second_table():
    shape = Shape(family="gpt2", width=16, layers=1, heads=2, vocab_size=100)
    untied = replace(shape, tied=False)
    assert untied.parameters - shape.parameters == 1600
    assert untied.non_embedding_parameters == shape.non_embedding_parameters


@given(
    st.sampled_from(list(ARCHITECTURES)),
    st.integers(1, 8),
    st.integers(1, 8),
    st.integers(1, 6),
    st.integers(1, 1000),
)
def test_more_of_anything_is_more(family, heads, per_head, layers, vocab_size):
    shape = Shape(
        family=family, width=heads * per_head, layers=layers, heads=heads, vocab_size=vocab_size
    )
    for bigger in (
        replace(shape, layers=layers + 1),
        replace(shape, width=heads * (per_head + 1)),
        replace(shape, vocab_size=vocab_size + 1),
        replace(shape, feed_forward=shape.inner_width + 1),
    ):
        assert bigger.parameters > shape.parameters
    assert replace(shape, layers=layers + 1).parameters - shape.parameters == (
        replace(shape, layers=layers + 2).parameters - replace(shape, layers=layers + 1).parameters
    )
