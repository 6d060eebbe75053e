"""Guards intervals and tests over items: the libraries' numbers, exact enumeration, coverage.

Run with: pytest tests/evaluation/test_metrics_significance.py
"""

from itertools import product

import numpy as np
import pytest
import torch
from refusals import assert_refused
from rouge_score.scoring import BootstrapAggregator, Score

from course_lib.evaluation import (
    Counts,
    accuracy_counts,
    bleu,
    bleu_counts,
    bootstrap_interval,
    exact_match_counts,
    f1_counts,
    paired_bootstrap,
    paired_randomization,
    rouge_counts,
    token_f1_counts,
)
from course_lib.evaluation.metrics.counts import mean_of
from course_lib.runtime import generator

WORDS = ["the", "cat", "dog", "sat", "on", "a", "mat", "rug", "and", "ran", "to", "it"]


def texts(count, seed, length=8):
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, length)) for _ in range(count)]


def worse(references, share, seed):
    """The references with some words replaced by others."""
    draw = np.random.default_rng(seed)
    return [
        " ".join(draw.choice(WORDS) if draw.random() < share else w for w in text.split())
        for text in references
    ]


def test_the_score_of_some_items_is_the_score_of_those_texts():
    """What a resample relies on: counts of items add up to what the function says of them."""
    references = texts(20, 0)
    predictions = worse(references, 0.4, 1)
    counts = bleu_counts(predictions, references)
    chosen = [3, 3, 7, 12, 19, 0]
    expected = bleu([predictions[i] for i in chosen], [references[i] for i in chosen])
    assert counts.score_of(counts.rows[chosen].sum(axis=0)) == pytest.approx(expected)


def test_bounds_are_rouge_scores_on_the_same_resamples(monkeypatch):
    references = texts(30, 0)
    counts = rouge_counts(worse(references, 0.4, 1), references)["rouge1"]
    draw = generator(5, "bootstrap")

    def choose(items, **_):
        return torch.randint(len(items), (len(items),), generator=draw).numpy()

    monkeypatch.setattr(np.random, "choice", choose)
    aggregator = BootstrapAggregator(n_samples=200)
    for value in counts.each:
        aggregator.add_scores({"rouge1": Score(value, value, value)})
    theirs = aggregator.aggregate()["rouge1"]
    ours = bootstrap_interval(counts, resamples=200, seed=5)
    assert (ours.low, ours.high) == pytest.approx((theirs.low.fmeasure, theirs.high.fmeasure))
    assert ours.mean == pytest.approx(np.mean(counts.each))
    assert ours.n == 30


def test_the_bootstrap_of_a_mean_has_its_standard_error():
    values = np.random.default_rng(0).normal(0.5, 0.2, 400)
    found = bootstrap_interval(mean_of("mean", values), resamples=4000)
    half = 1.96 * values.std() / 20
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.06)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """300 test sets of 60; five sigma of a binomial, and the percentile's own small shortfall."""
    draw = np.random.default_rng(1)
    covered = 0
    for trial in range(300):
        counts = mean_of("mean", (draw.random(60) < 0.3).astype(float))
        found = bootstrap_interval(counts, resamples=300, seed=trial)
        covered += found.low <= 0.3 <= found.high
    assert abs(covered / 300 - 0.94) < 5 * (0.95 * 0.05 / 300) ** 0.5


def test_pairing_cancels_what_is_hard_for_both():
    hard = np.random.default_rng(0).random(200)
    a = mean_of("mean", hard + 0.02 + np.random.default_rng(1).normal(0, 0.02, 200))
    b = mean_of("mean", hard)
    found = paired_bootstrap(a, b)
    assert found.low > 0
    assert found.high - found.low < 0.01
    assert bootstrap_interval(a).high - bootstrap_interval(a).low > 0.05


def exact_p(a, b):
    """All ways to exchange the outputs of two systems, item by item."""
    observed = abs(a.score - b.score)
    extreme = 0
    for swap in product([False, True], repeat=len(a.rows)):
        s = np.array(swap)[:, None]
        one, two = np.where(s, b.rows, a.rows), np.where(s, a.rows, b.rows)
        gap = abs(a.score_of(one.sum(axis=0)) - a.score_of(two.sum(axis=0)))
        extreme += gap >= observed - 1e-12
    return extreme / 2 ** len(a.rows)


