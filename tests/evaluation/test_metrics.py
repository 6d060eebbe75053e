"""Guards BLEU, chrF, ROUGE, exact match and token F1: equal to the libraries, one layout for all.

Run with: pytest tests/evaluation/test_metrics.py
"""

import subprocess
import sys
import warnings

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import assert_refused
from rouge_score.rouge_scorer import RougeScorer

from course_lib.evaluation import bleu, chrf, exact_match, rouge, sentence_bleu, token_f1
from course_lib.evaluation.metrics.bleu import words_13a
from course_lib.evaluation.metrics.rouge import ROUGE_TYPES

METRICS = [bleu, chrf, rouge, exact_match, token_f1]
CASES = [500, pytest.param(10_000, marks=pytest.mark.torture)]
WORDS = (
    "the a cat dog sat mat On 1,200 it's Alder well-known running runs été 3-4 &quot;no&quot; $5 "
    "e.g. kœnig () works worked was wa his hi . . mat. sat! dog?"
)
WRITTEN = st.lists(st.sampled_from(WORDS.split()), max_size=9).map(" ".join)
SENTENCE = WRITTEN.map("so {} it is.".format)
ODD = st.text(" aabB1.,-'&;_$é\n(<>?!", max_size=12)
TEXT = WRITTEN | ODD
ITEM = st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=2))
ITEMS = st.lists(ITEM, min_size=1, max_size=2)
few = settings(max_examples=50, deadline=None)


def for_all(cases, strategy, check):
    settings(max_examples=cases, deadline=None)(given(strategy)(check))()


def apart(items):
    return [list(column) for column in zip(*items, strict=True)]


def streams(references):
    """sacrebleu's layout; it takes None where a prediction has fewer references than another."""
    most = max(map(len, references))
    return [[refs[i] if i < len(refs) else None for refs in references] for i in range(most)]


@pytest.mark.parametrize("cases", CASES)
def test_the_words_of_bleu_are_sacrebleus(cases):
    tokenize = sacrebleu.BLEU().tokenizer

    def check(text):
        assert words_13a(text) == tokenize(text.rstrip()).split()

    for_all(cases, ODD | WRITTEN, check)


