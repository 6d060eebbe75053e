"""The scores of `course_lib.evaluation.metrics.text` as modules of Hugging Face Evaluate.

`evaluate.load("bleu")` fetches code from the hub and runs it. These classes are here, work without
a network, and can be combined: `evaluate.combine([Bleu(), Rouge()])`. Importing this module
imports evaluate, which takes seconds.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import evaluate
from datasets import Features, Sequence, Value

from course_lib.evaluation.metrics import text
from course_lib.evaluation.metrics.text import References, reference_lists
from course_lib.runtime import cache_path

CITATIONS = {
    "bleu": "Papineni et al. 2002, BLEU; Post 2018, A Call for Clarity in Reporting BLEU Scores",
    "rouge": "Lin 2004, ROUGE",
    "exact_match": "Rajpurkar et al. 2016, SQuAD",
    "token_f1": "Rajpurkar et al. 2016, SQuAD",
}
INPUTS = "predictions: a text each. references: for each prediction a text, or a list of texts."


class TextMetric(evaluate.Metric):
    """A metric of predictions against references, one or several for each prediction.

    What is added stays in memory. Takes the arguments of `evaluate.Metric`.

    Raises:
        ValueError: on `compute` or `add`, for empty input or references in another layout.
    """

    function: ClassVar[Callable[..., float | dict[str, float]]]

    def __init__(self, **settings: Any) -> None:
        defaults = {"keep_in_memory": True, "cache_dir": str(cache_path("metrics"))}
        super().__init__(**(defaults | settings))

    def _info(self) -> evaluate.MetricInfo:
        name = self.function.__name__
        return evaluate.MetricInfo(
            description=self.function.__doc__,
            citation=CITATIONS[name],
            inputs_description=INPUTS,
            features=Features(
                {"predictions": Value("string"), "references": Sequence(Value("string"))}
            ),
        )

    def compute(
        self,
        *,
        predictions: list[str] | None = None,
        references: References | None = None,
        **settings: Any,
    ) -> dict[str, float]:
        """Score what is given here, after what was added before."""
        if predictions is None and self.writer is None:
            raise ValueError("No predictions: give some here, or add some first.")
        return super().compute(predictions=predictions, references=references, **settings)

    def add_batch(self, *, predictions: list[str], references: References, **settings: Any) -> None:
        """Add predictions with their references."""
        each = reference_lists(predictions, references)
        super().add_batch(predictions=predictions, references=each, **settings)

    def add(self, *, prediction: str, reference: str | list[str], **settings: Any) -> None:
        """Add one prediction with its reference or references."""
        [each] = reference_lists([prediction], [reference])
        super().add(prediction=prediction, reference=each, **settings)

    def _compute(
        self, predictions: list[str], references: list[list[str]], **settings: Any
    ) -> dict[str, float]:
        score = type(self).function(predictions, references, **settings)
        return score if isinstance(score, dict) else {self.function.__name__: score}


class Bleu(TextMetric):
    """Corpus BLEU, 0 to 100; see `course_lib.evaluation.bleu`."""

    function = staticmethod(text.bleu)


class Rouge(TextMetric):
    """ROUGE-1, -2, -L and -Lsum, 0 to 1; see `course_lib.evaluation.rouge`."""

    function = staticmethod(text.rouge)


class ExactMatch(TextMetric):
    """Share of exact matches, 0 to 1; see `course_lib.evaluation.exact_match`."""

    function = staticmethod(text.exact_match)


class TokenF1(TextMetric):
    """Word overlap, 0 to 1; see `course_lib.evaluation.token_f1`."""

    function = staticmethod(text.token_f1)
