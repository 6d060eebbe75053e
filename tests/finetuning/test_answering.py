"""Guards asking a tuned model: batches, caches and choices give what asking one by one gives.

pytest tests/finetuning/test_answering.py
"""

import pytest
import torch
from refusals import assert_refused
from tiny import tiny_model, word_tokenizer
from torch import nn
from transformers import BloomConfig, BloomForCausalLM, LlamaConfig, LlamaForCausalLM

from course_lib.evaluation import sequence_log_prob
from course_lib.finetuning import answers, choice_log_probs, drift, text_perplexity
from course_lib.finetuning.divergence import by_place

PROMPTS = ["the cat sat on", "dog ran", "bird sang in tree old", "a fish", "king slept near"]
CHOICES = [["mat", "fire door"], ["door"], ["red small house", "mat"], ["swam"], ["fire", "dawn"]]


@pytest.fixture(scope="module")
def tokenizer():
    """Written as a chat template would: a mark before the answer, none inside a prompt."""
    made = word_tokenizer("gpt2")
    made.chat_template = (
        "{% for m in messages %}the {{ m['content'] }} {% endfor %}"
        "{% if add_generation_prompt %}at dawn {% endif %}"
    )
    return made


@pytest.fixture(scope="module")
def models(tokenizer):
    """Three ways to know a position: a table, rotations, a penalty on distance."""
    torch.manual_seed(0)
    size = {"vocab_size": len(tokenizer), "hidden_size": 16}
    small = {"num_hidden_layers": 2, "num_attention_heads": 2}
    rotary = LlamaConfig(intermediate_size=32, num_key_value_heads=1, **size, **small)
    made = {
        "gpt2": tiny_model("gpt2"),
        "llama": LlamaForCausalLM(rotary),
        "bloom": BloomForCausalLM(BloomConfig(n_layer=2, n_head=2, **size)),
    }
    for model in made.values():
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.3)
        model.eval()
    return made


@pytest.mark.parametrize("family", ["gpt2", "llama", "bloom"])
def test_each_choice_has_the_log_probability_that_it_has_alone(models, tokenizer, family):
    found = choice_log_probs(models[family], tokenizer, PROMPTS, CHOICES, template="plain")
    for prompt, choices, scores in zip(PROMPTS, CHOICES, found, strict=True):
        alone = [
            sequence_log_prob(models[family], tokenizer, prompt, f" {choice}") for choice in choices
        ]
        torch.testing.assert_close(scores, torch.tensor(alone).double(), atol=1e-4, rtol=1e-4)


