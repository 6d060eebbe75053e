"""Objectives by the name that a recipe gives them."""

from collections.abc import Callable
from typing import Any

from torch import LongTensor, Tensor
from transformers import PreTrainedTokenizerBase

from course_lib.objectives.causal import CausalLM
from course_lib.objectives.infilling import TextInfilling
from course_lib.objectives.masked import MaskedLM
from course_lib.objectives.span_corruption import SpanCorruption
from course_lib.objectives.supervised import Supervised
from course_lib.runtime.checks import BadArgumentError, Share, Text, checked

Objective = Callable[[LongTensor, Any], dict[str, Tensor]]
OBJECTIVES = ("masked", "masked-static", "causal", "span", "infilling")
ON_EXAMPLES = ("supervised", "classification", "tagging")


@checked
def make_objective(
    name: Text, tokenizer: PreTrainedTokenizerBase, *, rate: Share | None = None
) -> Objective:
    """Build an objective for a tokenizer; `rate` is its corruption rate, by default its paper's.

    Those of `OBJECTIVES` take packed rows of text, those of `ON_EXAMPLES` examples with an answer.

    Raises:
        BadArgumentError: unknown name, or a rate for an objective that corrupts nothing.
    """
    if rate is not None and name in ("causal", *ON_EXAMPLES):
        raise BadArgumentError(f"objective.rate = {rate}: leave it out, {name} corrupts nothing.")
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
        case "causal":
            return CausalLM.from_tokenizer(tokenizer)
        case "supervised" | "tagging":
            return Supervised.from_tokenizer(tokenizer)
        case "classification":
            return Supervised.from_tokenizer(tokenizer, text_labels=True)
    names = ", ".join((*OBJECTIVES, *ON_EXAMPLES))
    raise BadArgumentError(f"Unknown objective {name!r}: choose one of {names}.")
