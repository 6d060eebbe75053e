"""Guards claims: the record is complete, the whole interval decides, a changed verdict fails.

pytest tests/classroom/test_claims.py
"""

import math
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.classroom import ClaimError, claim, claims_table, session
from course_lib.classroom import claims as exported_claims  # the module, not a function
from course_lib.classroom.claims import VERDICTS, Claim, claims, prediction_range
from course_lib.runtime import CourseError

MODULE = exported_claims
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@dataclass
class Interval:
    mean: float
    low: float
    high: float
    n: int = 5


def entry(**changes) -> Claim:
    base = Claim("x", "01", "Water is wet", "us", "wetness", "taught", low=0.0, verdict="holds")
    return replace(base, **changes)


@pytest.fixture
def record(monkeypatch):
    """Put one claim on record, under the id "x", outside any notebook."""
    monkeypatch.setattr(session, "_current", None)

    def put(**changes):
        monkeypatch.setattr(MODULE, "claims", lambda: {"x": entry(**changes)})

    return put


def test_every_entry_is_complete():
    for id, item in claims().items():
        assert item.statement.endswith("."), id
        assert item.source, id
        assert item.measured, id
        assert item.status in ("taught", "planned"), id
        assert item.verdict in ("", *VERDICTS), id
        assert item.notebook[:2].isdigit(), id
        if item.status == "taught":
            assert item.low is not None or item.high is not None, id
        else:
            assert not item.verdict, f"{id} has a verdict but is only planned"
        assert (item.verdict == "refined") == bool(item.condition), id


def test_what_is_taught_is_shown_in_its_notebook():
    there = {path.stem: path.read_text(encoding="utf-8") for path in NOTEBOOKS.glob("*.ipynb")}
    for id, item in claims().items():
        if item.status == "taught":
            shown = f"Claim: {item.statement}".replace('"', '\\"')
            assert shown in there[item.notebook], f"{id}: run `make notebooks`"


def test_training_results_ask_for_five_seeds():
    # One value a world, of eight worlds.
    fitted = {"entropy-inside-interval", "ladder-predicts-larger", "more-compute-lower-loss"}
    fitted |= {"loss-is-performance", "small-more-data-wins"}
    # What laws fitted to the runs of others say, of them and of published models.
    fitted |= {"approach-three-near-one-half", "gpt3-undertrained", "bloomberggpt-optimal"}
    fitted |= {"gpt3-size"}  # by formula
    # What models that are given answer; the interval is over questions.
    fitted |= {"form-outweighs-knowledge", "mmlu-tests-knowledge"}
    taught = [c for c in claims().values() if c.status == "taught"]
    taught = [c for c in taught if c.notebook != "05_compute"]  # arithmetic, no training
    assert all(c.seeds >= 5 for c in taught if c.id not in fitted)


def test_every_part_of_the_lecture_notes_is_claimed():
    sources = " ".join(c.source for c in claims().values())
    for part in (
        "model types", "training goals", "units", "Chinchilla paper", "Chinchilla table",
        "pre-training", "instruction fine-tuning", "catastrophic forgetting",
        "multitask fine-tuning", "model evaluation", "model benchmarking",
    ):  # fmt: skip
        assert part in sources, part


@pytest.mark.parametrize(
    ("bounds", "low", "high", "verdict"),
    [
        ({}, 0.1, 0.3, "holds"),
        ({}, -0.1, 0.3, "undecided"),
        ({}, -0.3, -0.1, "refuted"),
        ({}, 0.0, 0.0, "refuted"),  # no difference at all is not "better"
        ({"condition": "on rainy days"}, 0.1, 0.3, "refined"),
        ({"high": 0.2}, 0.05, 0.1, "holds"),
        ({"high": 0.2}, 0.1, 0.3, "undecided"),
        ({"high": 0.2}, 0.3, 0.4, "refuted"),
        ({"low": None, "high": 4.0}, 1.0, 1.0, "holds"),
        ({"low": 1.0, "high": 1.0}, 1.0, 1.0, "holds"),
        ({"low": 1.0, "high": 1.0}, 0.9, 1.1, "undecided"),
        ({"low": 1.0, "high": 1.0}, 0.99, 0.99, "refuted"),
    ],
)
def test_the_whole_interval_decides(bounds, low, high, verdict):
    assert entry(**bounds).judge(low, high) == verdict


