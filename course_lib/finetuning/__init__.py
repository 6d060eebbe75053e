"""From a pre-trained model to a task: heads, pairs of texts, and what is forgotten on the way."""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "SentimentTask": "heads",
        "EntityTask": "heads",
        "answers": "answering",
        "average_score": "transfer",
        "backward_transfer": "transfer",
        "choice_log_probs": "answering",
        "drift": "divergence",
        "fine_tune": "heads",
        "fine_tune_seq2seq": "seq2seq",
        "forgetting": "transfer",
        "forward_transfer": "transfer",
        "text_perplexity": "divergence",
    },
)
