"""Guards BLEU, ROUGE, exact match and token F1: against the libraries, and the references' layout.

Run with: pytest tests/evaluation/test_metrics.py
"""

import subprocess
import sys
import warnings

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from course_lib.evaluation import bleu, exact_match, rouge, sentence_bleu, token_f1
from course_lib.evaluation.metrics.text import ROUGE_TYPES

METRICS = [bleu, rouge, exact_match, token_f1]
WORD = st.sampled_from(["the", "a", "cat", "dog", "sat", "mat", "On", "1,200", "it's", "Alder"])
SENTENCE = st.lists(WORD, min_size=1, max_size=8).map(lambda words: " ".join(words) + ".")
TEXT = st.lists(SENTENCE, min_size=1, max_size=3).map(" ".join)
PAIRS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5)
SEVERAL = st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3)), min_size=1, max_size=5)
few = settings(max_examples=50, deadline=None)


def apart(pairs):
    return [list(column) for column in zip(*pairs, strict=True)]


@few
@given(PAIRS)
def test_bleu_is_sacrebleus(pairs):
    predictions, references = apart(pairs)
    assert bleu(predictions, references) == sacrebleu.corpus_bleu(predictions, [references]).score


@few
@given(SEVERAL)
def test_bleu_takes_each_predictions_own_references(pairs):
    """Streams of equal length say the same: a reference that is given twice changes nothing."""
    predictions, references = apart(pairs)
    streams = [[refs[i % len(refs)] for refs in references] for i in range(3)]
    expected = sacrebleu.corpus_bleu(predictions, streams).score
    assert bleu(predictions, references) == pytest.approx(expected)


def test_the_layout_that_silently_scores_100():
    """The bug this module is there to prevent: references listed for each prediction."""
    predictions = ["The cat sat on the mat.", "Nothing of this is right at all."]
    references = [["The cat sat on the mat."], ["The dog slept on the old rug."]]
    planted = sacrebleu.corpus_bleu(predictions[:1], references).score
    assert planted == pytest.approx(100)
    silent = sacrebleu.corpus_bleu(predictions, references).score
    streams = [[refs[0] for refs in references]]
    right = sacrebleu.corpus_bleu(predictions, streams).score
    assert silent == pytest.approx(100)
    assert right < 50
    assert bleu(predictions, references) == right
    with pytest.raises(ValueError, match="2 predictions and 1 references"):
        bleu(predictions, streams)


def test_a_short_perfect_sentence_scores_100():
    """Without `effective_order` it has no 4-grams and scores 0."""
    assert sacrebleu.BLEU(effective_order=False).sentence_score("Yes.", ["Yes."]).score < 1
    assert sentence_bleu("Yes.", "Yes.") == pytest.approx(100)
    assert sentence_bleu("Yes.", ["No.", "Yes."]) == pytest.approx(100)


@few
@given(SEVERAL, st.booleans())
def test_rouge_is_rouge_scores(pairs, stem):
    scorer = RougeScorer(ROUGE_TYPES, use_stemmer=stem)
    predictions, references = apart(pairs)

    def lines(text):
        return text.replace(". ", ".\n")

    scores = rouge(predictions, references, stem=stem)
    for name in ROUGE_TYPES:
        best = [
            max(scorer.score(lines(ref), lines(text))[name].fmeasure for ref in refs)
            for text, refs in zip(predictions, references, strict=True)
        ]
        assert scores[name] == pytest.approx(sum(best) / len(best))


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


@few
@given(SEVERAL)
def test_token_f1_is_the_harmonic_mean_of_precision_and_recall(pairs):
    def words(text):
        text = "".join(c for c in text.lower() if c not in ".,'")
        return [word for word in text.split() if word not in ("a", "an", "the")]

    def score(text, reference):
        given, wanted = words(text), words(reference)
        left, shared = list(wanted), 0
        for word in given:
            if word in left:
                left.remove(word)
                shared += 1
        if not given or not wanted:
            return float(given == wanted)
        precision, recall = shared / len(given), shared / len(wanted)
        return 2 * precision * recall / (precision + recall) if shared else 0.0

    predictions, references = apart(pairs)
    best = [max(score(text, ref) for ref in refs) for text, refs in pairs]
    assert token_f1(predictions, references) == pytest.approx(sum(best) / len(best))
    assert exact_match(predictions, references) <= token_f1(predictions, references) + 1e-9


@few
@given(SEVERAL)
def test_a_text_agrees_with_itself_and_one_more_reference_never_harms(pairs):
    predictions, references = apart(pairs)
    more = [[*refs, text] for text, refs in pairs]
    assert exact_match(predictions, more) == token_f1(predictions, more) == 1
    assert rouge(predictions, more)["rouge1"] == pytest.approx(1)
    assert bleu(predictions, more) >= bleu(predictions, references) - 1e-9
    alone = [[text] for text in references[0]]
    assert token_f1(predictions[:1], references[:1]) == max(
        token_f1(predictions[:1], [text]) for text in alone
    )


@pytest.mark.parametrize("metric", METRICS)
def test_what_cannot_be_scored_is_named(metric):
    with pytest.raises(ValueError, match="No predictions"):
        metric([], [])
    with pytest.raises(ValueError, match="2 predictions and 1 references"):
        metric(["a cat", "a dog"], [["a cat", "a dog"]])
    with pytest.raises(ValueError, match="references is a single text"):
        metric(["a", "b"], "ab")
    with pytest.raises(ValueError, match="predictions is a single text"):
        metric("ab", ["a", "b"])
    with pytest.raises(ValueError, match=r"references\[1\] is empty"):
        metric(["a", "b"], [["a"], []])
    with pytest.raises(ValueError, match="Item 0 is not text"):
        metric([3], ["3"])
    with pytest.raises(ValueError, match="Item 0 is not text"):
        metric(["a cat"], [[["a cat"]]])


def test_scores_do_not_cost_the_import_of_evaluate():
    code = (
        "from course_lib.evaluation import bleu, rouge, token_f1; import sys; bleu(['a'], ['a']); "
        "rouge(['a'], ['a']); token_f1(['a'], ['a']); sys.exit('evaluate' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
