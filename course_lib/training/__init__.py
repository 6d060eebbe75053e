"""A recipe in, a run out: the one training loop, its optimizer, checkpoints and records."""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "CheckpointError": "checkpoint",
        "NonFiniteLossError": "loop",
        "Optimization": "recipe",
        "Record": "records",
        "Recipe": "recipe",
        "Run": "run",
        "Study": "records",
        "fit": "loop",
        "load_base": "bases",
        "make_base": "bases",
        "learning_rate_at": "optimizer",
        "load_records": "records",
        "make_optimizers": "optimizer",
        "fresh_model": "pretraining",
        "prepare": "data",
        "record": "records",
        "train": "pretraining",
    },
)
