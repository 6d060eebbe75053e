"""What the model is asked to predict, one objective a file: `objective(blocks, generator)`."""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "CausalLM": "causal",
        "MaskedLM": "masked",
        "OBJECTIVES": "registry",
        "ON_EXAMPLES": "registry",
        "SpanCorruption": "span_corruption",
        "Supervised": "supervised",
        "TextInfilling": "infilling",
        "count_targets": "loss",
        "kind_of": "loss",
        "loss_sum": "loss",
        "make_objective": "registry",
        "summed_loss": "loss",
        "target_losses": "loss",
    },
)
