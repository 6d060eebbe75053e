"""A recipe in, a run out: the one training loop, its optimizer and checkpoints."""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Adapter": "tables",
        "Data": "tables",
        "Model": "tables",
        "NonFiniteLossError": "loop",
        "Objective": "tables",
        "Optimization": "tables",
        "Recipe": "recipe",
        "RecipeError": "tables",
        "Record": "sweep",
        "Run": "run",
        "Source": "tables",
        "each_record": "sweep",
        "fit": "loop",
        "fresh_model": "start",
        "learning_rate_at": "optimizer",
        "load_base": "start",
        "make_optimizers": "optimizer",
        "prepare": "data",
        "run_and_measure": "sweep",
        "train": "run_recipe",
        "validation_loss": "run_recipe",
    },
)
