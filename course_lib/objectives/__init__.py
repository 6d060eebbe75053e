"""What the model is asked to predict, one objective a file: `objective(blocks, generator)`."""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "CausalLM": "causal",
        "MaskedLM": "masked",
        "OBJECTIVES": "choose",
        "SpanCorruption": "span_corruption",
        "TextInfilling": "infilling",
        "make_objective": "choose",
    },
)
