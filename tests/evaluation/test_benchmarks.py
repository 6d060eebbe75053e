"""Guards the benchmarks: our scores are the harness's, encoders are refused, rules of BIG-bench.

pytest tests/evaluation/test_benchmarks.py
"""

import json
import math
import os
import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from refusals import assert_refused
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score, matthews_corrcoef
from tiny import SPECIAL, tiny_model

from course_lib.evaluation import sequence_log_prob
from course_lib.evaluation.benchmarks import (
    NgramModel,
    evaluate_tasks,
    read_bigbench,
    require_generative,
    rules,
    splits,
    task_names,
)
from course_lib.evaluation.benchmarks.pairs import training_pairs
from course_lib.evaluation.benchmarks.scores import scores_of
from course_lib.runtime import data_path
from course_lib.training import load_base

TASKS = [task for tasks in task_names().values() for task in tasks]


@pytest.fixture(scope="module")
def tiny():
    return load_base("gpt2-almanac")


@pytest.fixture(scope="module")
def found(tiny):
    """A tiny model on the first items of every task of the course."""
    return evaluate_tasks(tiny.model, tiny.tokenizer, TASKS, limit=12)


@pytest.mark.parametrize("task", TASKS)
def test_log_likelihoods_are_ours(task, found, tiny):
    for sample in found.results["samples"][task][:4]:
        if isinstance(sample["filtered_resps"][0], str):
            assert "\n" not in sample["filtered_resps"][0]
            continue
        for (asked, choice), (theirs, _) in zip(
            sample["arguments"], sample["filtered_resps"], strict=True
        ):
            # A space at the end of the question belongs to the choice: tokens begin with theirs.
            gap = asked[len(asked.rstrip()) :]
            ours = sequence_log_prob(tiny.model, tiny.tokenizer, asked.rstrip(), gap + choice)
            assert ours == pytest.approx(theirs, abs=1e-4)


def by_hand(task, metric, samples):
    """The score from log-likelihoods and documents, by other libraries than the harness's."""
    gold = [sample["target"] for sample in samples]
    if metric == "exact_str_match":
        return np.mean([s["resps"][0][0].strip() in s["doc"]["targets"] for s in samples])
    said = [[score for score, _ in sample["filtered_resps"]] for sample in samples]
    if metric in ("pearson", "spearman"):
        weights = [np.exp(row) / np.exp(row).sum() for row in said]
        rated = [weight @ np.arange(4) for weight in weights]
        measure = {"pearson": pearsonr, "spearman": spearmanr}[metric]
        return measure([s["doc"]["rating"] for s in samples], rated).statistic
    picks = [int(np.argmax(row)) for row in said]
    if metric == "mcc":
        return matthews_corrcoef(gold, picks)
    if metric == "f1":
        return f1_score(gold, picks)
    if metric == "acc_norm":
        sizes = [[len(text.strip()) for _, text in s["arguments"]] for s in samples]
        picks = [int(np.argmax(np.array(r) / n)) for r, n in zip(said, sizes, strict=True)]
    return np.mean([int(g) == p for g, p in zip(gold, picks, strict=True)])


def test_scores_are_the_harnesss_and_ours(found):
    assert {score.task for score in found.scores} == set(TASKS)
    for score in found.scores:
        theirs = found.results["results"][score.task][f"{score.metric},none"]
        samples = found.results["samples"][score.task]
        assert score.value == pytest.approx(theirs, abs=1e-12)
        assert score.value == pytest.approx(by_hand(score.task, score.metric, samples), abs=1e-4)
        assert score.low <= score.value <= score.high
        assert score.items == 12


def test_the_standard_error_is_that_of_a_share(found):
    shares = [score for score in found.scores if score.metric in ("acc", "exact_str_match")]
    assert len({score.value for score in shares}) > 3
    for score in shares:
        theirs = found.results["results"][score.task][f"{score.metric}_stderr,none"]
        spread = score.value * (1 - score.value)
        assert score.stderr == pytest.approx(math.sqrt(spread / (score.items - 1)), abs=1e-12)
        assert theirs == "N/A" or score.stderr == pytest.approx(theirs, abs=1e-12)


