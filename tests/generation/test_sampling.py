"""Guards sampling and scoring against the ones in transformers and against the chain rule.

pytest tests/generation/test_sampling.py
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tiny import closing_tokenizer
from transformers import (
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from course_lib.evaluation import document_losses, sequence_log_prob
from course_lib.generation import (
    filter_logits,
    generate,
    next_token_distribution,
    prompt_ids,
)
from course_lib.models import build

LOGITS = arrays(np.float32, (2, 9), elements=st.floats(-6, 6, width=32))


@given(LOGITS, st.floats(0.1, 3), st.none() | st.integers(1, 12), st.none() | st.floats(0.05, 0.99))
@settings(max_examples=300, deadline=None)
def test_filter_logits_is_that_of_transformers(values, temperature, top_k, top_p):
    logits = torch.from_numpy(values)
    expected = TemperatureLogitsWarper(temperature)(None, logits)
    if top_k is not None:
        expected = TopKLogitsWarper(top_k)(None, expected)
    if top_p is not None:
        # Where a sum meets top_p to the last bit, or tokens tie, either choice is right.
        ordered = expected.sort(dim=-1, descending=True).values
        totals = ordered.softmax(-1).cumsum(-1)
        assume((totals - top_p).abs().min() > 1e-5)
        finite = ordered[ordered.isfinite()]
        assume(len(finite.unique()) == len(finite))
        expected = TopPLogitsWarper(top_p)(None, expected)
    found = filter_logits(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    torch.testing.assert_close(found, expected)


@given(LOGITS, st.floats(0.05, 1.0))
@settings(deadline=None)
def test_nucleus_is_the_smallest_that_holds_top_p(values, top_p):
    logits = torch.from_numpy(values).double()
    kept = filter_logits(logits, top_p=top_p).isfinite()
    probabilities = logits.softmax(-1)
    held = (probabilities * kept).sum(-1)
    assert (held >= top_p - 1e-9).all()
    least = probabilities.masked_fill(~kept, 2.0).amin(-1)
    assert (held - least < top_p + 1e-9).all()
    assert kept.any(-1).all()


@given(LOGITS)
def test_temperature_zero_leaves_the_likeliest_alone(values):
    logits = torch.from_numpy(values)
    found = filter_logits(logits, temperature=0, top_k=3, top_p=0.5).softmax(-1)
    assert torch.equal(found.argmax(-1), logits.argmax(-1))
    assert torch.equal(found.amax(-1), torch.ones(2))


@pytest.mark.parametrize("family", ["gpt2", "bloom"])
@pytest.mark.parametrize("prompt", ["The cat sat on the", "Rain", ""])
def test_greedy_is_that_of_transformers(family, prompt, make, causal_tokenizer):
    model = make(family, causal_tokenizer, std=0.5)
    found = generate(model, causal_tokenizer, prompt, max_new_tokens=20, temperature=0)
    ids = causal_tokenizer(prompt, return_tensors="pt")["input_ids"]
    reference = model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=20
    )
    expected = causal_tokenizer.decode(reference[0, ids.shape[1] :], skip_special_tokens=True)
    assert found == expected


def prefer(model, token, by):
    """Make one token likelier by `by` nats than every other, in every context."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.transformer.ln_f.bias.fill_(1.0)
        model.transformer.wte.weight[token] = by / model.config.n_embd
    return model


def test_stops_at_the_end_token(make, causal_tokenizer):
    model = prefer(make("gpt2", causal_tokenizer), causal_tokenizer.eos_token_id, by=30)
    assert generate(model, causal_tokenizer, "The cat") == ""


def test_slides_past_the_context_and_counts_new_tokens(make, causal_tokenizer):
    token = causal_tokenizer.encode(" the", add_special_tokens=False)
    assert len(token) == 1
    model = prefer(make("gpt2", causal_tokenizer, length=8), token[0], by=30)
    found = generate(model, causal_tokenizer, "The cat sat on", max_new_tokens=25)
    assert found == " the" * 25


def test_same_seed_same_text_whatever_the_global_state(make, causal_tokenizer):
    model = make("gpt2", causal_tokenizer)
    first = generate(model, causal_tokenizer, "The", max_new_tokens=15, seed=3)
    torch.manual_seed(99)
    state = torch.get_rng_state()
    assert generate(model, causal_tokenizer, "The", max_new_tokens=15, seed=3) == first
    assert generate(model, causal_tokenizer, "The", max_new_tokens=15, seed=4) != first
    assert torch.equal(torch.get_rng_state(), state)


