"""BLEU: which share of a text's runs of one to four words stands in a reference, too.

Papineni et al. 2002, "BLEU: a Method for Automatic Evaluation of Machine Translation"; the tokens
and the smoothing of sacrebleu's defaults, which make scores of different papers comparable (Post
2018, "A Call for Clarity in Reporting BLEU Scores").
"""

import math
import re
from collections import Counter
from functools import partial
from typing import Literal

import numpy as np

from course_lib.evaluation.metrics.counts import Counts
from course_lib.evaluation.metrics.references import References, pairs
from course_lib.runtime.checks import SomeTexts, Text, checked

ORDER = 4  # the longest n-grams
Smoothing = Literal["exp", "floor", "add-k", "none"]

_FLOOR, _K = 0.1, 1  # as Chen and Cherry (2014) set them
_ENTITIES = {"&quot;": '"', "&amp;": "&", "&lt;": "<", "&gt;": ">"}
# mteval-v13a.pl: ASCII marks stand alone; a full stop or a comma does unless digits are on both
# sides of it, a hyphen where a digit is on its left.
_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"([!-&(-+/:-@\[-`{-~])", r" \1 "),
        (r"([^0-9])([.,])", r"\1 \2 "),
        (r"([.,])([^0-9])", r" \1 \2"),
        (r"([0-9])(-)", r"\1 \2 "),
    )
)


@checked
def bleu(
    predictions: SomeTexts,
    references: References,
    *,
    smoothing: Smoothing = "exp",
    effective_order: bool = False,
) -> float:
    """Corpus BLEU, 0 to 100.

    The geometric mean of the precisions of 1- to 4-grams, each n-gram counting as often as it
    stands in the reference that has it most often, times a penalty for being shorter than the
    references (of several the one that is nearest in length). Counts are summed over the corpus
    first: it is not the mean over sentences.

    Args:
        predictions: the texts to be scored.
        references: for each prediction a text, or a list of texts that are all right.
        smoothing: what a precision of zero becomes, since one zero would make the product zero
            (Chen and Cherry 2014): "exp" halves at each such order (the default), "floor" counts
            0.1 matches, "add-k" adds one match and one n-gram to all orders but the first, "none"
            leaves the zero.
        effective_order: leave out orders longer than any prediction. Otherwise a corpus of texts
            under four words scores 0, even a perfect one.

    Raises:
        BadArgumentError: no predictions, or not one entry of references for each.
    """
    return bleu_counts(
        predictions, references, smoothing=smoothing, effective_order=effective_order
    ).score


@checked
def sentence_bleu(
    prediction: Text, references: Text | SomeTexts, *, smoothing: Smoothing = "exp"
) -> float:
    """BLEU of one text, 0 to 100, by as many orders as it has words for (`effective_order`)."""
    return bleu([prediction], [references], smoothing=smoothing, effective_order=True)


@checked
def bleu_counts(
    predictions: SomeTexts,
    references: References,
    *,
    smoothing: Smoothing = "exp",
    effective_order: bool = False,
) -> Counts:
    """What each prediction adds to `bleu`, which takes the same arguments.

    The numbers are its length in tokens, the length of the reference nearest to that, then the
    matches of 1- to 4-grams and how many such n-grams it has.
    """
    rows = [_row(text, refs) for text, refs in pairs(predictions, references)]
    name = f"BLEU, smoothing {smoothing}, effective order {effective_order}"
    return Counts(name, np.array(rows), partial(_score, smoothing, effective_order))


@checked
def words_13a(text: Text) -> list[str]:
    """The tokens of mteval-v13a.pl: words, with marks apart from them; case counts."""
    return _words(text)


def _words(text: str) -> list[str]:
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, mark in _ENTITIES.items():
        text = text.replace(entity, mark)
    text = f" {text} "
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text.split()


def _row(text: str, references: list[str]) -> list[int]:
    words, others = _words(text), [_words(reference) for reference in references]
    nearest = min(map(len, others), key=lambda length: (abs(length - len(words)), length))
    matches = []
    for n in range(1, ORDER + 1):
        allowed = _ngrams(others[0], n)
        for other in others[1:]:
            allowed |= _ngrams(other, n)  # the larger count of each n-gram
        own = _ngrams(words, n)
        matches.append(sum(min(count, allowed[ngram]) for ngram, count in own.items()))
    totals = [max(len(words) - n, 0) for n in range(ORDER)]
    return [len(words), nearest, *matches, *totals]


def _ngrams(words: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[start:] for start in range(n)), strict=False))


def _score(smoothing: Smoothing, effective_order: bool, sums: np.ndarray) -> float:
    """BLEU of summed counts, as `bleu_counts` orders them."""
    length, reference_length, *counts = (float(number) for number in sums)
    matches, totals = counts[:ORDER], counts[ORDER:]
    if not any(matches):
        return 0.0
    logs, halved = [], 1.0
    for n, (right, total) in enumerate(zip(matches, totals, strict=True)):
        if smoothing == "add-k" and n:
            right, total = right + _K, total + _K
        if not total:
            break
        if not right and smoothing == "exp":
            halved /= 2
            right = halved
        elif not right and smoothing == "floor":
            right = _FLOOR
        logs.append(math.log(right / total) if right else -math.inf)
    if len(logs) < ORDER and not effective_order:
        return 0.0
    brevity = min(1.0, math.exp(1 - reference_length / length))
    return 100 * brevity * math.exp(sum(logs) / len(logs))