def test_the_first_score_is_the_one_that_the_benchmark_reports(found):
    first = {task: found.score(task).metric for task in TASKS}
    assert first["glue_acceptability"] == "mcc"
    assert first["glue_paraphrase"] == "f1"
    assert first["bigbench_opposites"] == "exact_str_match"
    assert list(found.frame().columns[:3]) == ["task", "metric", "value"]
    assert_refused(lambda: found.score("glue_cola"), "No score of glue_cola")


def test_chance_is_one_over_the_choices(found):
    assert found.score("mmlu_people").chance == 0.25
    assert found.score("glue_inference").chance == pytest.approx(1 / 3)
    assert found.score("glue_acceptability").chance == 0
    assert math.isnan(found.score("bigbench_small_sums").chance)


def test_chance_is_the_mean_over_items_with_more_and_with_fewer_choices():
    samples = [{"acc": 1.0, "arguments": range(2)}, {"acc": 0.0, "arguments": range(4)}]
    found = {
        "samples": {"odd": samples},
        "configs": {"odd": {"metric_list": [{"metric": "acc"}]}},
        "results": {"odd": {"acc,none": 0.5}},
    }
    [score] = scores_of(found)
    assert score.chance == pytest.approx((1 / 2 + 1 / 4) / 2)


def test_five_shots_are_five_solved_questions(tiny):
    found = evaluate_tasks(tiny.model, tiny.tokenizer, ["mmlu_people"], shots=5, limit=1)
    asked, _ = found.results["samples"]["mmlu_people"][0]["arguments"][0]
    assert asked.count("Answer:") == 6
    assert found.results["n-shot"]["mmlu_people"] == 5


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_encoders_are_refused(family, tiny):
    encoder = tiny_model(family)
    for body in (encoder, encoder.base_model):
        assert_refused(lambda body=body: require_generative(body), "left to right", "head")
    assert_refused(lambda: evaluate_tasks(encoder, tiny.tokenizer, ["glue_form"]), "left to right")


def test_an_encoder_decoder_is_scored(tiny):
    run = load_base("bart-world")
    found = evaluate_tasks(run.model, run.tokenizer, ["superglue_cause_effect"], limit=3)
    assert found.score("superglue_cause_effect").items == 3


def test_every_family_is_either_scored_or_refused():
    for family in SPECIAL:
        model = tiny_model(family)
        if family in ("bert", "roberta"):
            assert_refused(lambda m=model: require_generative(m), "left to right")
        else:
            require_generative(model)


def test_mistakes_name_the_remedy(tiny):
    run = (tiny.model, tiny.tokenizer)
    assert_refused(lambda: evaluate_tasks(*run, ["glue_sentimnt"]), "did you mean glue_sentiment")
    assert_refused(lambda: evaluate_tasks(*run, ["xyzzy"]), "No task 'xyzzy'", "glue_form")
    assert_refused(lambda: evaluate_tasks(*run, []), "No tasks")
    assert_refused(lambda: evaluate_tasks(*run, [{"name": "x"}]), 'under "task"', "name")
    assert_refused(lambda: splits([]), "items=[]", "give a text")
    assert_refused(lambda: splits("cola"), "there are acceptability")
    assert_refused(lambda: evaluate_tasks(*run, ["glue_form"], chat=True), "no chat template")
    assert_refused(lambda: evaluate_tasks(*run, ["glue_form"], limit=0), "limit=0", "at least 1")
    assert_refused(lambda: evaluate_tasks(tiny.model, None, ["glue_form"]), "with its tokenizer")


def test_bigbench_grades_what_the_likeliest_choice_is_worth():
    doc = {"scores": [1.0, 0.25, 0.0]}
    grade = rules.multiple_choice_grade
    assert grade(doc, [(-1, True), (-2, False), (-3, False)]) == {"multiple_choice_grade": 1.0}
    assert grade(doc, [(-3, True), (-2, False), (-4, False)]) == {"multiple_choice_grade": 0.25}
    assert grade(doc, [(-2, True), (-2, False), (-3, False)]) == {"multiple_choice_grade": 0.625}


