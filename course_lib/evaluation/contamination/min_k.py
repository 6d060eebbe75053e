"""Min-K% Prob: does a text hold words that surprise the model, as a text it has not read would?

Nearly every text has a few words that are hard to guess. A model that was trained on the text may
know even these. So the mean log-probability of a text's least likely tokens tells more than the
mean of all, most of which are easy for anyone (Shi et al. 2024, arXiv:2310.16789, section 3).

The score alone decides nothing: rare names and plain words differ by more than what was read and
what was not. Compare with the scores of texts that are alike and cannot have been read.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field
from torch import nn
from transformers import PreTrainedTokenizerBase

from course_lib.corpora import NO_TARGET
from course_lib.corpora.padding import pad_rows
from course_lib.corpora.pairs import require_length
from course_lib.corpora.templates import encode_inside
from course_lib.evaluation.likelihood.losses import token_losses
from course_lib.models import context_length, require_kind
from course_lib.models.inspection import document_marks
from course_lib.runtime.checks import BadArgumentError, Count, Probability, SomeTexts, checked

if TYPE_CHECKING:
    import pandas as pd


def _as_log_probs(value: Any) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError("give a list of numbers, one a token") from None
    if array.ndim != 1 or not array.size:
        raise ValueError("give a list of at least one number, one a token")
    if np.isnan(array).any() or (array > 0).any():
        raise ValueError("a log-probability is at most 0, and not nan: give nats with their sign")
    return array


LogProbs = Annotated[np.ndarray, BeforeValidator(_as_log_probs)]
PartOf = Annotated[Probability, Field(gt=0)]


@checked
def min_k_prob(log_probs: LogProbs, share: PartOf = 0.2) -> float:
    """Mean of the lowest log-probabilities of a text's tokens, in nats a token.

    Shi et al. 2024, equation 1. They took the lowest 20 percent (section 4.3). A share that is no
    whole number of tokens is rounded down, but to one token at least. With `share=1` it is the mean
    of all: minus the loss.

    Args:
        log_probs: log p(token | tokens before it), one a token, none above 0.

    Raises:
        BadArgumentError: no tokens, a log-probability that is none, or a share outside (0, 1].
    """
    # Rounded first, so that 0.29 of 100 is 29 and not 28.999999999999996.
    lowest = max(1, math.floor(round(share * len(log_probs), 9)))
    return float(np.sort(log_probs)[:lowest].mean())


@checked
def min_k_scores(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    texts: SomeTexts,
    share: PartOf = 0.2,
    batch_size: Count = 64,
) -> "pd.DataFrame":
    """`min_k_prob` of texts under a causal model: a row each, with `min_k`, `mean` and `tokens`.

    Each token of a text counts, the first one too, which is predicted from the mark that opens a
    document; the mark behind the last does not. `mean` is the mean of all log-probabilities: the
    simpler score that Min-K% is to beat.

    Raises:
        CourseError: the model is not causal, the tokenizer another model's or without the mark
            that opens a document, or a text is longer than the context.
        BadArgumentError: no texts, or one without a token.
    """
    import pandas as pd

    require_kind(model, "causal", "min_k_scores", tokenizer)
    opening, _ = document_marks(tokenizer)
    encoded = encode_inside(texts, tokenizer)
    for number, ids in enumerate(encoded):
        if not ids:
            raise BadArgumentError(f"text {number} has no token: leave it out.")
    rows = [[opening, *ids] for ids in encoded]
    require_length(texts, rows, context_length(model))
    scores: list[dict[str, float]] = [{}] * len(rows)
    order = sorted(range(len(rows)), key=lambda number: len(rows[number]))  # little padding
    for start in range(0, len(order), batch_size):
        numbers = order[start : start + batch_size]
        for number, log_probs in zip(
            numbers, _log_probs(model, tokenizer, [rows[n] for n in numbers]), strict=True
        ):
            scores[number] = {
                "min_k": min_k_prob(log_probs, share),
                "mean": float(log_probs.mean()),
                "tokens": len(log_probs),
            }
    return pd.DataFrame(scores)


def _log_probs(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, rows: Sequence[list[int]]
) -> list[np.ndarray]:
    """Of each row, the log-probability of every token but the first."""
    batch = pad_rows(rows, tokenizer)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, NO_TARGET)
    labels[:, 0] = NO_TARGET
    losses = token_losses(model, batch | {"labels": labels}).cpu().double()
    return [
        -loss[1 : len(row)].clamp(min=0).numpy() for row, loss in zip(rows, losses, strict=True)
    ]
