"""Guards the modules of Hugging Face Evaluate: the same scores, without a network.

Run with: pytest tests/evaluation/test_metric_modules.py
"""

import socket

import pytest
from refusals import assert_refused

from course_lib import evaluation
from course_lib.runtime import cache_path

TEXTS = ["The cat sat on the mat.", "A dog ran.", "Yes"]
REFERENCES = [
    ["The cat sat on the mat."],
    ["A dog ran away.", "The dog ran."],
    ["No", "Maybe", "yes"],
]
LABELS, RIGHT = [0, 1, 2, 1], [0, 1, 1, 1]
OF_TEXTS = {
    "Bleu": "bleu",
    "Rouge": "rouge",
    "Chrf": "chrf",
    "ExactMatch": "exact_match",
    "TokenF1": "token_f1",
}
OF_LABELS = {"Accuracy": "accuracy", "F1": "f1", "Matthews": "matthews"}
CASES = [(module, name, TEXTS, REFERENCES) for module, name in OF_TEXTS.items()]
CASES += [(module, name, LABELS, RIGHT) for module, name in OF_LABELS.items()]


@pytest.fixture(scope="module")
def modules():
    """Imported here: `evaluate` takes seconds."""
    from course_lib.evaluation.metrics import modules

    return modules


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a metric opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize(("module", "name", "predictions", "references"), CASES)
def test_a_module_scores_as_its_function(modules, module, name, predictions, references):
    metric = getattr(modules, module)()
    expected = getattr(evaluation, name)(predictions, references)
    expected = expected if isinstance(expected, dict) else {name: expected}
    assert metric.compute(predictions=predictions, references=references) == expected
    # The same once more, added bit by bit.
    metric.add(prediction=predictions[0], reference=references[0])
    metric.add_batch(predictions=predictions[1:], references=references[1:])
    assert metric.compute() == expected


def test_one_reference_may_be_a_text(modules):
    metric = modules.Bleu()
    metric.add(prediction=TEXTS[0], reference=REFERENCES[0][0])
    assert metric.compute()["bleu"] == pytest.approx(100)


def test_every_module_is_tested(modules):
    kinds = (modules.TextMetric, modules.LabelMetric)
    found = {k.__name__ for kind in kinds for k in kind.__subclasses__()}
    assert found == {*OF_TEXTS, *OF_LABELS}


def test_settings_reach_the_score(modules):
    pair = {"predictions": ["running dogs"], "references": ["run dog"]}
    assert modules.Rouge().compute(**pair)["rouge1"] == 0
    assert modules.Rouge().compute(**pair, stem=True)["rouge1"] == 1
    labels = {"predictions": LABELS, "references": RIGHT}
    assert modules.F1().compute(**labels, average="micro")["f1"] == pytest.approx(0.75)


def test_modules_combine(modules):
    import evaluate

    texts = evaluate.combine([modules.Bleu(), modules.Rouge(), modules.TokenF1()])
    scores = texts.compute(predictions=TEXTS, references=REFERENCES)
    assert set(scores) == {"bleu", "token_f1", "rouge1", "rouge2", "rougeL", "rougeLsum"}
    for text, references in zip(TEXTS, REFERENCES, strict=True):
        texts.add(prediction=text, reference=references)
    assert texts.compute() == scores
    labels = evaluate.combine([modules.Accuracy(), modules.F1(), modules.Matthews()])
    scores = labels.compute(predictions=LABELS, references=RIGHT)
    assert set(scores) == {"accuracy", "f1", "matthews"}


@pytest.mark.parametrize(("module", "name", "predictions", "references"), CASES)
def test_what_cannot_be_scored_is_named_and_leaves_the_module_usable(
    modules, module, name, predictions, references
):
    metric = getattr(modules, module)()
    assert_refused(lambda: metric.compute(predictions=[], references=[]), "predictions=[]")
    assert_refused(metric.compute, "predictions", "add some first")
    short = {"predictions": predictions, "references": references[:1]}
    assert_refused(lambda: metric.compute(**short), f"for {len(predictions)} predictions")
    assert_refused(lambda: metric.compute(predictions="Yes", references=["Yes"]), "'Yes'")
    assert_refused(lambda: metric.add(prediction=predictions[0], reference=None), "None")
    assert metric.compute(predictions=predictions, references=references)


def test_nothing_is_written_outside_the_courses_cache(modules):
    metric = modules.Bleu()
    assert str(cache_path("metrics")) in metric.data_dir
    metric.compute(predictions=TEXTS, references=REFERENCES)
    assert not [path for path in cache_path("metrics").rglob("*") if path.is_file()]