def test_bigbench_matches_strings_to_the_letter():
    doc = {"targets": ["shut", "closed"], "output_regex": ""}
    assert rules.exact_str_match(doc, [" closed "]) == {"exact_str_match": 1.0}
    assert rules.exact_str_match(doc, ["Closed"]) == {"exact_str_match": 0.0}
    assert rules.exact_str_match(doc, ["closed."]) == {"exact_str_match": 0.0}
    doc["output_regex"] = "[a-z]+"
    assert rules.exact_str_match(doc, [" closed. Q: far"]) == {"exact_str_match": 1.0}
    assert rules.exact_str_match(doc, ["42"]) == {"exact_str_match": 0.0}


def test_constant_ratings_correlate_with_nothing():
    assert rules.pearson([(0, 1.5), (1, 1.5), (3, 1.5)]) == 0.0
    assert rules.spearman([(0, 1.0), (1, 2.0), (3, 3.0)]) == pytest.approx(1.0)


THEIRS = {
    "name": "strange_units",
    "description": "A task in their format.",
    "keywords": ["multiple choice"],
    "metrics": ["multiple_choice_grade", "exact_str_match"],
    "preferred_score": "multiple_choice_grade",
    "task_prefix": "Choose.\n",
    "examples": [
        {
            "input": "How many eggs in a dozen?",
            "target_scores": {"twelve": 1, "ten": 0, "a few": 0.5},
        },
        {"input": "How many legs has a cat?", "target_scores": {"four": 1, "six": 0}},
    ],
}


def test_a_task_of_theirs_is_read_and_scored(tiny, tmp_path):
    (tmp_path / "task.json").write_text(json.dumps(THEIRS))
    task = read_bigbench(tmp_path)
    first = task.documents()[0]
    assert first["inputs"].startswith("\nQ: How many eggs in a dozen?\n  choice: ")
    assert first["inputs"].endswith("\nA: ")
    assert sorted(first["choices"]) == ["a few", "ten", "twelve"]
    assert first["scores"][first["choices"].index("a few")] == 0.5
    found = evaluate_tasks(tiny.model, tiny.tokenizer, [str(tmp_path)])
    assert found.score("bigbench_strange_units").metric == "multiple_choice_grade"
    asked, _ = found.results["samples"]["bigbench_strange_units"][0]["arguments"][0]
    assert asked.startswith("Choose.\n")


def test_the_place_of_a_choice_says_nothing_and_is_not_the_writer_s(tmp_path):
    choices = {"right": 1, "wrong": 0, "worse": 0, "worst": 0}

    def documents(order):
        scores = {choice: choices[choice] for choice in order}
        examples = [{"input": f"Number {n}?", "target_scores": scores} for n in range(400)]
        (tmp_path / "task.json").write_text(json.dumps(THEIRS | {"examples": examples}))
        return read_bigbench(tmp_path).documents()

    found = documents(choices)
    assert found == documents(reversed(choices)), "as the file has it"
    assert all(row["choices"][row["best"]] == "right" for row in found)
    each = np.bincount([row["best"] for row in found], minlength=4)
    assert np.abs(each - 100).max() < 4 * np.sqrt(400 * 0.25 * 0.75)


def test_our_own_are_scored_alike_by_name_and_by_path(tiny, found):
    path = data_path("benchmarks", "bigbench", "odd_one_out")
    again = evaluate_tasks(tiny.model, tiny.tokenizer, [str(path)], limit=12)
    assert again.score("bigbench_odd_one_out") == found.score("bigbench_odd_one_out")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"examples": []}, "no 'examples'"),
        ({"metrics": ["bleu"], "preferred_score": "bleu"}, "scored by bleu"),
        ({"examples": [{"input": "?"}]}, "example 0"),
        ({"name": ""}, "no 'name'"),
        ({"name": 3}, "name: it must be a text"),
        ({"metrics": "exact_str_match"}, "metrics: it must be a valid list"),
        ({"examples": [1]}, "example 0: it must be a valid dictionary."),
        ({"examples": [{"input": 3, "target_scores": {"a": 1}}]}, "example 0 'input'"),
        ({"examples": [{"input": "?", "target_scores": ["a"]}]}, "example 0 'target_scores'"),
        ({"examples": [{"input": "?", "target_scores": {"a": "b"}}]}, "must be a number"),
        ({"output_regex": "("}, "no regular expression"),
    ],
)
def test_a_file_that_is_no_task_is_refused(change, words, tmp_path):
    path = tmp_path / "task.json"
    path.write_text(json.dumps(THEIRS | change))
    assert_refused(lambda: read_bigbench(path), words)
    path.write_text("{")
    assert_refused(lambda: read_bigbench(path), "no JSON")
    assert_refused(lambda: read_bigbench(tmp_path / "none.json"), "cannot be read")


