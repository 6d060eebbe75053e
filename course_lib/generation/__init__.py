"""Text that a model writes: sampling, greedy and beam search, filling gaps."""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "beam_search": "search",
        "cloze": "fill_mask",
        "cloze_accuracy": "fill_mask",
        "filter_logits": "sampling",
        "generate": "sampling",
        "generate_targets": "search",
        "greedy_search": "search",
        "is_one_token": "fill_mask",
        "next_token_distribution": "sampling",
        "prompt_ids": "sampling",
    },
)
