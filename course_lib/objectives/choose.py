"""Objectives by the name that a recipe gives them."""

from collections.abc import Callable
from typing import Any

from torch import LongTensor, Tensor
from transformers import PreTrainedTokenizerFast

from course_lib.objectives.causal import CausalLM
from course_lib.objectives.infilling import TextInfilling
from course_lib.objectives.masked import MaskedLM
from course_lib.objectives.span_corruption import SpanCorruption

Objective = Callable[[LongTensor, Any], dict[str, Tensor]]
OBJECTIVES = ("masked", "masked-static", "causal", "span", "infilling")


def make_objective(
    name: str, tokenizer: PreTrainedTokenizerFast, *, rate: float | None = None
) -> Objective:
    """Build an objective for a tokenizer; `rate` is its corruption rate, by default its paper's.

    Raises:
        ValueError: unknown name, or a rate for the causal objective, which corrupts nothing.
    """
    options = {} if rate is None else {"rate": rate}
    match name:
        case "masked":
            return MaskedLM.from_tokenizer(tokenizer, **options)
        case "masked-static":
            return MaskedLM.from_tokenizer(tokenizer, static=True, **options)
        case "span":
            return SpanCorruption.from_tokenizer(tokenizer, **options)
        case "infilling":
            return TextInfilling.from_tokenizer(tokenizer, **options)
        case "causal" if rate is None:
            return CausalLM.from_tokenizer(tokenizer)
        case "causal":
            raise ValueError("causal language modeling corrupts nothing: leave out the rate")
    raise ValueError(f"unknown objective {name!r}: choose one of {', '.join(OBJECTIVES)}")