def test_the_ngram_model_is_a_distribution(tiny):
    ngrams = NgramModel(tiny.tokenizer, ["The cat sat on the mat.", "The dog sat on the rug."])
    size = len(tiny.tokenizer)
    for before in (None, *list(ngrams.pairs)[:3], 5):
        total = sum(math.exp(ngrams.log_prob(before, token)) for token in range(size))
        assert total == pytest.approx(1, abs=1e-9)
    found = evaluate_tasks(ngrams, None, ["glue_paraphrase", "bigbench_opposites"], limit=4)
    assert len(found.scores) == 3


def test_the_ngram_model_is_witten_bells(tiny):
    """By its words: what goes to the unigrams is the share of kinds, and a text goes on from what
    it stands behind, whose last token counts."""
    texts = ["The cat sat on the mat.", "The cat sat on the rug.", "The dog sat on the mat."]
    ngrams, tokenizer = NgramModel(tiny.tokenizer, texts), tiny.tokenizer
    rows = [tokenizer(text)["input_ids"] for text in texts]
    size = sum(map(len, rows)) + len(tokenizer)

    def expected(before, token):
        alone = (sum(row.count(token) for row in rows) + 1) / size
        after = [row[i + 1] for row in rows for i in range(len(row) - 1) if row[i] == before]
        if not after:
            return math.log(alone)
        kept = len(after) / (len(after) + len(set(after)))
        return math.log(kept * after.count(token) / len(after) + (1 - kept) * alone)

    tokens = sorted({token for row in rows for token in row})
    for before in (None, *tokens):
        for token in (*tokens, len(tokenizer) - 1):
            assert ngrams.log_prob(before, token) == pytest.approx(expected(before, token))

    context, text = "The dog sat", " on the rug."
    *_, last = tokenizer(context, add_special_tokens=False)["input_ids"]
    row = [last, *tokenizer(text, add_special_tokens=False)["input_ids"]]
    [(behind, _)] = ngrams.loglikelihood([SimpleNamespace(args=(context, text))])
    assert behind == pytest.approx(sum(expected(a, b) for a, b in pairwise(row)))


def test_training_pairs_are_the_harnesss_words():
    rows = training_pairs(["glue_acceptability", "superglue_yes_no"])
    assert {row["completion"] for row in rows} == {" yes", " no"}
    assert all(row["prompt"].endswith("\nAnswer:") for row in rows)
    assert training_pairs(["glue_acceptability", "superglue_yes_no"]) == rows


# A task of each form: labels, texts, letters, BIG-bench's choices, free text, a correlation. And
# those scored by F1 and Matthews' correlation, which the command resamples 100,000 times (minutes).
FORMS = (
    "glue_sentiment,superglue_yes_no,mmlu_people_by_text,mmlu_people,bigbench_animal_facts,"
    "bigbench_opposites,glue_similarity"
)
RESAMPLED = "glue_acceptability,glue_paraphrase"


@pytest.mark.parametrize("tasks", [FORMS, pytest.param(RESAMPLED, marks=pytest.mark.torture)])
def test_the_harnesss_own_command_runs_the_tasks_unchanged(tmp_path, found, tasks):
    """And gives the same scores. Its own index of tasks takes half a minute."""
    given = f"pretrained={data_path('checkpoints', 'gpt2-almanac')},dtype=float32"
    command = [
        sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args", given,
        "--include_path", str(data_path("benchmarks")), "--tasks", tasks, "--limit", "12",
        "--device", "cpu", "--batch_size", "16", "--output_path", str(tmp_path),
    ]  # fmt: skip
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "DISABLE_MULTIPROC": "1"}
    done = subprocess.run(
        command, env=os.environ | offline, capture_output=True,
        text=True, timeout=3000, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    [path] = tmp_path.rglob("results_*.json")
    results = json.loads(path.read_text())["results"]
    for task in tasks.split(","):
        for score in (s for s in found.scores if s.task == task):
            theirs = results[task][f"{score.metric},none"]
            assert theirs == pytest.approx(score.value, abs=1e-4)
