"""The course's scores as modules of Hugging Face Evaluate.

`evaluate.load("bleu")` fetches code from the hub and runs it. These classes are here, work without
a network, and can be combined: `evaluate.combine([Bleu(), Rouge()])`. Importing this module
imports evaluate, which takes seconds.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import evaluate
from datasets import Features, Sequence, Value

from course_lib.evaluation.metrics.bleu import bleu
from course_lib.evaluation.metrics.chrf import chrf
from course_lib.evaluation.metrics.classification import Labels, accuracy, classes_of, f1, matthews
from course_lib.evaluation.metrics.references import References, pairs
from course_lib.evaluation.metrics.rouge import rouge
from course_lib.evaluation.metrics.squad import exact_match, token_f1
from course_lib.runtime import cache_path
from course_lib.runtime.checks import BadArgumentError, SomeTexts, checked


@checked
def texts(predictions: SomeTexts, references: References) -> tuple[list[str], list[list[str]]]:
    """Texts and lists of references that fit together, whatever they came as."""
    pairs(predictions, references)
    return predictions, references


@checked
def labels(predictions: Labels, references: Labels) -> tuple[list[int], list[int]]:
    """Labels that fit together, whatever they came as."""
    classes_of(predictions, references)
    return predictions, references


class _Metric(evaluate.Metric):
    """A metric that keeps what is added in memory; takes the arguments of `evaluate.Metric`.

    Raises:
        BadArgumentError: on `compute` or `add`, for what the function behind it refuses.
    """

    function: ClassVar[Callable[..., float | dict[str, float]]]
    citation: ClassVar[str]
    inputs: ClassVar[str]
    read: ClassVar[Callable[[Any, Any], tuple[Any, Any]]]

    def __init__(self, **settings: Any) -> None:
        defaults = {"keep_in_memory": True, "cache_dir": str(cache_path("metrics"))}
        super().__init__(**(defaults | settings))

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.function.__doc__,
            citation=self.citation,
            inputs_description=self.inputs,
            features=self._columns(),
        )

    def compute(
        self, *, predictions: Any = None, references: Any = None, **settings: Any
    ) -> dict[str, float]:
        """Score what is given here, after what was added before."""
        if predictions is None and self.writer is None:
            raise BadArgumentError("predictions: give some here, or add some first.")
        return super().compute(predictions=predictions, references=references, **settings)

    def add_batch(self, *, predictions: Any, references: Any, **settings: Any) -> None:
        """Add predictions with their references."""
        predictions, references = type(self).read(predictions, references)
        super().add_batch(predictions=predictions, references=references, **settings)

    def add(self, *, prediction: Any = None, reference: Any = None, **given: Any) -> None:
        """Add one prediction with its reference or references."""
        # `evaluate.combine` hands the one item on under the names of the columns.
        prediction, reference = (
            given.pop("predictions", prediction),
            given.pop("references", reference),
        )
        self.add_batch(predictions=[prediction], references=[reference], **given)

    def _compute(self, predictions: Any, references: Any, **settings: Any) -> dict[str, float]:
        score = type(self).function(predictions, references, **settings)
        return score if isinstance(score, dict) else {self.function.__name__: score}


class TextMetric(_Metric):
    """A score of texts against one or several references each."""

    inputs = "predictions: a text each. references: for each prediction a text, or a list of texts."
    read = staticmethod(texts)

    def _columns(self) -> Features:
        return Features({"predictions": Value("string"), "references": Sequence(Value("string"))})


class LabelMetric(_Metric):
    """A score of labels, whole numbers from 0 on, as a classifier gives them."""

    inputs = "predictions and references: a whole number each."
    read = staticmethod(labels)

    def _columns(self) -> Features:
        return Features({"predictions": Value("int64"), "references": Value("int64")})


class Bleu(TextMetric):
    """Corpus BLEU, 0 to 100; see `course_lib.evaluation.bleu`."""

    function = staticmethod(bleu)
    citation = "Papineni et al. 2002, BLEU; Post 2018, A Call for Clarity in Reporting BLEU Scores"


class Rouge(TextMetric):
    """ROUGE-1, -2, -L and -Lsum, 0 to 1; see `course_lib.evaluation.rouge`."""

    function = staticmethod(rouge)
    citation = "Lin 2004, ROUGE"


class Chrf(TextMetric):
    """Corpus chrF, 0 to 100; see `course_lib.evaluation.chrf`."""

    function = staticmethod(chrf)
    citation = "Popović 2015, chrF"


class ExactMatch(TextMetric):
    """Share of exact matches, 0 to 1; see `course_lib.evaluation.exact_match`."""

    function = staticmethod(exact_match)
    citation = "Rajpurkar et al. 2016, SQuAD"


class TokenF1(TextMetric):
    """Word overlap, 0 to 1; see `course_lib.evaluation.token_f1`."""

    function = staticmethod(token_f1)
    citation = "Rajpurkar et al. 2016, SQuAD"


class Accuracy(LabelMetric):
    """Share of right labels, 0 to 1; see `course_lib.evaluation.accuracy`."""

    function = staticmethod(accuracy)
    citation = "the share of right answers"


class F1(LabelMetric):
    """F1 of labels, 0 to 1, macro unless told otherwise; see `course_lib.evaluation.f1`."""

    function = staticmethod(f1)
    citation = "van Rijsbergen 1979, Information Retrieval"


class Matthews(LabelMetric):
    """Matthews correlation, -1 to 1; see `course_lib.evaluation.matthews`."""

    function = staticmethod(matthews)
    citation = "Matthews 1975; Gorodkin 2004"
