"""Measuring models: likelihood, scores of text and labels, intervals."""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Interval": "intervals",
        "PositionLosses": "likelihood.losses",
        "accuracy": "metrics.classification",
        "bits_per_byte": "likelihood.losses",
        "bleu": "metrics.text",
        "candidate_log_probs": "likelihood.candidates",
        "document_losses": "likelihood.losses",
        "exact_match": "metrics.text",
        "f1": "metrics.classification",
        "interval": "intervals",
        "loss_by_position": "likelihood.losses",
        "paired_interval": "intervals",
        "perplexity": "likelihood.losses",
        "pseudo_document_losses": "likelihood.losses",
        "rouge": "metrics.text",
        "sentence_bleu": "metrics.text",
        "sequence_log_prob": "likelihood.sequences",
        "teacher_forcing": "likelihood.teacher_forcing",
        "token_f1": "metrics.text",
        "token_losses": "likelihood.losses",
    },
)
