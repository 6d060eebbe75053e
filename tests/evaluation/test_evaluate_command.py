"""Guards `python -m course_lib evaluate`: results, cards, resume, help, errors in one line.

pytest tests/evaluation/test_evaluate_command.py
"""

import json
import shutil

import pytest

from course_lib.__main__ import main
from course_lib.runtime import data_path

MODEL = data_path("checkpoints", "gpt2-world")
TASKS = "glue_acceptability,bigbench_odd_one_out"


def command(out, *options, model=MODEL, tasks=TASKS):
    return main(["evaluate", str(model), "--tasks", tasks, "--out", str(out), *map(str, options)])


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("scores")
    assert command(out, "--limit", 5) == 0
    return out


def test_the_results_are_in_the_harnesss_format(done):
    results = json.loads((done / "results.json").read_text())
    assert set(results["results"]) == set(TASKS.split(","))
    assert {"configs", "n-shot", "n-samples", "samples", "versions"} <= set(results)
    assert "mcc,none" in results["results"]["glue_acceptability"]
    assert len(results["samples"]["bigbench_odd_one_out"]) == 5
    assert results["n-samples"]["glue_acceptability"]["effective"] == 5


def test_the_cards_say_the_score_the_interval_and_how(done):
    for name in ("card.md", "card.html"):
        card = (done / name).read_text()
        for words in (
            "Evaluation of gpt2-world", "glue_acceptability", "mcc", "95% interval", "chance",
            "Clopper", "the first 5 of each task", "Matthews correlation, 0 for guessing",
        ):  # fmt: skip
            assert words in card
    assert (done / "card.html").read_text().count("<tr>") == 4


def test_a_second_time_nothing_is_evaluated_again(done, capsys, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("evaluated again")

    monkeypatch.setattr("course_lib.evaluation.benchmarks.harness.evaluate_tasks", fail)
    assert command(done, "--limit", 5) == 0
    assert capsys.readouterr().out.count("(made before)") == 3


def test_what_was_stopped_goes_on_and_a_torn_file_is_made_again(done, tmp_path, capsys):
    out = tmp_path / "copy"
    shutil.copytree(done, out)
    (out / "tasks" / "glue_acceptability.json").write_text('{"settings": {')
    assert command(out, "--limit", 5) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[1/2] glue_acceptability ..."
    assert any("odd_one_out" in line and "(made before)" in line for line in lines)
    same = [json.loads((place / "results.json").read_text()) for place in (done, out)]
    assert same[0]["results"] == same[1]["results"]


def test_other_settings_are_not_taken_for_these(done, tmp_path, capsys):
    out = tmp_path / "copy"
    shutil.copytree(done, out)
    assert command(out, "--limit", 4, tasks="glue_acceptability") == 0
    assert "(made before)" not in capsys.readouterr().out
    results = json.loads((out / "results.json").read_text())
    assert list(results["results"]) == ["glue_acceptability"]


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    for words in ("glue_form", "acc_norm", "log-likelihood", "card.html", "examples:", "encoder"):
        assert words in out


MISTAKES = {
    "unknown task": ([MODEL, "--tasks", "glu_form"], "No task 'glu_form'", "mean glue_form"),
    "no tasks": ([MODEL, "--tasks", ","], "No tasks", "glue_form"),
    "no model": (["nowhere", "--tasks", "glue_form"], "nowhere holds no model", "config.json"),
    "encoder": (
        [data_path("checkpoints", "bert-world"), "--tasks", "glue_form"],
        "BertForMaskedLM", "left to right", "head",
    ),
    "limit": ([MODEL, "--tasks", "glue_form", "--limit", "0"], "--limit 0", "at least 1"),
    "shots": ([MODEL, "--tasks", "glue_form", "--shots", "-1"], "--shots -1", "0 or more"),
    "no tokenizer": (["bare", "--tasks", "glue_form"], "no tokenizer.json"),
    "no weights": (["empty", "--tasks", "glue_form"], "safetensors"),
    "broken": (["broken", "--tasks", "glue_form"], "no JSON"),
    "no class": (["list", "--tasks", "glue_form"], "of what class", "anew"),
    "torn": (["torn", "--tasks", "glue_form"], "torn cannot be loaded", "anew"),
    "shots that are not there": (
        [MODEL, "--tasks", "superglue_cause_effect", "--shots", "9", "--limit", "1", "--out", "o"],
        "shots=9", "fewer",
    ),
    "out is a file": ([MODEL, "--tasks", "glue_form", "--out", "file/x"], "--out file/x"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"), [(a, w) for a, *w in MISTAKES.values()], ids=MISTAKES
)
def test_mistakes_are_one_line_that_names_the_fix(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    for name, files in {
        "bare": {"config.json": "{}", "model.safetensors": ""},
        "empty": {"config.json": "{}"},
        "broken": {"config.json": "{", "model.safetensors": "", "tokenizer.json": "{}"},
        "list": {"config.json": "[1]", "model.safetensors": "", "tokenizer.json": "{}"},
        "torn": {
            "config.json": (MODEL / "config.json").read_text(),
            "model.safetensors": "torn",
            "tokenizer.json": "{",
        },
    }.items():
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(text)
    assert main(["evaluate", *map(str, arguments)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    for word in words:
        assert word in error
