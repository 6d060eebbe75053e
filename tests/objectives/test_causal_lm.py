"""Causal labels are shifted exactly once: by transformers, not by us.

Run with: python -m pytest tests/objectives/test_causal_lm.py
"""

import torch
import torch.nn.functional as F
from tiny import packed_rows, tiny_model, word_tokenizer

from course_lib.objectives import CausalLM, summed_loss
from course_lib.runtime import generator

ROWS = packed_rows("gpt2", 4, 24, "causal")


def shifted_once(model: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the token at t + 1 under the prediction at t, written out."""
    with torch.no_grad():
        logits = model(input_ids=rows).logits
    log_p = logits.log_softmax(dim=-1)
    losses = [
        -log_p[row, t, rows[row, t + 1]]
        for row in range(rows.shape[0])
        for t in range(rows.shape[1] - 1)
    ]
    return torch.stack(losses).mean()


def sharpened() -> torch.nn.Module:
    """A model with opinions: at initialisation all tokens are nearly as likely."""
    model = tiny_model("gpt2").eval()
    with torch.no_grad():
        model.transformer.wte.weight.mul_(40)
    return model


def test_the_loss_of_transformers_with_these_labels_shifts_once():
    model = sharpened()
    batch = CausalLM()(ROWS, generator(0))
    with torch.no_grad():
        torch.testing.assert_close(model(**batch).loss, shifted_once(model, ROWS))


def test_our_own_loss_shifts_once():
    model = sharpened()
    batch = CausalLM()(ROWS, generator(0))
    with torch.no_grad():
        ours = summed_loss(model, batch) / (ROWS.shape[0] * (ROWS.shape[1] - 1))
    torch.testing.assert_close(ours, shifted_once(model, ROWS))


def test_planted_bug_labels_that_are_shifted_already_give_another_loss():
    model = sharpened()
    shifted_here_too = F.pad(ROWS[:, 1:], (0, 1), value=-100)
    with torch.no_grad():
        twice = model(input_ids=ROWS, labels=shifted_here_too).loss
    assert (twice - shifted_once(model, ROWS)).abs() > 0.01


def test_every_position_is_a_target_and_labels_are_a_copy():
    batch = CausalLM.from_tokenizer(word_tokenizer("gpt2"))(ROWS, generator(0))
    assert torch.equal(batch["input_ids"], ROWS)
    assert torch.equal(batch["labels"], ROWS)
    batch["labels"][0, 0] = -100
    assert batch["input_ids"][0, 0] == ROWS[0, 0] != -100


def test_padding_is_no_target_but_an_end_that_serves_as_padding_is():
    tokenizer = word_tokenizer("gpt2")
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    rows = torch.tensor([[end, 5, 6, end, pad, pad]])
    labels = CausalLM.from_tokenizer(tokenizer)(rows, generator(0))["labels"]
    assert labels.tolist() == [[end, 5, 6, end, -100, -100]]
    tokenizer.pad_token = tokenizer.eos_token  # as GPT-2's is, by custom
    labels = CausalLM.from_tokenizer(tokenizer)(rows, generator(0))["labels"]
    assert labels.tolist() == rows.tolist()
