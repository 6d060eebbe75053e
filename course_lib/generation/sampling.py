"""Text from a causal model, one token after the other.

Written to be read: `generate` runs the whole context through the model for every new token, and
`filter_logits` is the sampling that everyone uses in a dozen lines. For speed there is
`model.generate` of `transformers`, which keeps what it computed for earlier tokens.
"""

import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_lib.models import context_length, evaluation_mode, require_kind
from course_lib.runtime.errors import CourseError
from course_lib.runtime.seeds import generator


def filter_logits(
    logits: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """Reshape the distribution that the next token is drawn from; logits [..., vocabulary].

    In this order: divide by the temperature (0 leaves the likeliest token alone: greedy); keep the
    `top_k` likeliest (Fan et al. 2018, arXiv:1805.04833); keep the fewest likeliest that together
    have at least probability `top_p` (the nucleus; Holtzman et al. 2020, arXiv:1904.09751). What
    is left out becomes -inf.

    Raises:
        ValueError: a negative temperature, `top_k` under 1, or `top_p` outside (0, 1].
    """
    if not temperature >= 0:
        raise ValueError(f"temperature={temperature}: give 0 (greedy) or more.")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k={top_k}: keep at least 1 token.")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p}: give a probability above 0 and up to 1.")
    if temperature == 0:
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.full_like(logits, -torch.inf).scatter(-1, best, 0.0)
    logits = logits / temperature
    if top_k is not None:
        kth = logits.topk(min(top_k, logits.shape[-1])).values[..., -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    if top_p is not None and top_p < 1:
        ordered, order = logits.sort(dim=-1, descending=True)
        probabilities = ordered.softmax(dim=-1)
        # What the likelier tokens have between them; the first has none before it and stays.
        before = probabilities.cumsum(dim=-1) - probabilities
        drop = (before >= top_p).scatter(-1, order, before >= top_p)
        logits = logits.masked_fill(drop, -torch.inf)
    return logits


def next_token_distribution(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: str, k: int = 10
) -> pd.Series:
    """The k likeliest next tokens after a prompt: probabilities, indexed by the token's text.

    Byte-level tokens carry the space before a word: " mat".

    Raises:
        CourseError: the model is not causal.
    """
    require_kind(model, "causal", "next_token_distribution")
    logits = _next_logits(model, prompt_ids(tokenizer, prompt))
    best = logits.softmax(dim=-1).topk(min(k, len(logits)))
    tokens = [tokenizer.decode([token]) for token in best.indices.tolist()]
    return pd.Series(best.values.tolist(), index=pd.Index(tokens, name="token"), name="probability")


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    *,
    max_new_tokens: int = 50,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
) -> str:
    """Continue a prompt until the end token or `max_new_tokens`; returns the continuation alone.

    The same seed gives the same text. Past the model's context length, the oldest tokens drop out.
    `filter_logits` says what temperature, `top_k` and `top_p` do.

    Raises:
        CourseError: the model is not causal.
        ValueError: as `filter_logits`.
    """
    require_kind(model, "causal", "generate")
    draws = generator(seed, "generate")
    given = prompt_ids(tokenizer, prompt)
    ids = list(given)
    for _ in range(max_new_tokens):
        logits = _next_logits(model, ids)
        logits = filter_logits(logits, temperature=temperature, top_k=top_k, top_p=top_p)
        token = torch.multinomial(logits.softmax(dim=-1), 1, generator=draws).item()
        if token == tokenizer.eos_token_id:
            break
        ids.append(token)
    return tokenizer.decode(ids[len(given) :], skip_special_tokens=True)


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """The prompt's tokens as the tokenizer begins a text; an empty prompt is its start token."""
    ids = tokenizer(prompt)["input_ids"]
    if ids:
        return ids
    if tokenizer.bos_token_id is None:
        raise CourseError("The prompt is empty and the tokenizer has no start token: write one.")
    return [tokenizer.bos_token_id]


def _next_logits(model: PreTrainedModel, ids: list[int]) -> Tensor:
    """fp32 logits [vocabulary] of the next token, on the CPU; reads the last tokens that fit."""
    window = ids[-(context_length(model) or len(ids)) :]
    with evaluation_mode(model) as device:
        logits = model(input_ids=torch.tensor([window], device=device), use_cache=False).logits
    return logits[0, -1].float().cpu()
