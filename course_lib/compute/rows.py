"""How much of a row of text goes through which part of a model: that is what an objective costs."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated, Literal

from pydantic import Field

from course_lib.runtime.checks import BadArgumentError, Count, Number, Share, Whole, checked

Objective = Literal["causal", "masked", "masked-static", "span", "infilling"]
Positions = Annotated[Number | Whole, Field(ge=0)]  # a whole number stays one
RATES = {"masked": 0.15, "masked-static": 0.15, "span": 0.15, "infilling": 0.3}
MEAN_SPAN = 3


@checked
@dataclass(frozen=True)
class Row:
    """Positions of one row, by what they pass through; fractions are means over many rows.

    Attributes:
        inputs: through the only stack of BERT or GPT, or the encoder of T5 or BART.
        outputs: through the decoder of T5 or BART; 0 for a model with one stack.
        scored: through the vocabulary layer. This course's loss for masked models gives that layer
            the positions that have a target and no others.

    Raises:
        BadArgumentError: no inputs, or a number that is negative or not finite.
    """

    inputs: Annotated[Number | Whole, Field(ge=1)]
    outputs: Positions = 0
    scored: Positions = 0


@checked
def row_of(objective: Objective, length: Count, rate: Share | None = None, batch: Count = 1) -> Row:
    """What an objective makes of rows of `length` tokens, on average.

    Masked models score the masked tokens (Devlin et al. 2019), causal ones every position. Span
    corruption (Raffel et al. 2020, section 3.1.4) cuts `rate` of the tokens out in spans of 3 on
    average and writes them, a sentinel before each and an end token. Text infilling (Lewis et al.
    2020, section 2.2) puts one mask for each such span and writes the whole text again.

    Args:
        objective: masked, masked-static, causal, span or infilling.
        length: tokens of a row before corruption.
        rate: the corruption rate; None is that of the objective's paper.
        batch: rows of a step. Infilled rows differ in length and are padded to the longest.

    Raises:
        BadArgumentError: an unknown objective, a rate for the causal one or outside (0, 1), a
            length or batch below 1, or a row of one token, from which no span can be cut.
    """
    if objective == "causal":
        if rate is not None:
            raise BadArgumentError(f"rate={rate}: the causal objective corrupts nothing; leave it.")
        return Row(inputs=length, scored=length)
    rate = RATES[objective] if rate is None else rate
    if objective.startswith("masked"):
        return Row(inputs=length, scored=rate * length)
    cut = round(rate * length)
    if objective == "span":
        if length < 2:
            raise BadArgumentError("length=1: a span needs a row of at least 2 tokens.")
        cut = min(max(cut, 1), length - 1)
        spans = min(max(round(cut / MEAN_SPAN), 1), cut, length - cut)
        written = cut + spans + 1
        return Row(inputs=length - cut + spans + 1, outputs=written, scored=written)
    # The last span is cut off where the budget ends, on average in its middle.
    masks = min((cut + MEAN_SPAN / 2) / MEAN_SPAN + _most_above_mean(cut, batch), cut)
    return Row(inputs=length - cut + masks, outputs=length, scored=length)


def _most_above_mean(cut: int, batch: int) -> float:
    """By how many spans the row with most of them exceeds the mean.

    The number of Poisson(3) spans that fill `cut` tokens is nearly normal with variance
    cut * 3 / 3^3 (renewal theory); the largest of a batch of normals lies at Blom's (1958) score.
    """
    score = NormalDist().inv_cdf((batch - 0.375) / (batch + 0.25))
    return max(score, 0.0) * (cut / MEAN_SPAN**2) ** 0.5
