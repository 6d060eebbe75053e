"""How far a tuned model has moved from its start, on text that the tuning was not about."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_lib.corpora.packing import encode
from course_lib.corpora.templates import Template, encode_completions, encode_prompts
from course_lib.evaluation import token_losses
from course_lib.models import evaluation_mode, require_kind
from course_lib.runtime.checks import BadArgumentError, Count, SomeTexts, checked


@checked
def drift(
    start: PreTrainedModel,
    tuned: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: SomeTexts,
    completions: SomeTexts,
    *,
    template: Template = "chat",
) -> list[Tensor]:
    """KL(start || tuned) in nats at each token of a completion, its end token included.

    How many nats a token it costs to take the tuned model for the start, on average over what the
    start would say next. With completions that the start has written itself to neutral prompts it
    is the distance that fine-tuning is often held by (Ouyang et al. 2022, arXiv:2203.02155, section
    3.5, penalise the KL divergence in the other direction, along what the tuned model writes).

    Returns:
        A tensor [tokens] for each prompt, in fp32, on the CPU.

    Raises:
        BadArgumentError: an argument of another type, or not one completion for each prompt.
        CourseError: a model is not causal, or the tokenizer lacks what the template needs.
    """
    for model in (start, tuned):
        require_kind(model, "causal", "drift", tokenizer)
    if len(prompts) != len(completions):
        raise BadArgumentError(
            f"{len(prompts)} prompts and {len(completions)} completions: give one for one."
        )
    found = []
    for prompt, completion in zip(
        encode_prompts(prompts, tokenizer, template),
        encode_completions(completions, tokenizer, template),
        strict=True,
    ):
        row, count = torch.tensor([prompt + completion]), len(completion)
        before, after = (_next_log_probs(model, row, count) for model in (start, tuned))
        found.append((before.exp() * (before - after)).sum(dim=-1))
    return found


def _next_log_probs(model: PreTrainedModel, row: Tensor, count: int) -> Tensor:
    """Log-probabilities [count, vocabulary] of what comes at each of the last `count` places."""
    with evaluation_mode(model) as device:
        logits = model(input_ids=row.to(device), use_cache=False).logits
    return logits[0, -count - 1 : -1].float().log_softmax(dim=-1).cpu()


@checked
def text_perplexity(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: SomeTexts,
    *,
    length: Count = 128,
) -> float:
    """exp of the loss per token over the first `length` tokens of each text.

    Texts such as a model was pre-trained on; the first token, which nothing stands before, is not
    scored.

    Raises:
        BadArgumentError: an argument of another type.
        CourseError: the model is not causal.
    """
    require_kind(model, "causal", "text_perplexity", tokenizer)
    losses = [
        token_losses(model, {"input_ids": row, "labels": row}).flatten()
        for row in (torch.tensor([ids[:length]]) for ids in encode(texts, tokenizer))
    ]
    return math.exp(float(torch.cat(losses).double().nanmean()))


def by_place(drifts: Sequence[Tensor]) -> dict[str, float]:
    """Mean drift at the first token of an answer, and at all later ones, in nats."""
    return {
        "first": float(torch.stack([one[0] for one in drifts]).mean()),
        "later": float(torch.cat([one[1:] for one in drifts]).mean()),
    }
