"""Measuring models: likelihood, fill-the-mask, generation, classification, intervals over seeds."""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Interval": "intervals",
        "PositionLosses": "likelihood",
        "accuracy": "classification",
        "bits_per_byte": "likelihood",
        "cloze": "blanks",
        "cloze_accuracy": "blanks",
        "context_length": "inference",
        "document_losses": "likelihood",
        "evaluating": "inference",
        "f1": "classification",
        "filter_logits": "generation",
        "generate": "generation",
        "interval": "intervals",
        "is_one_token": "blanks",
        "loss_by_position": "likelihood",
        "next_token_distribution": "generation",
        "paired_interval": "intervals",
        "perplexity": "likelihood",
        "sequence_log_prob": "generation",
        "token_losses": "likelihood",
    },
)
