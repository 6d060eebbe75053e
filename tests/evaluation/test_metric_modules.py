"""Guards the modules of Hugging Face Evaluate: the same scores, without a network.

Run with: pytest tests/evaluation/test_metric_modules.py
"""

import socket

import pytest

from course_lib.evaluation.metrics import text as metrics
from course_lib.runtime import cache_path

PREDICTIONS = ["The cat sat on the mat.", "A dog ran.", "Yes"]
REFERENCES = [
    ["The cat sat on the mat."],
    ["A dog ran away.", "The dog ran."],
    ["No", "Maybe", "yes"],
]


@pytest.fixture(scope="module")
def modules():
    """Imported here: `evaluate` takes seconds."""
    from course_lib.evaluation import metric_modules

    return metric_modules


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a metric opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


CASES = [
    ("Bleu", metrics.bleu),
    ("Rouge", metrics.rouge),
    ("ExactMatch", metrics.exact_match),
    ("TokenF1", metrics.token_f1),
]


@pytest.mark.parametrize(("name", "function"), CASES)
def test_a_module_scores_as_its_function(modules, name, function):
    module = getattr(modules, name)()
    expected = function(PREDICTIONS, REFERENCES)
    expected = expected if isinstance(expected, dict) else {function.__name__: expected}
    assert module.compute(predictions=PREDICTIONS, references=REFERENCES) == expected
    # The same once more, added bit by bit; with a single text where one reference is enough.
    module.add(prediction=PREDICTIONS[0], reference=REFERENCES[0][0])
    module.add_batch(predictions=PREDICTIONS[1:], references=REFERENCES[1:])
    assert module.compute() == expected


def test_settings_reach_the_score(modules):
    pair = {"predictions": ["running dogs"], "references": ["run dog"]}
    assert modules.Rouge().compute(**pair)["rouge1"] == 0
    assert modules.Rouge().compute(**pair, stem=True)["rouge1"] == 1


def test_modules_combine(modules):
    import evaluate

    both = evaluate.combine([modules.Bleu(), modules.TokenF1()])
    scores = both.compute(predictions=PREDICTIONS, references=REFERENCES)
    assert set(scores) == {"bleu", "token_f1"}


@pytest.mark.parametrize(("name", "_"), CASES)
def test_what_cannot_be_scored_is_named_and_leaves_the_module_usable(modules, name, _):
    module = getattr(modules, name)()
    with pytest.raises(ValueError, match="No predictions"):
        module.compute(predictions=[], references=[])
    with pytest.raises(ValueError, match="No predictions"):
        module.compute()
    streams = [["The cat sat on the mat.", "A dog ran away.", "No"]]
    with pytest.raises(ValueError, match="3 predictions and 1 references"):
        module.compute(predictions=PREDICTIONS, references=streams)
    with pytest.raises(ValueError, match="predictions is a single text"):
        module.compute(predictions="Yes", references=["Yes"])
    assert module.compute(predictions=PREDICTIONS, references=REFERENCES)


def test_nothing_is_written_outside_the_courses_cache(modules):
    module = modules.Bleu()
    assert str(cache_path("metrics")) in module.data_dir
    module.compute(predictions=PREDICTIONS, references=REFERENCES)
    assert not [path for path in cache_path("metrics").rglob("*") if path.is_file()]
