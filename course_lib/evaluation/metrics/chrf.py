"""chrF: an F-score of characters in place of words.

Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation", with beta = 2 (Popović
2016), averaged over the orders for which both texts have n-grams, as sacrebleu does.
"""

from collections import Counter

import numpy as np

from course_lib.evaluation.metrics.counts import Counts
from course_lib.evaluation.metrics.references import References, pairs
from course_lib.runtime.checks import SomeTexts, checked

ORDER = 6  # the longest n-grams, in characters
BETA = 2  # recall counts so many times as much as precision


@checked
def chrf(predictions: SomeTexts, references: References) -> float:
    """Corpus chrF, 0 to 100: an F-score of runs of one to six characters, white space left out.

    A word with another ending is nearly right here, and plainly wrong for BLEU. Of several
    references each prediction is held against the one that it agrees with best.

    Raises:
        BadArgumentError: no predictions, or not one entry of references for each.
    """
    return chrf_counts(predictions, references).score


@checked
def chrf_counts(predictions: SomeTexts, references: References) -> Counts:
    """What each prediction adds to `chrf`: per order its n-grams, the reference's, the matches."""
    rows = [_row(text, refs) for text, refs in pairs(predictions, references)]
    return Counts("chrF", np.array(rows), _score)


def _row(text: str, references: list[str]) -> list[int]:
    own = _ngrams(text)
    return max((_overlap(own, _ngrams(reference)) for reference in references), key=_score)


def _ngrams(text: str) -> list[Counter[str]]:
    letters = "".join(text.split())
    return [
        Counter(letters[start : start + n] for start in range(len(letters) - n + 1))
        for n in range(1, ORDER + 1)
    ]


def _overlap(own: list[Counter[str]], other: list[Counter[str]]) -> list[int]:
    row = []
    for a, b in zip(own, other, strict=True):
        # An order that the reference is too short for does not count against the text.
        matches = sum(min(count, b[ngram]) for ngram, count in a.items() if ngram in b)
        row += [a.total() if b else 0, b.total(), matches]
    return row


def _score(sums: np.ndarray | list[int]) -> float:
    """chrF of summed counts, as `chrf_counts` orders them."""
    orders = [sums[at : at + 3] for at in range(0, 3 * ORDER, 3)]
    counted = [(own, other, matches) for own, other, matches in orders if own and other]
    precision = sum(float(m) / own for own, _, m in counted)
    recall = sum(float(m) / other for _, other, m in counted)
    if not precision + recall:
        return 0.0
    precision, recall = precision / len(counted), recall / len(counted)
    return 100 * (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)
