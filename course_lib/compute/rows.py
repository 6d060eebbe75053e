"""How much of a row of text goes through which part of a model: that is what an objective costs."""

from dataclasses import dataclass
from statistics import NormalDist

RATES = {"masked": 0.15, "masked-static": 0.15, "span": 0.15, "infilling": 0.3}
MEAN_SPAN = 3


@dataclass(frozen=True)
class Row:
    """Positions of one row, by what they pass through; fractions are means over many rows.

    Attributes:
        inputs: through the only stack of BERT or GPT, or the encoder of T5 or BART.
        outputs: through the decoder of T5 or BART; 0 for a model with one stack.
        scored: through the vocabulary layer. This course's loss for masked models gives that layer
            the positions that have a target and no others.
    """

    inputs: float
    outputs: float = 0
    scored: float = 0

    def __post_init__(self) -> None:
        for name, least in (("inputs", 1), ("outputs", 0), ("scored", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}: give {least} or more.")


def row_of(objective: str, length: int, rate: float | None = None, batch: int = 1) -> Row:
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
        ValueError: an unknown objective, a rate for the causal one, or one outside (0, 1).
    """
    if objective == "causal":
        if rate is not None:
            raise ValueError("rate: causal language modeling corrupts nothing, leave it out.")
        return Row(inputs=length, scored=length)
    if objective not in RATES:
        raise ValueError(f"objective={objective!r}: choose causal or one of {', '.join(RATES)}.")
    rate = RATES[objective] if rate is None else rate
    if not 0 < rate < 1:
        raise ValueError(f"rate={rate}: give the share of corrupted tokens, in (0, 1).")
    if objective.startswith("masked"):
        return Row(inputs=length, scored=rate * length)
    cut = round(rate * length)
    if objective == "span":
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
