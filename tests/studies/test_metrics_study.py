"""Guards the truth of summaries, and the texts on record that metrics are tried on.

Run with: pytest tests/studies/test_metrics_study.py
"""

import re

import pytest
import sacrebleu
from refusals import assert_refused
from rouge_score.rouge_scorer import RougeScorer

from course_lib.corpora import World
from course_lib.corpora.world import summaries
from course_lib.evaluation import bleu, chrf, rouge
from course_lib.evaluation.metrics.rouge import ROUGE_TYPES
from course_lib.studies import metrics
from course_lib.studies.design import LIVE_SEED, SEEDS
from course_lib.studies.outputs import Output, keep_outputs, load_outputs
from course_lib.studies.truth import in_other_words, summary_items, truth, with_false_facts


@pytest.fixture(scope="module")
def items():
    return summary_items(150, seed=5)


def test_items_are_the_worlds_summaries(items):
    pairs = summaries(World(), 150, seed=5)
    assert [item.document for item in items] == pairs["source"]
    assert [item.summary for item in items] == pairs["target"]


def test_what_the_world_says_is_true(items):
    for texts in (
        [item.summary for item in items],
        [item.document for item in items],
        [item.extract for item in items],
        in_other_words(items),
    ):
        assert set(truth(texts, items)) == {1.0}
    sentences = [len(item.statements(item.document)) for item in items]
    assert set(sentences) == {4}
    assert {len(item.statements(item.summary)) for item in items} == {2}


def test_the_extract_tells_the_summarys_facts_in_the_documents_words(items):
    for item in items:
        said = re.split(r"(?<=[.!?]) ", item.extract)
        assert len(said) == 2
        for name, sentence in zip(sorted(item.told), sorted(said), strict=True):
            assert any(sentence in item.sentences[fact] for fact in item.told), name
        assert item.extract in item.document or all(s in item.document for s in said)


def test_false_facts_are_counted_and_nothing_else_changes(items):
    assert set(truth(with_false_facts(items, 1), items)) == {0.5}
    assert set(truth(with_false_facts(items, 2), items)) == {0.0}
    for item, text in zip(items, with_false_facts(items, 1), strict=True):
        assert text.startswith(item.subject)
        assert item.clauses[item.told[1]] in text


def test_what_is_said_of_another_or_denied_is_false(items):
    other = items[1:] + items[:1]
    pairs = [(a, b) for a, b in zip(items, other, strict=True) if a.subject != b.subject]
    assert set(truth([b.summary for _, b in pairs], [a for a, _ in pairs])) == {0.0}
    denied = [f"It is not true that {item.summary}" for item in items]
    assert set(truth(denied, items)) == {0.0}
    assert set(truth([""] * 150, items)) == {0.0}


def test_half_a_truth_is_half(items):
    [item] = [i for i in items if i.subject.startswith("The ")][:1]
    first = item.clauses[item.told[0]]
    assert item.statements(f"{item.subject} {first} and says nothing.") == [True, False]
    assert item.statements(f"{item.subject} {first}.") == [True]
    assert item.statements(f"{item.subject} nonsense. {item.document}") == [False] + 4 * [True]


def test_texts_and_items_must_fit(items):
    assert_refused(lambda: truth(["a"], items), "1 texts for 150 items")
    assert_refused(lambda: truth("a", items), "list of texts")
    assert_refused(lambda: with_false_facts(items, 3), "count=3")
    assert_refused(lambda: with_false_facts(items[:1]), "give more items")


def test_what_is_kept_apart_was_not_trained_on():
    for task, asked in (
        ("summaries", [item.document for item in metrics.held_out_summaries()]),
        ("translation", [source for source, _ in metrics.held_out_translations()]),
    ):
        assert len(set(asked)) == metrics.TESTS
        for seed in (*SEEDS, LIVE_SEED):
            assert not set(asked) & set(metrics.training_pairs(task, seed)["source"])


def test_every_system_has_a_text_for_each_item():
    for task in metrics.TRAINED:
        outputs = load_outputs("bart-world", task)
        found = [(output.seed, output.steps) for output in outputs]
        assert found == [(seed, steps) for seed in SEEDS for steps in metrics.STAGES]
        assert {len(output.texts) for output in outputs} == {metrics.TESTS}
    for task in metrics.QUESTIONS:
        [output] = load_outputs("smollm2", task)
        assert len(output.texts) == len(metrics.prompts(task))
        assert "torch" in output.info


SYSTEMS = [
    ("bart-world", "summaries", {"seed": 0, "steps": 10}),
    ("bart-world", "summaries", {"seed": 1, "steps": 320}),
    ("bart-world", "translation", {"seed": 2, "steps": 20}),
    ("bart-world", "translation", {"seed": 3, "steps": 160}),
    ("smollm2", "summaries", {}),
    ("smollm2", "rewordings", {}),
    ("smollm2", "french", {}),
]


@pytest.mark.parametrize(("system", "task", "where"), SYSTEMS)
def test_scores_of_real_output_are_the_libraries(system, task, where):
    [output] = load_outputs(system, task, **where)
    gold = {
        "summaries": [item.summary for item in metrics.held_out_summaries()],
        "rewordings": [item.summary for item in metrics.held_out_summaries()],
        "translation": [target for _, target in metrics.held_out_translations()],
        "french": [target for _, target in metrics.french_messages()],
    }[task][: len(output.texts)]
    expected = sacrebleu.corpus_bleu(output.texts, [gold]).score
    assert bleu(output.texts, gold) == pytest.approx(expected, abs=1e-9)
    expected = sacrebleu.corpus_chrf(output.texts, [gold]).score
    assert chrf(output.texts, gold) == pytest.approx(expected, abs=1e-9)
    for stem in (False, True):
        scorer = RougeScorer(ROUGE_TYPES, use_stemmer=stem)
        lines = [[re.sub(r"(?<=[.!?])\s+", "\n", t) for t in ts] for ts in (gold, output.texts)]
        each = [scorer.score(*pair) for pair in zip(*lines, strict=True)]
        for kind, score in rouge(output.texts, gold, stem=stem).items():
            mean = sum(scores[kind].fmeasure for scores in each) / len(each)
            assert score == pytest.approx(mean, abs=1e-9)


@pytest.mark.records
def test_a_model_tuned_again_writes_what_is_on_record():
    """Other processors round differently, and a token may tip: nine texts in ten are the same."""
    for task in metrics.TRAINED:
        [again] = metrics.snapshots(task, 1, stages=(10,))
        [kept] = load_outputs("bart-world", task, seed=1, steps=10)
        same = sum(a == b for a, b in zip(again.texts, kept.texts, strict=True))
        assert same >= 0.9 * metrics.TESTS


def test_outputs_are_kept_and_replaced_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "course_lib.studies.outputs.data_path", lambda *parts: tmp_path.joinpath(*parts)
    )
    keep_outputs([Output("one", "task", ["é"], steps=2), Output("one", "task", ["b"], steps=1)])
    keep_outputs([Output("one", "task", ["c"], steps=2)])
    found = load_outputs("one", "task")
    assert [(output.steps, output.texts) for output in found] == [(1, ["b"]), (2, ["c"])]
    assert found[0].info["torch"]
    assert_refused(lambda: load_outputs("one", "task", seed=7), "nothing on record", "seed")


def test_accents_are_taken_away_and_nothing_else():
    assert metrics.without_accents("Déjà vu, où ça ?") == "Deja vu, ou ca ?"
