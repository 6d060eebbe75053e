"""A generated almanac: readable text whose probability is known exactly."""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "TAGS": "tasks",
        "World": "world",
        "bayes_accuracy": "tasks",
        "cloze": "tasks",
        "completions": "tasks",
        "entities": "tasks",
        "questions": "tasks",
        "reading": "pairs",
        "sentiment": "tasks",
        "summaries": "pairs",
        "to_inglosh": "language",
        "translation": "pairs",
    },
)