def test_samples_follow_the_distribution(make, causal_tokenizer):
    """The first token over 400 seeds, by a five-sigma bound."""
    token = causal_tokenizer.encode(" the", add_special_tokens=False)[0]
    model = prefer(make("gpt2", causal_tokenizer), token, by=math.log(len(causal_tokenizer) - 1))
    hits = sum(
        generate(model, causal_tokenizer, "x", max_new_tokens=1, seed=seed) == " the"
        for seed in range(400)
    )
    assert abs(hits / 400 - 0.5) < 5 * 0.5 / 400**0.5


def test_next_token_distribution(make, causal_tokenizer):
    model = make("gpt2", causal_tokenizer)
    found = next_token_distribution(model, causal_tokenizer, "The cat sat on the", k=5)
    ids = causal_tokenizer("The cat sat on the", return_tensors="pt")["input_ids"]
    best = model(ids).logits[0, -1].detach().softmax(-1).topk(5)
    assert found.tolist() == pytest.approx(best.values.tolist(), rel=1e-4)
    assert found.index.tolist() == [causal_tokenizer.decode([i]) for i in best.indices.tolist()]
    everything = next_token_distribution(model, causal_tokenizer, "The", k=10**6)
    assert everything.sum() == pytest.approx(1, abs=1e-5)


def test_sequence_log_prob_obeys_the_chain_rule(make, causal_tokenizer):
    model = make("gpt2", causal_tokenizer)
    score = lambda *pair: sequence_log_prob(model, causal_tokenizer, *pair)  # noqa: E731
    whole = score("The cat", " sat on the mat.")
    assert whole == pytest.approx(
        score("The cat", " sat on") + score("The cat sat on", " the mat."), rel=1e-4
    )
    # A document is what its tokens and then its end get.
    text = "The cat sat on the mat."
    document = document_losses(model, causal_tokenizer, [text])["nats"][0]
    end = model(causal_tokenizer(text, return_tensors="pt")["input_ids"]).logits[0, -1]
    closed = end.log_softmax(-1)[causal_tokenizer.eos_token_id].item()
    assert -document == pytest.approx(score("", text) + closed, rel=1e-4)


def test_sequence_log_prob_of_one_token_is_its_probability(make, causal_tokenizer):
    model = make("gpt2", causal_tokenizer)
    table = next_token_distribution(model, causal_tokenizer, "The cat sat on", k=10**6)
    found = sequence_log_prob(model, causal_tokenizer, "The cat sat on", " the")
    assert found == pytest.approx(math.log(table[" the"]), rel=1e-4)


def test_long_prompts_are_cut_from_the_left(make, causal_tokenizer):
    model = make("gpt2", causal_tokenizer, length=8)
    asked = causal_tokenizer.encode(" the mat", add_special_tokens=False)
    room = 8 - len(asked)
    given_ids = causal_tokenizer.encode(
        "The cat sat on the rug and sat on", add_special_tokens=False
    )
    ids = torch.tensor([given_ids[-room:] + asked])
    logs = model(ids).logits[0].detach().log_softmax(-1)
    expected = sum(logs[room - 1 + i, token].item() for i, token in enumerate(asked))
    found = sequence_log_prob(
        model, causal_tokenizer, "The cat sat on the rug and sat on", " the mat"
    )
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_bert_held_to_the_left_begins_and_ends_as_it_was_trained():
    """It has no bos and no eos: its texts begin with [CLS] and end before [SEP]."""
    tokenizer = closing_tokenizer("bert")
    torch.manual_seed(0)
    shape = {"width": 16, "layers": 1, "heads": 2, "length": 24}
    model = build("bert", tokenizer, **shape, attention="left", objective="causal").eval()
    assert prompt_ids(tokenizer, "the cat") == tokenizer("the cat")["input_ids"][:-1]
    with torch.no_grad():
        model.cls.predictions.bias[tokenizer.sep_token_id] = 50.0
    steps = []
    model.register_forward_pre_hook(lambda *_: steps.append(1))
    assert generate(model, tokenizer, "the cat") == ""
    assert len(steps) == 1, "it goes on behind the end"
    nats = document_losses(model, tokenizer, ["the cat"])
    assert nats["tokens"].tolist() == [3]