@pytest.mark.parametrize("cases", CASES)
@pytest.mark.parametrize("effective_order", [False, True])
@pytest.mark.parametrize("smoothing", ["exp", "floor", "add-k", "none"])
def test_bleu_is_sacrebleus(cases, smoothing, effective_order):
    theirs = sacrebleu.BLEU(smooth_method=smoothing, effective_order=effective_order)

    def check(items):
        predictions, references = apart(items)
        expected = theirs.corpus_score(predictions, streams(references)).score
        ours = bleu(predictions, references, smoothing=smoothing, effective_order=effective_order)
        assert ours == pytest.approx(expected, abs=1e-9)

    for_all(cases if smoothing == "exp" else cases // 5, ITEMS, check)


@pytest.mark.parametrize("cases", CASES)
def test_chrf_is_sacrebleus(cases):
    def check(items):
        predictions, references = apart(items)
        expected = sacrebleu.CHRF().corpus_score(predictions, streams(references)).score
        assert chrf(predictions, references) == pytest.approx(expected, abs=1e-9)

    for_all(cases, ITEMS, check)


@pytest.mark.parametrize("cases", CASES)
@pytest.mark.parametrize("stem", [False, True])
def test_rouge_is_rouge_scores(cases, stem):
    scorer = RougeScorer(ROUGE_TYPES, use_stemmer=stem)

    def lines(text):
        for mark in ".!?":
            text = text.replace(f"{mark} ", f"{mark}\n")
        return text

    def best(text, refs):
        """`score_multi`, but where F1s are equal the first: there, rounding picks for it.

        2 of 10 words against 12 and 1 of 10 against 1 are both 2/11, which it computes apart.
        """
        each = [scorer.score(lines(ref), lines(text)) for ref in refs]
        tops = {kind: max(one[kind].fmeasure for one in each) for kind in ROUGE_TYPES}
        return {
            kind: next(one[kind] for one in each if one[kind].fmeasure > top - 1e-12)
            for kind, top in tops.items()
        }

    def check(items):
        theirs = [best(text, refs) for text, refs in items]
        for part, name in (("f1", "fmeasure"), ("precision", "precision"), ("recall", "recall")):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                ours = rouge(*apart(items), stem=stem, part=part)
            for kind in ROUGE_TYPES:
                mean = sum(getattr(scores[kind], name) for scores in theirs) / len(items)
                assert ours[kind] == pytest.approx(mean, abs=1e-9)

    for_all(cases, ITEMS, check)


def test_the_layout_that_silently_scores_100():
    """The bug that one layout is there to prevent: references listed for each prediction."""
    predictions = ["The cat sat on the mat.", "Nothing of this is right at all."]
    references = [["The cat sat on the mat."], ["The dog slept on the old rug."]]
    silent = sacrebleu.corpus_bleu(predictions, references).score
    right = sacrebleu.corpus_bleu(predictions, streams(references)).score
    assert silent == pytest.approx(100)
    assert right < 50
    assert bleu(predictions, references) == pytest.approx(right)
    assert_refused(lambda: bleu(predictions, streams(references)), "1 entries for 2 predictions")


def test_a_short_perfect_sentence_scores_100():
    """Without `effective_order` it has no 4-grams and scores 0."""
    assert bleu(["Yes."], ["Yes."]) == 0
    assert sentence_bleu("Yes.", "Yes.") == pytest.approx(100)
    assert sentence_bleu("Yes.", ["No.", "Yes."]) == pytest.approx(100)


def test_the_sentences_of_a_text_may_come_in_another_order_for_rouge_lsum_alone():
    one, other = "The cat sat on the mat. It ate fish.", "It ate fish. The cat sat on the mat."
    scores = rouge([one], [other])
    assert scores["rougeLsum"] == pytest.approx(1)
    assert scores["rougeL"] < 0.8


def test_a_script_that_rouge_cannot_read_is_named():
    with pytest.warns(UserWarning, match="2 texts have no letter a-z"):
        scores = rouge(["кошка спит", "a cat"], ["кошка спит", "a cat"])
    assert scores["rouge1"] == pytest.approx(0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rouge(["", "12"], ["a cat", "12"])["rouge1"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("prediction", "reference", "exact", "f1"),
    [
        ("The Green Valley!", "green valley", 1, 1),
        ("a nurse", "nurse", 1, 1),
        ("Alder", "Holt", 0, 0),
        ("a black cat", "white cat", 0, 1 / 2),
        ("cat cat cat", "cat", 0, 1 / 2),
        ("bread, cheese and nuts", "cheese", 0, 2 / 5),
        ("the", "a", 1, 1),
        ("the", "cat", 0, 0),
        ("", "cat", 0, 0),
        ("theatre", "atre", 0, 0),
        ("it's", "its", 1, 1),
        ("1,200", "1200", 1, 1),
    ],
)
def test_squads_scores_by_hand(prediction, reference, exact, f1):
    assert exact_match([prediction], [reference]) == exact
    assert token_f1([prediction], [reference]) == pytest.approx(f1)


@pytest.mark.parametrize("cases", CASES)
def test_token_f1_is_the_harmonic_mean_of_precision_and_recall(cases):
    def words(text):
        text = "".join(c for c in text.lower() if c not in ".,'&;-$()_<>?!")
        return [word for word in text.split() if word not in ("a", "an", "the")]

    def score(text, reference):
        given_, wanted = words(text), words(reference)
        left, shared = list(wanted), 0
        for word in given_:
            if word in left:
                left.remove(word)
                shared += 1
        if not given_ or not wanted:
            return float(given_ == wanted)
        precision, recall = shared / len(given_), shared / len(wanted)
        return 2 * precision * recall / (precision + recall) if shared else 0.0

    def check(items):
        predictions, references = apart(items)
        best = [max(score(text, ref) for ref in refs) for text, refs in items]
        assert token_f1(predictions, references) == pytest.approx(sum(best) / len(best))
        assert exact_match(predictions, references) <= token_f1(predictions, references) + 1e-9

    for_all(cases, ITEMS, check)


@few
@given(st.lists(st.tuples(SENTENCE, st.lists(SENTENCE, min_size=1, max_size=2)), min_size=1))
def test_a_text_agrees_with_itself_and_one_more_reference_never_harms(items):
    predictions, references = apart(items)
    more = [[*refs, text] for text, refs in items]
    assert exact_match(predictions, more) == token_f1(predictions, more) == 1
    for part in ("f1", "precision", "recall"):
        assert rouge(["a b c"], [["a", "a b c"]], part=part)["rouge1"] == pytest.approx(1)
    assert bleu(predictions, more) >= bleu(predictions, references) - 1e-9
    assert chrf(predictions, more) == pytest.approx(100)


REFUSED = [
    (([], []), ["predictions=[]", "at least one text"]),
    ((["a cat", "a dog"], [["a cat", "a dog"]]), ["1 entries for 2 predictions"]),
    ((["a", "b"], "ab"), ["references='ab'", "an entry for each prediction"]),
    (("ab", ["a", "b"]), ["predictions='ab'", "[text]"]),
    ((["a", "b"], [["a"], []]), ["entry 1 is empty"]),
    ((["a", "b"], [["a"], None]), ["in entry 1:", "list of texts"]),
    (([3], ["3"]), ["entry 0 is 3"]),
    ((["a cat"], [[["a cat"]]]), ["in entry 0", "not a text"]),
    ((["a cat"], [[None]]), ["in entry 0", "None"]),
    ((["\ud800"], ["a"]), ["half a character"]),
]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("arguments", "words"), REFUSED)
def test_what_cannot_be_scored_is_named(metric, arguments, words):
    assert_refused(lambda: metric(*arguments), *words)


def test_settings_that_do_not_exist_are_named():
    assert_refused(lambda: bleu(["a"], ["a"], smoothing="more"), "smoothing='more'", "'exp'")
    assert_refused(lambda: rouge(["a"], ["a"], part="f"), "part='f'", "'recall'")
    assert_refused(lambda: rouge(["a"], ["a"], stem=1), "stem=1")
    assert_refused(lambda: sentence_bleu("a", []), "references=[]")
    assert_refused(lambda: words_13a(None), "text=None", "give a text")


def test_scores_do_not_cost_the_import_of_evaluate_or_torch():
    code = (
        "from course_lib.evaluation import bleu, rouge, token_f1; import sys; bleu(['a'], ['a']); "
        "rouge(['a'], ['a']); token_f1(['a'], ['a']); "
        "sys.exit(bool({'evaluate', 'torch', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
