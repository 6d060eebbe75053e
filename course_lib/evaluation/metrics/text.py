"""Scores of written text against references: BLEU, ROUGE, exact match and token F1.

Each function takes one prediction for each item, and for each prediction *its own* references: a
text, or a list of texts that are all right. Libraries disagree here: sacrebleu wants "streams",
the first references of all predictions, then all the second ones. A list for each prediction looks
much the same, raises no error, and scores 100 for a perfect first prediction whatever the others
say. So the layout is turned around here, once.

`course_lib.evaluation.metrics.modules` has the same scores as modules of Hugging Face Evaluate.
"""

import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import fmean
from string import punctuation

References = Sequence[str | Sequence[str]]

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_AFTER_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_ARTICLE = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", punctuation)


def bleu(predictions: Sequence[str], references: References) -> float:
    """Corpus BLEU, 0 to 100, by sacrebleu.

    The geometric mean of the precisions of 1- to 4-grams, each n-gram counting as often as it
    stands in a reference, times a penalty for being shorter than the references (Papineni et al.
    2002). Counts are summed over the corpus first: it is not the mean over sentences. Tokens are
    the "13a" ones and a precision of zero is smoothed, the defaults that make scores of different
    papers comparable (Post 2018).

    Raises:
        ValueError: no predictions, or not one reference or list of references for each.
    """
    from sacrebleu import corpus_bleu

    each = reference_lists(predictions, references)
    most = max(map(len, each))
    # sacrebleu takes None where a prediction has fewer references than another.
    streams = [[refs[i] if i < len(refs) else None for refs in each] for i in range(most)]
    return corpus_bleu(list(predictions), streams).score


def sentence_bleu(prediction: str, references: str | Sequence[str]) -> float:
    """BLEU of one sentence, 0 to 100.

    n-grams longer than the prediction are left out (sacrebleu's `effective_order`). Otherwise a
    perfect "Yes." would score next to nothing, for want of 4-grams.

    Raises:
        ValueError: no references.
    """
    from sacrebleu import sentence_bleu as score

    [refs] = reference_lists([prediction], [references])
    return score(prediction, refs, use_effective_order=True).score


def rouge(
    predictions: Sequence[str], references: References, *, stem: bool = False
) -> dict[str, float]:
    """ROUGE F-measures, 0 to 1, by rouge-score: the mean over predictions (Lin 2004).

    "rouge1" and "rouge2" compare words and pairs of words, "rougeL" the longest common subsequence
    of the whole texts, "rougeLsum" that of each sentence with all sentences of the other text. With
    several references a prediction gets the score of the best, type by type. `stem` compares word
    stems, in English.

    The words are what is left of a text in lower case after all but a-z and 0-9 is cut out: a
    text in another script has none and scores 0 even against itself, of which you are warned.

    Raises:
        ValueError: no predictions, or not one reference or list of references for each.
    """
    from rouge_score.rouge_scorer import RougeScorer

    each = reference_lists(predictions, references)
    _warn_of_texts_without_words([*predictions, *(text for refs in each for text in refs)])
    scorer = RougeScorer(ROUGE_TYPES, use_stemmer=stem)
    scores = [
        scorer.score_multi([_a_sentence_a_line(text) for text in refs], _a_sentence_a_line(text))
        for text, refs in zip(predictions, each, strict=True)
    ]
    return {name: fmean(score[name].fmeasure for score in scores) for name in ROUGE_TYPES}


def exact_match(predictions: Sequence[str], references: References) -> float:
    """The share of predictions that equal one of their references, 0 to 1.

    As for SQuAD (Rajpurkar et al. 2016): case, punctuation, articles and white space do not count.

    Raises:
        ValueError: no predictions, or not one reference or list of references for each.
    """
    return _mean_of_best(predictions, references, lambda a, b: float(a == b))


def token_f1(predictions: Sequence[str], references: References) -> float:
    """Word overlap with the best reference, 0 to 1, on average over predictions.

    The harmonic mean of the share of the prediction's words that stand in the reference and the
    share of the reference's words that stand in the prediction, after `exact_match`'s
    normalisation (Rajpurkar et al. 2016). Two texts without words agree (as in SQuAD 2.0).

    Raises:
        ValueError: no predictions, or not one reference or list of references for each.
    """
    return _mean_of_best(predictions, references, _f1_of_words)


def reference_lists(predictions: Sequence[str], references: References) -> list[list[str]]:
    """The references as a list for each prediction."""
    for name, texts in (("predictions", predictions), ("references", references)):
        if isinstance(texts, str):
            raise ValueError(f"{name} is a single text: give a list with an entry for each item.")
    if not len(predictions):
        raise ValueError("No predictions: there is nothing to score.")
    if len(predictions) != len(references):
        raise ValueError(
            f"{len(predictions)} predictions and {len(references)} references: give each "
            "prediction its own entry, a text or a list of texts."
        )
    each = [[entry] if isinstance(entry, str) else list(entry) for entry in references]
    for item, refs in enumerate(each):
        if not refs:
            raise ValueError(f"references[{item}] is empty: give at least one reference.")
        if not all(isinstance(text, str) for text in (predictions[item], *refs)):
            raise ValueError(f"Item {item} is not text: predictions and references are strings.")
    return each


def _a_sentence_a_line(text: str) -> str:
    """rougeLsum takes each line for a sentence."""
    return _AFTER_SENTENCE.sub("\n", text)


def _warn_of_texts_without_words(texts: Sequence[str]) -> None:
    unseen = [text for text in texts if text.strip() and not re.search("[a-z0-9]", text.lower())]
    if unseen:
        warnings.warn(
            f"{len(unseen)} texts have no letter a-z and no digit, such as {unseen[0][:20]!r}: "
            "ROUGE sees no words in them and scores 0.",
            stacklevel=3,
        )


def _mean_of_best(
    predictions: Sequence[str], references: References, score: Callable[[str, str], float]
) -> float:
    pairs = zip(predictions, reference_lists(predictions, references), strict=True)
    return fmean(
        max(score(_normalised(text), _normalised(reference)) for reference in refs)
        for text, refs in pairs
    )


def _normalised(text: str) -> str:
    """SQuAD's order: lower case, no punctuation, no articles, single spaces."""
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _f1_of_words(prediction: str, reference: str) -> float:
    given, wanted = prediction.split(), reference.split()
    if not given or not wanted:
        return float(given == wanted)
    shared = (Counter(given) & Counter(wanted)).total()
    return 2 * shared / (len(given) + len(wanted))
