"""ROUGE: how much of a reference a text has said again.

Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"; tokens, ties and rounding as in
rouge-score, which follows the original Perl program.
"""

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Literal, NamedTuple

from course_lib.evaluation.metrics.counts import Counts, mean_of
from course_lib.evaluation.metrics.references import References, pairs
from course_lib.runtime.checks import SomeTexts, checked

if TYPE_CHECKING:
    from nltk.stem.porter import PorterStemmer

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
Part = Literal["f1", "precision", "recall"]

_WORD = re.compile("[a-z0-9]+")
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n")
_STEMMED = 4  # letters; shorter words stay as they are


class Overlap(NamedTuple):
    """Shares of the prediction (precision) and of the reference (recall), and their F1."""

    precision: float
    recall: float
    f1: float


@checked
def rouge(
    predictions: SomeTexts, references: References, *, stem: bool = False, part: Part = "f1"
) -> dict[str, float]:
    """ROUGE-1, -2, -L and -Lsum, 0 to 1: the mean over predictions.

    "rouge1" and "rouge2" compare words and pairs of words, "rougeL" the longest common subsequence
    of the whole texts, "rougeLsum" that of each sentence with all sentences of the other text. With
    several references a prediction is held, type by type, against the one with the highest F1.

    The words are what is left of a text in lower case after all but a-z and 0-9 is cut out: a
    text in another script has none and scores 0 even against itself, of which you are warned.

    Args:
        predictions: the texts to be scored.
        references: for each prediction a text, or a list of texts that are all right.
        stem: compare the stems of English words, so that "works" and "worked" agree (Porter 1980).
        part: the F-measure, or one of the two shares that it is made of.

    Raises:
        BadArgumentError: no predictions, or not one entry of references for each.
    """
    counts = rouge_counts(predictions, references, stem=stem, part=part)
    return {name: kind.score for name, kind in counts.items()}


@checked
def rouge_counts(
    predictions: SomeTexts, references: References, *, stem: bool = False, part: Part = "f1"
) -> dict[str, Counts]:
    """What each prediction adds to each type of `rouge`, which takes the same arguments."""
    each = pairs(predictions, references)
    _warn_of_texts_without_words([*predictions, *(text for _, refs in each for text in refs)])
    best = [_best(_read(text, stem), [_read(ref, stem) for ref in refs]) for text, refs in each]
    detail = f", {part}, stems" if stem else f", {part}"
    return {
        name: mean_of(name + detail, [getattr(overlaps[name], part) for overlaps in best])
        for name in ROUGE_TYPES
    }


Sentences = list[list[str]]


def _read(text: str, stem: bool) -> Sentences:
    """The words of each sentence."""
    sentences = [_WORD.findall(sentence) for sentence in _BETWEEN_SENTENCES.split(text.lower())]
    return [[_stem(word) for word in words] for words in sentences] if stem else sentences


def _best(prediction: Sentences, references: list[Sentences]) -> dict[str, Overlap]:
    each = [_overlaps(prediction, reference) for reference in references]
    return {name: max((o[name] for o in each), key=lambda o: o.f1) for name in ROUGE_TYPES}


def _overlaps(prediction: Sentences, reference: Sentences) -> dict[str, Overlap]:
    given, wanted = list(chain(*prediction)), list(chain(*reference))
    return {
        "rouge1": _ngram_overlap(given, wanted, 1),
        "rouge2": _ngram_overlap(given, wanted, 2),
        "rougeL": _overlap(_lcs_table(wanted, given)[-1][-1], len(given), len(wanted)),
        "rougeLsum": _overlap(_shared(prediction, reference), len(given), len(wanted)),
    }


def _ngram_overlap(given: list[str], wanted: list[str], n: int) -> Overlap:
    a, b = _ngrams(given, n), _ngrams(wanted, n)
    return _overlap((a & b).total(), a.total(), b.total())


def _ngrams(words: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[start:] for start in range(n)), strict=False))


def _overlap(shared: int, given: int, wanted: int) -> Overlap:
    if not shared:
        return Overlap(0.0, 0.0, 0.0)
    return Overlap(shared / given, shared / wanted, 2 * shared / (given + wanted))


def _lcs_table(a: list[str], b: list[str]) -> list[list[int]]:
    """How long the longest common subsequence of the first i and the first j words is, [i][j]."""
    table = [[0] * (len(b) + 1)]
    for word in a:
        above, row = table[-1], [0]
        for at, other in enumerate(b):
            row.append(above[at] + 1 if word == other else max(above[at + 1], row[at]))
        table.append(row)
    return table


def _lcs_places(a: list[str], b: list[str]) -> set[int]:
    """Where in `a` a longest common subsequence stands; of several, the one rouge-score takes."""
    table, places, i, j = _lcs_table(a, b), set(), len(a), len(b)
    while i and j:
        if a[i - 1] == b[j - 1]:
            i, j = i - 1, j - 1
            places.add(i)
        elif table[i][j - 1] > table[i - 1][j]:
            j -= 1
        else:
            i -= 1
    return places


def _shared(prediction: Sentences, reference: Sentences) -> int:
    """ROUGE-Lsum's hits: each reference sentence may be found in pieces, in several sentences.

    A word counts at most as often as either text has it, which Lin's section 3.2 does not say and
    the original program does.
    """
    left = Counter(chain(*prediction)) & Counter(chain(*reference))
    hits = 0
    for sentence in reference:
        places = set().union(*(_lcs_places(sentence, other) for other in prediction))
        for place in sorted(places):
            if left[sentence[place]]:
                left[sentence[place]] -= 1
                hits += 1
    return hits


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    return _stemmer().stem(word) if len(word) >= _STEMMED else word


@cache
def _stemmer() -> "PorterStemmer":
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()


def _warn_of_texts_without_words(texts: Sequence[str]) -> None:
    unseen = [text for text in texts if text.strip() and not _WORD.search(text.lower())]
    if unseen:
        warnings.warn(
            f"{len(unseen)} texts have no letter a-z and no digit, such as {unseen[0][:20]!r}: "
            "ROUGE sees no words in them and scores 0.",
            stacklevel=4,
        )
