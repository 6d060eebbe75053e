"""Guards the picture of attention: it shows the models' own masks, so a wrong mask shows as wrong.

pytest tests/classroom/test_attention_patterns.py
"""

import matplotlib.pyplot as plt
import pytest
import torch
from tiny import tiny_model, word_tokenizer
from transformers import GPT2LMHeadModel

from course_lib.classroom import attention_patterns, attention_picture
from course_lib.models import build

TEXT = "the cat sat on mat ."
LENGTH = len(TEXT.split())
LOWER = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()


def patterns(family: str, model=None, **options):
    model = model or tiny_model("gpt2" if family == "bloom" else family)
    return attention_patterns(model, word_tokenizer(family), TEXT, **options)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_an_encoder_looks_both_ways(family):
    (pattern,) = patterns(family)
    assert pattern.allowed.all()
    assert pattern.rows == pattern.columns == TEXT.split()
    assert "each of 6 tokens looks at all 6" in str(pattern)


@pytest.mark.parametrize("family", ["gpt2", "bloom"])
def test_a_decoder_looks_back(family):
    tokenizer = word_tokenizer("gpt2")
    model = build(family, tokenizer, width=16, layers=2, heads=2, length=24)
    (pattern,) = attention_patterns(model, tokenizer, TEXT)
    assert torch.equal(pattern.allowed, LOWER)
    assert "itself and those before it" in str(pattern)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_an_encoder_decoder_does_all_three(family):
    target = "dog ran to door"
    encoder, cross, decoder = patterns(family, target=target)
    assert encoder.allowed.all()
    assert cross.allowed.shape == (4, LENGTH)
    assert cross.allowed.all()
    assert torch.equal(decoder.allowed, torch.ones(4, 4, dtype=torch.bool).tril())
    start = {"t5": "<pad>", "bart": "</s>"}[family]
    assert decoder.rows == cross.rows == [start, "dog", "ran", "to"]
    assert cross.columns == encoder.rows == TEXT.split()


@pytest.mark.parametrize("prefix", range(1, LENGTH + 1))
def test_a_prefix_sees_itself_whole(prefix):
    (pattern,) = patterns("gpt2", prefix=prefix)
    expected = LOWER.clone()
    expected[:prefix, :prefix] = True
    assert torch.equal(pattern.allowed, expected)
    words = {1: "itself and those", LENGTH: "looks at all"}.get(prefix, f"the first {prefix} of")
    assert words in str(pattern)


class OneAheadLMHeadModel(GPT2LMHeadModel):
    """A GPT-2 whose mask is wrong by one: every token sees the one it has to predict."""

    def forward(self, input_ids, **options):
        length = input_ids.shape[1]
        seen = torch.ones(length, length, dtype=torch.bool).tril(1)
        mask = torch.zeros(length, length).masked_fill(~seen, torch.finfo(torch.float32).min)
        return super().forward(input_ids, **options | {"attention_mask": mask[None, None]})


def test_a_decoder_that_sees_the_answer_is_seen():
    (pattern,) = patterns("gpt2", OneAheadLMHeadModel(tiny_model("gpt2").config))
    assert torch.equal(pattern.allowed, torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril(1))
    assert "26 of 36 pairs, in no simple pattern" in str(pattern)


def test_an_encoder_that_looks_back_only_is_seen():
    shape = {"width": 16, "layers": 1, "heads": 2, "length": 24}
    (pattern,) = patterns("bert", build("bert", word_tokenizer("bert"), **shape, attention="left"))
    assert torch.equal(pattern.allowed, LOWER)
    t5 = tiny_model("t5")
    t5.encoder.config.is_decoder = True
    assert torch.equal(patterns("t5", t5, target="dog")[0].allowed, LOWER)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5", "bart"])
def test_the_model_is_left_as_it_was(family):
    model = tiny_model(family, dropout=0.1).train()
    before = model.config._attn_implementation
    patterns(family, model, **({"target": "dog"} if family in ("t5", "bart") else {}))
    assert model.training
    assert model.config._attn_implementation == before != "eager"
    inner = [m.config._attn_implementation for m in model.modules() if hasattr(m, "config")]
    assert set(inner) == {before}


def test_the_picture_says_in_words_what_it_shows():
    card = attention_picture([*patterns("bert"), *patterns("gpt2"), *patterns("t5", target="dog")])
    assert "BERT encoder: each of 6 tokens looks at all 6." in repr(card)
    assert "GPT-2 decoder: each of 6 tokens looks at itself and those before it." in repr(card)
    assert "T5 cross attention: each of 1 tokens looks at all 6." in repr(card)
    assert 'alt="Which token may look at which.' in card.html
    assert not plt.get_fignums(), "a figure was left open"
