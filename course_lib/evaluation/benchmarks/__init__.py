"""Benchmarks in the forms of GLUE, SuperGLUE, MMLU and BIG-bench, on lm-evaluation-harness."""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "BigBenchTask": "bigbench",
        "Evaluation": "harness",
        "NgramModel": "ngram",
        "Score": "scores",
        "evaluate_tasks": "harness",
        "read_bigbench": "bigbench",
        "require_generative": "harness",
        "splits": "items",
        "task_names": "harness",
    },
)
