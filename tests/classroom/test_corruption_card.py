"""Guards the corruption explorer: what is shown is what the objective does, and nothing is lost.

pytest tests/classroom/test_corruption_card.py
"""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import assert_refused

from course_lib.classroom import corruption_card, widgets
from course_lib.classroom.corruption import READERS

TEXT = "The cat sat on the mat. It says meow when it is hungry."
SENTINEL = re.compile(r"<extra_id_(\d+)>")

choices = given(
    rate=st.sampled_from([0.05, 0.15, 0.3, 0.5, 0.9]),
    mean_span=st.integers(1, 6),
    seed=st.integers(0, 30),
)
few = settings(max_examples=25, deadline=None)


def shown(objective: str, **options) -> list[list[str]]:
    """The token rows of the card; a token with an answer reads `token(->answer)`."""
    lines = corruption_card(TEXT, objective, **options).text.splitlines()
    return [line.split(" ") for line in lines[1::2]]


def counts(objective: str, **options) -> list[int]:
    """The numbers in the headings."""
    headings = corruption_card(TEXT, objective, **options).text.splitlines()[::2]
    return [int(number) for heading in headings for number in re.findall(r"(?<!-)\b\d+\b", heading)]


def as_text(tokens: list[str]) -> str:
    return "".join(tokens).replace("␣", " ").strip()


@few
@choices
def test_the_answers_of_the_masked_card_put_the_text_together_again(rate, mean_span, seed):
    (row,) = shown("masked", rate=rate, mean_span=mean_span, seed=seed)
    answers = [re.sub(r".*\(->(.*)\)", r"\1", token) for token in row]
    assert " ".join(answers) == f"[CLS] {TEXT.replace('.', ' .')} [SEP]"
    read, targets = counts("masked", rate=rate, mean_span=mean_span, seed=seed)
    assert read == len(row)
    assert targets == sum("(->" in token for token in row)


@few
@choices
def test_the_written_spans_fill_the_gaps_of_the_input(rate, mean_span, seed):
    read, written = shown("span", rate=rate, mean_span=mean_span, seed=seed)
    spans: dict[str, list[str]] = {}
    for token in written[:-1]:
        if SENTINEL.fullmatch(token):
            spans[token] = span = []
        else:
            span.append(token)
    filled = [part for token in read[:-1] for part in spans.get(token, [token])]
    assert as_text(filled) == TEXT
    assert counts("span", rate=rate, mean_span=mean_span, seed=seed) == [
        len(read),
        len(filled),
        len(written),
    ]


@few
@choices
def test_bart_writes_the_whole_text_and_reads_no_token_that_is_not_there(rate, mean_span, seed):
    read, written = shown("infilling", rate=rate, mean_span=mean_span, seed=seed)
    assert as_text(written[1:-1]) == TEXT
    assert set(read) <= {*written, "<mask>"}
    assert len(read) <= len(written)


def test_a_causal_token_is_answered_by_the_one_after_it():
    (row,) = shown("causal")
    pairs = [re.fullmatch(r"(.*)\(->(.*)\)", token).groups() for token in row[:-1]]
    tokens, answers = zip(*pairs, strict=True)
    assert answers == (*tokens[1:], row[-1])
    assert counts("causal") == [len(row), len(row) - 1]


@pytest.mark.parametrize("objective", READERS)
def test_the_same_choices_show_the_same_card_and_html_says_it_too(objective):
    card, again = (corruption_card(TEXT, objective, seed=4) for _ in range(2))
    assert card.html == again.html
    assert "<script" not in card.html
    assert card.html.count("border-radius:4px") == sum(map(len, shown(objective, seed=4)))


def test_an_unknown_objective_is_refused():
    assert_refused(lambda: corruption_card(TEXT, "maskd"), "one of 'masked', 'causal', 'span'")


def test_no_text_is_refused():
    assert_refused(lambda: corruption_card(" "), "write a sentence")


def test_every_control_of_the_explorer_changes_what_is_shown():
    panel = widgets.panel(
        corruption_card,
        {
            "text": "",
            "objective": list(READERS),
            "rate": (0.05, 0.9, 0.05),
            "mean_span": (1, 6, 1),
            "seed": (0, 20, 1),
        },
    )
    text, objective, rate, mean_span, seed, output = panel.children
    before = output.value
    assert "T5 reads" in before
    changes = [(seed, 3), (rate, 0.5), (mean_span, 4), (objective, "infilling"), (text, "A dog.")]
    for control, value in changes:
        control.value = value
        assert output.value != before
        assert "Error" not in output.value
        before = output.value
    assert "dog" in output.value
    text.value = ""
    rate.value = 0.3
    objective.value = "span"
    assert "write a sentence" in output.value, "a text that is missing is said, not swallowed"
