"""Scoring rules that the harness has not got: ratings, and BIG-bench's two.

The harness hands over an item and what the model said of it: for choices a pair (log-likelihood,
whether greedy decoding would have written it) each, for free text the text.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr

Said = Sequence[tuple[float, bool]]
Pairs = Sequence[tuple[float, float]]


def rated(doc: dict[str, Any], results: Said) -> dict[str, tuple[float, float]]:
    """The rating of a text pair: the mean of the ratings 0, 1, 2, ..., weighted by probability."""
    scores = np.array([score for score, _ in results])
    weights = np.exp(scores - scores.max())
    rating = float(weights @ np.arange(len(weights)) / weights.sum())
    return {name: (float(doc["rating"]), rating) for name in ("pearson", "spearman")}


def pearson(pairs: Pairs) -> float:
    """The correlation of the ratings with the true ones; 0 where all ratings are the same."""
    return _correlation(pearsonr, pairs)


def spearman(pairs: Pairs) -> float:
    """The same of their ranks."""
    return _correlation(spearmanr, pairs)


def multiple_choice_grade(doc: dict[str, Any], results: Said) -> dict[str, float]:
    """BIG-bench: the score that the item gives to the likeliest choice, 1 for the best of them.

    Of several choices that are equally likely, the mean.
    """
    likelihood = np.array([score for score, _ in results])
    worth = np.array(doc["scores"], dtype=float)
    return {"multiple_choice_grade": float(worth[likelihood == likelihood.max()].mean())}


def exact_str_match(doc: dict[str, Any], results: Sequence[str]) -> dict[str, float]:
    """BIG-bench: 1 if the text is, letter for letter, one of the targets, and else 0.

    Spaces around it do not count; of a task with an `output_regex`, its first match is taken.
    """
    text = results[0]
    if doc.get("output_regex"):
        found = re.search(doc["output_regex"], text)
        text = found[0] if found else ""
    return {"exact_str_match": float(text.strip() in doc["targets"])}


def _correlation(measure: Any, pairs: Pairs) -> float:
    true, rated = zip(*pairs, strict=True)
    if len(set(rated)) < 2 or len(set(true)) < 2:
        return 0.0
    return float(measure(true, rated).statistic)