@pytest.mark.parametrize("share", [0.25, 0.45])
@pytest.mark.parametrize("counts_of", [bleu_counts, token_f1_counts])
def test_randomization_estimates_the_exact_p_value(counts_of, share):
    references = texts(9, 0, length=12)
    a = counts_of(worse(references, 0.2, 1), references)
    b = counts_of(worse(references, share, 2), references)
    p = exact_p(a, b)
    found = paired_randomization(a, b, resamples=2000)
    assert abs(found - p) < 4 * (p * (1 - p) / 2000) ** 0.5 + 1e-3


def test_randomization_agrees_with_sacrebleus():
    from sacrebleu.metrics import BLEU
    from sacrebleu.significance import PairedTest

    references = texts(80, 0, length=12)
    one, two = worse(references, 0.2, 1), worse(references, 0.25, 2)
    systems = [("one", one), ("two", two)]
    _, scores = PairedTest(systems, {"BLEU": BLEU()}, [references], n_samples=2000)()
    theirs = scores["BLEU"][1].p_value
    found = paired_randomization(
        bleu_counts(one, references), bleu_counts(two, references), resamples=2000
    )
    assert 0.001 < theirs < 0.9, "a case that could show a difference"
    assert abs(found - theirs) < 5 * (2 * theirs * (1 - theirs) / 2000) ** 0.5 + 1e-3


def test_systems_that_differ_by_chance_are_rarely_called_different():
    draw, small = np.random.default_rng(3), 0
    for trial in range(200):
        a, b = (mean_of("mean", (draw.random(40) < 0.5).astype(float)) for _ in range(2))
        small += paired_randomization(a, b, resamples=200, seed=trial) <= 0.05
    assert small / 200 < 0.05 + 4 * (0.05 * 0.95 / 200) ** 0.5


def test_the_same_system_twice_does_not_differ():
    references = texts(10, 0)
    a = bleu_counts(worse(references, 0.3, 1), references)
    assert paired_randomization(a, a, resamples=50) == 1
    found = paired_bootstrap(a, a, resamples=50)
    assert (found.mean, found.low, found.high) == (0, 0, 0)


def test_the_seed_and_nothing_else_decides():
    counts = mean_of("mean", np.random.default_rng(0).random(50))
    one = bootstrap_interval(counts, seed=1)
    np.random.seed(3)  # noqa: NPY002
    assert bootstrap_interval(counts, seed=1) == one
    assert bootstrap_interval(counts, seed=2) != one


def test_a_class_that_a_resample_misses_is_left_out_of_the_macro_mean():
    counts = f1_counts(["a", "a", "b"], ["a", "a", "b"])
    assert counts.score_of(counts.rows[:2].sum(axis=0)) == 1


def test_what_cannot_be_compared_is_named():
    a, b = accuracy_counts([1, 0], [1, 1]), accuracy_counts([1, 0, 1], [1, 1, 1])
    for compare in (paired_bootstrap, paired_randomization):
        assert_refused(lambda c=compare: c(a, b), "2 and 3 items")
        exact = exact_match_counts(["a", "b"], ["a", "b"])
        assert_refused(lambda c=compare, e=exact: c(a, e), "accuracy", "exact match")
        f = f1_counts(["x", "y"], ["x", "x"]), f1_counts(["x", "z"], ["x", "x"])
        assert_refused(lambda c=compare, f=f: c(*f), "'y'", "'z'")
        known = [
            f1_counts(p, ["x", "x"], classes=["x", "y", "z"]) for p in (["x", "y"], ["x", "z"])
        ]
        compare(*known, resamples=5)
    assert_refused(lambda: bootstrap_interval(a, level=95), "level=95", "below 1")
    assert_refused(lambda: bootstrap_interval(a, resamples=0), "resamples=0")
    assert_refused(lambda: bootstrap_interval(0.5), "counts=0.5")
    assert_refused(lambda: mean_of("mine", [0.5, float("nan")]), "mine", "finite")
    assert_refused(lambda: mean_of("mine", []), "at least one")
    for wrong in (None, ["good"], [[1.0], [2.0]]):
        assert_refused(lambda w=wrong: mean_of("mine", w), "list of numbers")
    assert_refused(lambda: Counts("none", [[1, 2]], sum), "an array")
    assert_refused(lambda: Counts("none", np.zeros((0, 2)), sum), "rows=(0, 2)", "at least one")
