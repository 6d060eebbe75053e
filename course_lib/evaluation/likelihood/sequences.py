"""The probability of a completion after a prompt, for a causal model."""

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from course_lib.corpora import NO_TARGET
from course_lib.corpora.templates import encode_inside
from course_lib.evaluation.likelihood.losses import token_losses
from course_lib.generation.sampling import prompt_ids
from course_lib.models import context_length, require_kind
from course_lib.runtime.checks import BadArgumentError, Text, checked
from course_lib.runtime.errors import CourseError


@checked
def sequence_log_prob(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, prompt: Text, completion: Text
) -> float:
    """log p(completion | prompt) in nats: rank the candidates of a multiple-choice question by it.

    Prompt and completion are encoded apart, so that each candidate is scored after the very same
    tokens; for byte-level tokenizers begin the completion with its space (" mat"). A longer
    candidate has more to lose: compare candidates of one length, or divide by their length. A
    prompt that leaves no room for the completion is cut from the left.

    Raises:
        CourseError: the model is not causal, the tokenizer another model's, or the completion does
            not fit the context.
        BadArgumentError: no text, or an empty completion.
    """
    require_kind(model, "causal", "sequence_log_prob", tokenizer)
    given = prompt_ids(tokenizer, prompt)
    [asked] = encode_inside([completion], tokenizer)
    if not asked:
        raise BadArgumentError(f"completion={completion!r}: give at least one token to score.")
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
    return -losses.cpu().double().nansum().item()
