"""Text from a causal model, one token after the other.

Written to be read: `generate` runs the whole context through the model for every new token, and
`filter_logits` is the sampling that everyone uses in a dozen lines. For speed there is
`model.generate` of `transformers`, which keeps what it computed for earlier tokens.
"""

from typing import Annotated

import pandas as pd
import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from course_lib.corpora.templates import encode_prompts
from course_lib.models import context_length, evaluation_mode, require_kind
from course_lib.runtime.checks import (
    BadArgumentError,
    Count,
    NotNegative,
    Positive,
    Text,
    Whole,
    checked,
)
from course_lib.runtime.errors import CourseError
from course_lib.runtime.seeds import generator

Nucleus = Annotated[Positive, Field(le=1)]


@checked
def filter_logits(
    logits: Tensor,
    *,
    temperature: NotNegative = 1.0,
    top_k: Count | None = None,
    top_p: Nucleus | None = None,
) -> Tensor:
    """Reshape the distribution that the next token is drawn from; logits [..., vocabulary].

    In this order: divide by the temperature (0 leaves the likeliest token alone: greedy); keep the
    `top_k` likeliest (Fan et al. 2018, arXiv:1805.04833); keep the fewest likeliest that together
    have at least probability `top_p` (the nucleus; Holtzman et al. 2020, arXiv:1904.09751). What
    is left out becomes -inf.

    Raises:
        BadArgumentError: no logits, a negative temperature, `top_k` under 1, or `top_p` outside
            (0, 1].
    """
    if not logits.ndim or not logits.shape[-1] or not logits.is_floating_point():
        raise BadArgumentError(
            f"logits of shape {tuple(logits.shape)}, {logits.dtype}: give floats [..., vocabulary]."
        )
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


@checked
def next_token_distribution(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, prompt: Text, k: Count = 10
) -> pd.Series:
    """The k likeliest next tokens after a prompt: probabilities, indexed by the token's text.

    Byte-level tokens carry the space before a word: " mat".

    Raises:
        BadArgumentError: no text, or `k` below 1.
        CourseError: the model is not causal, or the tokenizer another model's.
    """
    require_kind(model, "causal", "next_token_distribution", tokenizer)
    logits = _next_logits(model, prompt_ids(tokenizer, prompt))
    best = logits.softmax(dim=-1).topk(min(k, len(logits)))
    tokens = [tokenizer.decode([token]) for token in best.indices.tolist()]
    return pd.Series(best.values.tolist(), index=pd.Index(tokens, name="token"), name="probability")


@checked
def generate(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    prompt: Text,
    *,
    max_new_tokens: Count = 50,
    temperature: NotNegative = 1.0,
    top_k: Count | None = None,
    top_p: Nucleus | None = None,
    seed: Whole = 0,
) -> str:
    """Continue a prompt until the end token or `max_new_tokens`; returns the continuation alone.

    The same seed gives the same text. Past the model's context length, the oldest tokens drop out.
    `filter_logits` says what temperature, `top_k` and `top_p` do.

    Raises:
        BadArgumentError: no text, no token to write, or as `filter_logits`.
        CourseError: the model is not causal, or the tokenizer another model's.
    """
    require_kind(model, "causal", "generate", tokenizer)
    draws = generator(seed, "generate")
    given = prompt_ids(tokenizer, prompt)
    ids = list(given)
    end = tokenizer.sep_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    for _ in range(max_new_tokens):
        logits = _next_logits(model, ids)
        logits = filter_logits(logits, temperature=temperature, top_k=top_k, top_p=top_p)
        token = torch.multinomial(logits.softmax(dim=-1), 1, generator=draws).item()
        if token == end:
            break
        ids.append(token)
    return tokenizer.decode(ids[len(given) :], skip_special_tokens=True)


@checked
def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: Text) -> list[int]:
    """The prompt's tokens as the tokenizer begins a text; an empty prompt is its start token.

    Raises:
        BadArgumentError: no text.
        CourseError: the prompt is empty and the tokenizer has no start token.
    """
    [ids] = encode_prompts([prompt], tokenizer)
    if ids:
        return ids
    if tokenizer.bos_token_id is None:
        raise CourseError("The prompt is empty and the tokenizer has no start token: write one.")
    return [tokenizer.bos_token_id]


def _next_logits(model: nn.Module, ids: list[int]) -> Tensor:
    """fp32 logits [vocabulary] of the next token, on the CPU; reads the last tokens that fit."""
    window = ids[-(context_length(model) or len(ids)) :]
    with evaluation_mode(model) as device:
        logits = model(input_ids=torch.tensor([window], device=device), use_cache=False).logits
    return logits[0, -1].float().cpu()