@given(st.floats(-5, 5), st.floats(0, 3), st.floats(-2, 2), st.floats(0.01, 2))
def test_a_verdict_is_never_stricter_than_its_interval(center, half, low, width):
    item = entry(low=low, high=low + width)
    verdict = item.judge(center - half, center + half)
    inside = low < center - half and center + half < low + width
    assert (verdict == "holds") == inside
    if verdict == "refuted":
        assert center - half >= low + width or center + half <= low


def test_a_box_tells_the_measurement_the_seeds_and_the_live_run(record, capsys):
    record(seeds=5, unit="nats")
    claim("x", Interval(0.2, 0.1, 0.3), live=0.25)
    text = capsys.readouterr().out
    for part in ("Water is wet", "0.2 nats", "0.1 to 0.3", "5 seeds", "your run: 0.25, within"):
        assert part in text
    claim("x", 0.2, Interval(0.2, 0.1, 0.3), live=0.9)
    assert "outside the spread" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "words"),
    [({}, "7 runs"), ({"over": "questions"}, "7 questions"), ({"seeds": 5}, "7 seeds")],
)
def test_a_box_says_over_what_its_interval_is(changes, words, record, capsys):
    record(**changes)
    claim("x", Interval(0.2, 0.1, 0.3, n=7))
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "value", "message"),
    [
        ({}, -0.1, "record says 'holds', this measurement says 'refuted'"),
        ({"seeds": 5}, 0.2, "interval over at least 5 seeds"),
        ({"seeds": 5}, Interval(0.2, 0.1, 0.3, n=4), "needs 5 seeds"),
        ({}, math.nan, "not a finite number"),
        ({}, None, "not a finite number"),
        ({"verdict": ""}, 0.2, "none on record"),
        ({"seeds": 5}, Interval(0.2, -0.1, 0.5), "says 'undecided'"),
        ({"verdict": "refuted"}, 0.2, "record says 'refuted'"),
    ],
)
def test_a_verdict_that_is_not_on_record_fails_in_one_line(record, changes, value, message):
    record(**changes)
    with pytest.raises(ClaimError, match=message) as caught:
        claim("x", value)
    assert isinstance(caught.value, AssertionError)
    assert "\n" not in str(caught.value)


def test_smoke_judges_nothing(record, monkeypatch, capsys):
    record(seeds=5)
    monkeypatch.setattr(session, "_current", None)
    session.begin("00_start_here", budget="smoke")
    claim("x", -3.0)
    assert "not judged at this budget" in capsys.readouterr().out


def test_an_unknown_claim_names_the_nearest():
    with pytest.raises(CourseError, match="did you mean 'right-context-helps'"):
        claim("right-context-help", 1.0)


def test_the_prediction_range_is_the_textbook_one():
    values = [1.0, 1.4, 0.9, 1.2, 1.1]
    n, t = 5, 2.7764451052  # 97.5 % quantile of Student's t with 4 degrees of freedom
    mean, s = statistics.mean(values), statistics.stdev(values)
    half = t * s / math.sqrt(n)
    low, high = prediction_range(Interval(mean, mean - half, mean + half, n))
    assert high - mean == pytest.approx(t * s * math.sqrt(1 + 1 / n))
    assert mean - low == pytest.approx(high - mean)


def test_the_table_has_a_row_a_claim_and_no_stray_html():
    lines = claims_table().splitlines()
    assert len(lines) == len(claims()) + 2
    assert all(line.replace(r"\|", "").count("|") == 5 for line in lines)
    assert "<x>" not in claims_table()