def test_choices_stand_behind_the_prompt_in_its_template(models, tokenizer):
    (found,) = choice_log_probs(models["gpt2"], tokenizer, ["cat sat"], [["mat", "rug door"]])
    framed = "the cat sat at dawn mat"
    ids = torch.tensor([tokenizer(framed, add_special_tokens=False)["input_ids"]])
    with torch.no_grad():
        log_probs = models["gpt2"](ids).logits[0].log_softmax(-1)
    assert found[0].item() == pytest.approx(log_probs[-2, ids[0, -1]].item(), abs=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama", "bloom"])
def test_an_answer_is_the_likeliest_token_again_and_again(models, tokenizer, family):
    model = models[family]
    found = answers(model, tokenizer, PROMPTS, template="plain", new_tokens=5)
    for prompt, answer in zip(PROMPTS, found, strict=True):
        ids = tokenizer(prompt)["input_ids"]
        start = len(ids)
        while len(ids) < start + 5:
            with torch.no_grad():
                token = int(model(torch.tensor([ids])).logits[0, -1].argmax())
            if token == tokenizer.eos_token_id:
                break
            ids.append(token)
        assert answer == tokenizer.decode(ids[start:], skip_special_tokens=True).strip()


def test_an_answer_ends_at_the_end_token(models):
    """Call a later word of an answer the end token, and the answer ends before it."""
    prompt = PROMPTS[:1]
    ending = word_tokenizer("gpt2")
    whole = answers(models["gpt2"], ending, prompt, template="plain", new_tokens=6)[0].split()
    later = next(place for place, word in enumerate(whole) if word not in whole[:place] and place)
    ending.eos_token = whole[later]
    short = answers(models["gpt2"], ending, prompt, template="plain", new_tokens=6)[0].split()
    assert short == whole[:later]


def test_an_answer_ends_where_the_positions_do(models, tokenizer):
    """The table of this model has 24 places."""
    long = " ".join(["cat"] * 20)
    written = answers(models["gpt2"], tokenizer, [long], template="plain", new_tokens=50)[0]
    assert len(written.split()) <= 4


def test_order_of_the_prompts_does_not_matter(models, tokenizer):
    forward = answers(models["llama"], tokenizer, PROMPTS, new_tokens=4)
    assert answers(models["llama"], tokenizer, PROMPTS[::-1], new_tokens=4) == forward[::-1]


def test_drift_is_zero_from_itself_and_the_divergence_by_hand_from_another(models, tokenizer):
    start, tuned = models["gpt2"], models["llama"]
    texts = {"prompts": PROMPTS[:2], "completions": ["mat", "door and fire"], "template": "plain"}
    for one in drift(start, start, tokenizer, **texts):
        torch.testing.assert_close(one, torch.zeros_like(one))
    found = drift(start, tuned, tokenizer, **texts)
    assert [len(one) for one in found] == [2, 4], "the end token is among them"
    ids = torch.tensor([[*tokenizer("the cat sat on mat")["input_ids"], tokenizer.eos_token_id]])
    with torch.no_grad():
        p, q = (m(ids).logits[0, -3:-1].softmax(-1) for m in (start, tuned))
    torch.testing.assert_close(found[0], (p * (p / q).log()).sum(-1), atol=1e-5, rtol=1e-4)
    assert all((one > 0).all() for one in found)
    first, later = by_place(found).values()
    assert first == pytest.approx((found[0][0] + found[1][0]).item() / 2)
    assert later == pytest.approx((found[0][1] + found[1][1:].sum()).item() / 4)


def test_perplexity_reads_the_first_tokens_alone(models, tokenizer):
    model, long = models["gpt2"], "the cat sat on mat . dog ran to door"
    ids = torch.tensor([tokenizer(long)["input_ids"][:5]])
    with torch.no_grad():
        log_probs = model(ids).logits[0, :-1].log_softmax(-1)
    nats = -log_probs.gather(1, ids[0, 1:, None]).mean()
    assert text_perplexity(model, tokenizer, [long], length=5) == pytest.approx(
        float(nats.exp()), rel=1e-4
    )
    more = text_perplexity(model, tokenizer, [long, "a fish swam"], length=5)
    assert more != pytest.approx(float(nats.exp()), rel=1e-4)


REFUSED = {
    "no prompts": (lambda m, t: answers(m, t, []), "at least one"),
    "one text": (lambda m, t: answers(m, t, "the cat"), "a list of texts"),
    "no tokens": (lambda m, t: answers(m, t, ["a"], new_tokens=0), "at least 1"),
    "template": (lambda m, t: answers(m, t, ["a"], template="vicuna"), "template"),
    "no room": (
        lambda m, t: answers(m, t, [" ".join(["cat"] * 24)], template="plain"),
        "reads 24: shorten it",
    ),
    "a choice short": (lambda m, t: choice_log_probs(m, t, ["a", "the"], [["cat"]]), "2 prompts"),
    "no choices": (lambda m, t: choice_log_probs(m, t, ["a"], [[]]), "at least one"),
    "completions": (lambda m, t: drift(m, m, t, ["a"], ["cat", "dog"]), "one for one"),
    "not causal": (lambda m, t: text_perplexity(tiny_model("bert"), t, ["a"]), "causal"),
}


@pytest.mark.parametrize("way", REFUSED)
def test_what_cannot_be_asked_is_refused(models, tokenizer, way):
    call, words = REFUSED[way]
    assert_refused(lambda: call(models["gpt2"], tokenizer), words)
