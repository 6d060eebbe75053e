"""Exact match and token F1: the scores of short answers.

Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text", section 6.1,
and the evaluation script published with it.
"""

import re
from collections import Counter
from string import punctuation

from course_lib.evaluation.metrics.counts import Counts, mean_of
from course_lib.evaluation.metrics.references import References, pairs
from course_lib.runtime.checks import SomeTexts, checked

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", punctuation)


@checked
def exact_match(predictions: SomeTexts, references: References) -> float:
    """The share of predictions that equal one of their references, 0 to 1.

    Case, punctuation, articles and white space do not count.

    Raises:
        BadArgumentError: no predictions, or not one entry of references for each.
    """
    return exact_match_counts(predictions, references).score


@checked
def exact_match_counts(predictions: SomeTexts, references: References) -> Counts:
    """What each prediction adds to `exact_match`."""
    return mean_of(
        "exact match",
        [
            float(any(normalized(text) == normalized(reference) for reference in refs))
            for text, refs in pairs(predictions, references)
        ],
    )


@checked
def token_f1(predictions: SomeTexts, references: References) -> float:
    """Word overlap with the best reference, 0 to 1, on average over predictions.

    The harmonic mean of the share of the prediction's words that stand in the reference and the
    share of the reference's words that stand in the prediction, after `exact_match`'s
    normalisation. Two texts without words agree (as in SQuAD 2.0).

    Raises:
        BadArgumentError: no predictions, or not one entry of references for each.
    """
    return token_f1_counts(predictions, references).score


@checked
def token_f1_counts(predictions: SomeTexts, references: References) -> Counts:
    """What each prediction adds to `token_f1`."""
    return mean_of(
        "token F1",
        [
            max(_f1(normalized(text).split(), normalized(reference).split()) for reference in refs)
            for text, refs in pairs(predictions, references)
        ],
    )


def normalized(text: str) -> str:
    """In SQuAD's order: lower case, no punctuation, no articles, single spaces."""
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _f1(given: list[str], wanted: list[str]) -> float:
    if not given or not wanted:
        return float(given == wanted)
    shared = (Counter(given) & Counter(wanted)).total()
    return 2 * shared / (len(given) + len(wanted))
