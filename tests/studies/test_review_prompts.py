"""Guards the few-shot prompts of the hub track: what is shown, what is asked, how it is scored.

pytest tests/classroom/test_review_prompts.py
"""

import re

import pytest
from datasets import Dataset

from course_lib.studies import causal

EXAMPLES = Dataset.from_dict(
    {"text": [f"example {n}" for n in range(12)], "label": [n % 2 for n in range(12)]}
)
QUESTIONS = Dataset.from_dict(
    {"text": [f"question {n} " for n in range(9)], "label": [n % 3 % 2 for n in range(9)]}
)
SHOWN = re.compile(r"Review: example (\d+)\nVerdict: (bad|good)\n\n")
ASKED = re.compile(r"Review: question (\d)\nVerdict:$")


class Writer:
    model = tokenizer = None


@pytest.fixture
def prompts(monkeypatch):
    """Every prompt that is scored; the stand-in for a model knows all labels."""
    seen = []

    def log_prob(model, tokenizer, prompt, completion):
        seen.append(prompt)
        label = QUESTIONS["label"][int(ASKED.search(prompt)[1])]
        return float(completion == (" bad", " good")[label])

    monkeypatch.setattr(causal, "sequence_log_prob", log_prob)
    return seen


def test_a_model_that_knows_scores_one_and_its_opposite_none(prompts, monkeypatch):
    assert set(causal.review_accuracy(Writer, EXAMPLES, QUESTIONS).values()) == {1.0}
    right = causal.sequence_log_prob
    monkeypatch.setattr(causal, "sequence_log_prob", lambda *given: -right(*given))
    assert set(causal.review_accuracy(Writer, EXAMPLES, QUESTIONS).values()) == {0.0}


def test_a_prompt_shows_as_many_as_it_says_with_their_own_verdicts(prompts):
    scores = causal.review_accuracy(Writer, EXAMPLES, QUESTIONS)
    assert list(scores) == [f"shots_{shots}" for shots in causal.SHOTS]
    for prompt, shots in zip(
        prompts, (s for s in causal.SHOTS for _ in range(2 * len(QUESTIONS))), strict=True
    ):
        shown = SHOWN.findall(prompt)
        assert len({number for number, _ in shown}) == len(shown) == shots
        assert all(word == ("bad", "good")[int(number) % 2] for number, word in shown)
        assert SHOWN.sub("", prompt) == ASKED.search(prompt)[0], "and nothing else"


def test_all_models_are_asked_the_same_and_questions_differ_in_their_examples(prompts):
    causal.review_accuracy(Writer, EXAMPLES, QUESTIONS)
    first, prompts[:] = list(prompts), []
    causal.review_accuracy(Writer, EXAMPLES, QUESTIONS)
    assert prompts == first
    of_four = {tuple(SHOWN.findall(prompt)) for prompt in first[-2 * len(QUESTIONS) :]}
    assert len(of_four) > len(QUESTIONS) / 2
