"""From a pre-trained model to a task: new heads on labelled examples, or pairs of texts."""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "SentimentTask": "heads",
        "EntityTask": "heads",
        "fine_tune": "heads",
        "fine_tune_seq2seq": "seq2seq",
    },
)
