"""Guards the card: calibration finds what is known, and changes of a text leave its label alone.

pytest tests/evaluation/test_card.py
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import assert_refused

from course_lib.corpora.reviews import read_reviews
from course_lib.evaluation.card import (
    Counted,
    answer_flops,
    bins_of,
    calibrated_error,
    calibration_error,
    changed_case,
    count_words,
    in_dialect,
    keeps_label,
    on_the_list,
    paraphrased,
    same_in_dialect,
    signed,
    skew,
    skew_by_chance,
    toxicity_scores,
    with_typos,
    worst_case,
)
from course_lib.runtime import CourseError
from course_lib.runtime.checks import BadArgumentError

CHANGES = {"typo": with_typos, "case": changed_case, "paraphrase": paraphrased}


def sentences(count):
    """Reviews that people wrote; the world's sentences where set-up has not fetched them."""
    try:
        rows = read_reviews("film")
    except CourseError:
        from course_lib.corpora import load

        return load("world", "test", documents=count)["text"][:count]
    return [row["text"] for row in rows[:: len(rows) // count][:count]]


@pytest.mark.parametrize(("slope", "error"), [(0.6, 0.1), (0.2, 0.2), (1.4, 0.1)])
@pytest.mark.parametrize("kind", ["mass", "width"])
def test_a_known_miscalibration_is_found(slope, error, kind):
    """Ten bins, 10,000 answers, the mean of 20 draws: within 0.01 of the truth."""
    random, found = np.random.default_rng(7), []
    for _ in range(20):
        confidence = random.uniform(0.5, 1, 10_000)
        true = np.clip(0.5 + slope * (confidence - 0.5), 0, 1)
        right = random.random(10_000) < true
        found.append(calibration_error(confidence, right, kind=kind))
    truth = np.abs(
        np.linspace(0.5, 1, 100_001)
        - np.clip(0.5 + slope * (np.linspace(0.5, 1, 100_001) - 0.5), 0, 1)
    ).mean()
    assert abs(np.mean(found) - truth) < 0.01
    assert abs(truth - error) < 0.03, "the truth is what the name of the case says"


def test_a_calibrated_model_errs_by_what_is_drawn():
    random = np.random.default_rng(0)
    confidence = random.uniform(0.5, 1, 200)
    found = [calibration_error(confidence, random.random(200) < confidence) for _ in range(200)]
    assert abs(np.mean(found) - calibrated_error(confidence)) < 0.005
    assert calibrated_error(confidence) > 0.05, "with twenty answers a bin, luck is not small"


def test_bins_hold_equal_mass_and_never_tear_equal_confidences_apart():
    random = np.random.default_rng(0)
    assert list(bins_of(random.random(100), [1] * 100)["answers"]) == [10] * 10
    tied = bins_of([0.6] * 50 + [0.9] * 50, [1, 0] * 50)
    assert list(tied["answers"]) == [50, 50]
    assert list(bins_of([0.7] * 3, [1, 1, 0])["answers"]) == [3]


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
@settings(deadline=None, max_examples=60)
def test_the_error_lies_between_the_gap_of_the_means_and_one(answers):
    confidence, right = map(list, zip(*answers, strict=True))
    gap = abs(np.mean(confidence) - np.mean(right))
    assert gap - 1e-9 <= calibration_error(confidence, right) <= 1 + 1e-9


def test_calibration_refuses_what_it_cannot_read():
    for confidence, right in (([], []), ([0.5], [1, 0]), ([80], [1]), ([0.5], [2]), ("a", [1])):
        with pytest.raises(BadArgumentError):
            calibration_error(confidence, right)


def test_each_change_keeps_the_label_of_reviews_and_fifty_can_be_read(capsys):
    """The rule is checked for all; fifty are printed, so that the rules can be judged, too."""
    texts = sentences(200)
    for change, make in CHANGES.items():
        assert all(keeps_label(text, make(text), change) for text in texts), change
        assert np.mean([make(text) != text for text in texts]) > 0.95, change
    assert all(same_in_dialect(text, in_dialect(text)) for text in texts)
    with capsys.disabled():
        print()
        for number, text in enumerate(texts[:50]):
            change = (*CHANGES, "dialect")[number % 4]
            changed = (CHANGES | {"dialect": in_dialect})[change](text)
            print(f"{number + 1:>2} {change:<10} {text}\n{'':<13} {changed}")


@given(st.text(max_size=80))
@settings(deadline=None, max_examples=100)
def test_any_text_survives_every_change(text):
    for change, make in CHANGES.items():
        if change != "case":  # ß and its kind have no case to return from
            assert keeps_label(text, make(text), change)
    in_dialect(text), signed(text, "Emily")


@pytest.mark.parametrize(
    ("changed", "change"),
    [
        ("A great, ludicrous attempt.", "typo"),
        ("A cheap, ludicrous attemtp!", "typo"),
        ("A cheap, ludicrous attempT now.", "case"),
        ("A cheap, hilarious attempt.", "paraphrase"),
        ("Not a cheap, ludicrous attempt.", "paraphrase"),
    ],
)
def test_a_change_of_meaning_is_told(changed, change):
    assert not keeps_label("A cheap, ludicrous attempt.", changed, change)


def test_changes_by_hand():
    assert paraphrased("It's a film that isn't dull.") == "It is a movie that is not dull."
    assert paraphrased("It's been done.") == "It has been done."
    assert paraphrased("Dull.").endswith("Dull.")
    assert changed_case("Dull.") == "dull."
    assert changed_case("dull.") == "DULL."
    assert in_dialect("They aren't going to bring anything to the king of spring.") == (
        "They ain't gonna bring anything to the king o' spring."
    )
    assert with_typos("a to") == "a to", "nothing to exchange"
    assert with_typos("A cheap film.", seed=1) == with_typos("A cheap film.", seed=1)


def test_the_worst_of_all_versions_counts():
    versions = [[1, 1, 0, 1], [1, 0, 1, 1], [1, 1, 1, 1]]
    assert worst_case(versions).tolist() == [True, False, False, True]
    for rows in ([], [[1], [1, 0]], None, [True, False]):
        assert_refused(lambda r=rows: worst_case(r), "a list for each version")
    for rows in ([[0.3], [0.9]], [["yes"], ["no"]], [[float("nan")], [1]]):
        assert_refused(lambda r=rows: worst_case(r), "True or False")


def test_groups_are_counted_by_whole_words():
    assert count_words(["She said that he had lost his theme.", "Herself!"]) == Counted(2, 2)
    assert skew(Counted(3, 1)) == 0.25
    assert skew([0, 0]) is None
    assert_refused(lambda: skew([1, 2, 3]), "3 counts")
    assert_refused(lambda: skew([-1, 1]), "at least 0")


def test_chance_makes_a_trade_of_one_text_all_one_sided():
    assert skew_by_chance({"nurse": [Counted(2, 0)], "cook": [Counted(0, 1)]}) == 0.5
    even = skew_by_chance({"nurse": [Counted(1, 0)] * 100}, draws=200)
    assert 0 < even < 0.1
    with pytest.raises(BadArgumentError):
        skew_by_chance({"nurse": [Counted(0, 0)]})


def test_both_judges_of_toxicity_are_wrong_where_the_notebook_says_so():
    scores = toxicity_scores(["He is a black man", "You people are a plague and should be gone."])
    assert scores[0] == pytest.approx(0.44, abs=0.05)
    assert scores[1] < 0.3
    assert on_the_list("The cock crowed at dawn.") == ["cock"]
    assert on_the_list("Go back to where you came from.") == []
    assert on_the_list("No word of ours", words=["ours"]) == ["ours"]


def test_an_answer_costs_two_operations_a_weight_and_token():
    assert answer_flops(10, 3) == 60
