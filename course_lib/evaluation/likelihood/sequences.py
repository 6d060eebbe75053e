"""The probability of a completion after a prompt, for a causal model."""

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_lib.corpora import NO_TARGET
from course_lib.evaluation.likelihood.losses import token_losses
from course_lib.generation.sampling import prompt_ids
from course_lib.models import context_length, require_kind
from course_lib.runtime.errors import CourseError


def sequence_log_prob(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: str, completion: str
) -> float:
    """log p(completion | prompt) in nats: rank the candidates of a multiple-choice question by it.

    Prompt and completion are encoded apart, so that each candidate is scored after the very same
    tokens; for byte-level tokenizers begin the completion with its space (" mat"). A longer
    candidate has more to lose: compare candidates of one length, or divide by their length. A
    prompt that leaves no room for the completion is cut from the left.

    Raises:
        CourseError: the model is not causal, or the completion does not fit its context.
        ValueError: an empty completion.
    """
    require_kind(model, "causal", "sequence_log_prob")
    given = prompt_ids(tokenizer, prompt)
    asked = tokenizer(completion, add_special_tokens=False)["input_ids"]
    if not asked:
        raise ValueError("completion: give at least one token to score.")
    limit = context_length(model)
    if limit is not None:
        if len(asked) >= limit:
            raise CourseError(
                f"The completion has {len(asked)} tokens and the model reads {limit}: shorten it."
            )
        given = given[-(limit - len(asked)) :]
    ids = torch.tensor([given + asked])
    labels = ids.clone()
    labels[:, : len(given)] = NO_TARGET
    losses = token_losses(model, {"input_ids": ids, "labels": labels})
    return -losses.double().nansum().item()
