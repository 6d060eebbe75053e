"""Guards every exercise: the solution passes, the blank is "not yet", planted slips are named.

Each exercise has at least three wrong answers here, each with words of its own that the check must
say. A check that accepts a slip, or names the wrong one, fails.

    pytest tests/classroom/test_exercises.py
"""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from course_lib.classroom.exercises import Exercise, exercise, registered
from course_lib.runtime import CourseError

MASK_ID, VOCAB_SIZE = 4, 1000


def mask_with(rate=0.15, fates=(0.8, 0.1), keep_special=True, fresh=True, width=VOCAB_SIZE):
    """BERT's masking with one thing wrong."""

    def mask(ids, special, generator):
        first = torch.rand(ids.shape, generator=generator)
        chosen = (first < rate) & (~special if keep_special else True)
        labels = torch.where(chosen, ids, -100)
        fate = torch.rand(ids.shape, generator=generator) if fresh else first
        other = torch.randint(width, ids.shape, generator=generator)
        inputs = torch.where(chosen & (fate < fates[0]), MASK_ID, ids)
        random = chosen & (fate >= fates[0]) & (fate < sum(fates))
        return torch.where(random, other, inputs), labels

    return mask


def mask_in_place(ids, special, generator):
    inputs, labels = mask_with()(ids, special, generator)
    ids[:] = inputs
    return inputs, labels


def mask_labels_everywhere(ids, special, generator):
    return mask_with()(ids, special, generator)[0], ids


def mask_labels_inverted(ids, special, generator):
    inputs, labels = mask_with()(ids, special, generator)
    return inputs, torch.where(labels == -100, ids, -100)


def mask_without_generator(ids, special, generator):
    return mask_with()(ids, special, torch.Generator().manual_seed(torch.seed() % 2**31))


def mask_fixed_seed(ids, special, generator):
    return mask_with()(ids, special, torch.Generator().manual_seed(1))


def top_p_without_boundary(probabilities, p):
    values, order = probabilities.sort(descending=True)
    result = torch.zeros_like(probabilities)
    result[order] = torch.where(values.cumsum(0) < p, values, 0.0)
    return result / result.sum().clamp(min=1e-9)


def top_p_not_renormalised(probabilities, p):
    right = registered()["top-p"].solution(probabilities, p)
    return torch.where(right > 0, probabilities, 0.0)


def top_p_sorted(probabilities, p):
    values = probabilities.sort(descending=True).values
    kept = torch.where(values.cumsum(0) - values < p, values, 0.0)
    return kept / kept.sum()


def top_p_threshold(probabilities, p):
    kept = torch.where(probabilities >= probabilities.max() * (1 - p), probabilities, 0.0)
    return kept / kept.sum()


def top_p_even(probabilities, p):
    kept = (registered()["top-p"].solution(probabilities, p) > 0).double()
    return kept / kept.sum()


def alibi(slopes=None, sign=-1, future=float("-inf"), power=1):
    def alibi_bias(heads, length):
        steps = torch.arange(1, heads + 1)
        slope = slopes(steps, heads) if slopes else 2.0 ** (-8 * steps / heads)
        i, j = torch.arange(length)[:, None], torch.arange(length)[None, :]
        bias = sign * slope[:, None, None] * (i - j) ** power
        return bias.masked_fill(j > i, future)

    return alibi_bias


def smoothed(counts, held_out, base=math.e, add=1):
    probabilities = (counts + add) / (counts + add).sum()
    return -probabilities[held_out].log() / math.log(base)


def f1(average, **options):
    return lambda e, p: f1_score(e, p, average=average, zero_division=0, **options)


def crashing_f1(expected, predicted):
    total = 0.0
    for label in set(expected) | set(predicted):
        tp = sum(e == p == label for e, p in zip(expected, predicted, strict=True))
        precision = tp / predicted.count(label)
        recall = tp / expected.count(label)
        total += 2 * precision * recall / (precision + recall)
    return total / len(set(expected) | set(predicted))


solve_count = registered()["count-targets"].solution

# name -> [(wrong answer, words that its message must contain)]
WRONG = {
    "count-targets": [
        (lambda o, n, r: n, "only the masked ones"),
        (lambda o, n, r: round(0.15 * n) if o == "masked" else 0, "follow `rate`|each token but"),
        (lambda o, n, r: n if o == "causal" else solve_count(o, n, r), "first token"),
        (lambda o, n, r: round(n * r) if o == "span" else solve_count(o, n, r), "the cut tokens"),
        (lambda o, n, r: solve_count(o, n, r) - (o == "span"), "one end token"),
        (lambda o, n, r: "many", "should be one number"),
    ],
    "mask-tokens": [
        (mask_with(rate=0.25), "it should be 15 %"),
        (mask_with(fates=(1.0, 0.0)), "80, 10 and 10"),
        (mask_with(fates=(0.8, 0.2)), "80, 10 and 10"),
        (mask_with(fresh=False), "80, 10 and 10"),
        (mask_with(keep_special=False), "special tokens were chosen"),
        (mask_with(width=30), "from all of 0 to 999"),
        (mask_in_place, "changed `ids` itself"),
        (mask_labels_everywhere, "Only the chosen ones"),
        (mask_labels_inverted, "special tokens were chosen|not chosen changed"),
        (lambda ids, s, g: (mask_with()(ids, s, g)[0],) * 2, "Every position has a label"),
        (mask_without_generator, "The same generator state"),
        (mask_fixed_seed, "nothing comes from `generator`"),
        (lambda ids, s, g: (ids, torch.full_like(ids, -100)), "No token was chosen"),
        (lambda ids, s, g: mask_with()(ids, s, g)[0], r"Return \(inputs, labels\)"),
    ],
    "unigram-loss": [
        (lambda c, h: float(smoothed(c, h, add=0).mean()), "not finite"),
        (lambda c, h: float(smoothed(c, h, base=2).mean()), "bits"),
        (lambda c, h: float(smoothed(c, h).sum()), "sum over tokens"),
        (lambda c, h: -float(smoothed(c, h).mean()), "sign"),
        (lambda c, h: float(-((c + 1) / c.sum())[h].log().mean()), "do not sum to 1"),
        (lambda c, h: float(smoothed(c, h, add=0.5).mean()), "the loss should be"),
        (smoothed, "one number"),
    ],
    "macro-f1": [
        (f1("micro"), "accuracy"),
        (f1("weighted"), "weighted"),
        (lambda e, p: f1("macro", labels=sorted(set(e)))(e, p), "never expected"),
        (crashing_f1, "stopped with ZeroDivisionError"),
        (lambda e, p: 0.5, "scikit-learn agrees"),
    ],
    "shift-labels": [
        (lambda ids: (ids, ids), "No shift"),
        (lambda ids: (ids[:, :-2], ids[:, 2:]), "Shifted twice"),
        (lambda ids: (ids[:, 1:], ids[:, :-1]), "wrong way round"),
        (lambda ids: (ids[:-1], ids[1:]), "rows of the batch"),
        (lambda ids: (ids, ids.roll(-1, 1)), "wraps around"),
        (lambda ids: (ids[:, :-1], ids[:, :-1]), "each row but its first"),
        (lambda ids: ids[:, 1:], r"Return \(inputs, targets\)"),
    ],
    "top-p": [
        (top_p_without_boundary, "boundary|Nothing is left"),
        (top_p_not_renormalised, "Divide by its sum"),
        (top_p_sorted, "sorted order"),
        (top_p_threshold, "make up the nucleus|put them back|boundary"),
        (top_p_even, "relative to each other"),
        (lambda probabilities, p: probabilities.tolist(), "should be a tensor"),
    ],
    "perplexity": [
        (lambda x, unit: math.exp(x.mean()), "In bits the base is 2"),
        (lambda x, unit: float(2 ** x.mean()), "In nats the base is e"),
        (lambda x, unit: float(x.exp().mean()), "averaged the powers"),
        (lambda x, unit: float(x.mean()), "mean loss itself"),
        (lambda x, unit: math.exp(-x.mean()), "sign"),
    ],
    "alibi-bias": [
        (alibi(lambda h, n: 2.0 ** (-8 * (h - 1) / n)), "numbered from 0"),
        (alibi(lambda h, n: 1.0 / h), "slopes should be"),
        (alibi(sign=1), "negative"),
        (alibi(future=0.0), "minus infinity"),
        (alibi(power=2), "evenly"),
        (lambda h, n: alibi()(h, n).transpose(1, 2), "Rows are queries"),
        (lambda h, n: alibi()(h, n)[0], "should have shape"),
        (lambda h, n: alibi()(h, n) - 1, "the diagonal is 0"),
    ],
}

CASES = [(name, i) for name, answers in WRONG.items() for i in range(len(answers))]


def blank(*arguments):
    raise NotImplementedError


@pytest.mark.parametrize("name", registered())
def test_the_solution_passes_on_fresh_seeds(name):
    kind = registered()[name]
    for seed in range(6):
        result = exercise(name).check(kind.solution, seed=seed)
        assert result, f"seed {seed}: {result}"
    assert exercise(name).check(kind.solution), "and with a seed nobody chose"


@pytest.mark.parametrize("name", registered())
@pytest.mark.parametrize("answer", [None, ..., blank, lambda *_: None, lambda *_: ...])
def test_a_blank_is_not_yet(name, answer):
    result = exercise(name).check(answer)
    assert result.status == "not yet"
    assert not result


@pytest.mark.parametrize(("name", "index"), CASES)
def test_a_planted_slip_is_named(name, index):
    import re

    answer, words = WRONG[name][index]
    for seed in range(3):
        result = exercise(name).check(answer, seed=seed)
        assert result.status == "try again", result
        assert re.search(words, result.message), result.message
        assert "cannot be read" not in result.message


@pytest.mark.parametrize("name", registered())
def test_every_exercise_has_three_slips_with_messages_of_their_own(name):
    messages = {exercise(name).check(answer, seed=0).message for answer, _ in WRONG[name]}
    assert len(messages) >= 3


@pytest.mark.parametrize("name", registered())
@pytest.mark.parametrize("odd", [lambda *_: "text", lambda *_: [1, 2], lambda *_: np.zeros(3), 7])
def test_odd_answers_never_raise(name, odd):
    assert exercise(name).check(odd).status == "try again"


@pytest.mark.parametrize("name", registered())
def test_an_exercise_is_complete_and_shows_itself(name):
    task = exercise(name)
    assert name in task._repr_markdown_()
    assert f"{task.function}(" in task._repr_markdown_()
    assert "<details>" in task.show_hint()._repr_markdown_()
    solution = task.show_solution()._repr_markdown_()
    code = solution.split("```python\n")[1].split("```")[0]
    # What is shown must run as it stands, with the notebook's names around it.
    scope = {"torch": torch, "math": math, "MASK_ID": MASK_ID, "VOCAB_SIZE": VOCAB_SIZE}
    exec(code, scope)
    assert task.check(scope[task.function])


def test_a_learners_error_is_told_with_its_line():
    def answer(ids):
        return ids.nonsense()

    message = exercise("shift-labels").check(answer).message
    assert "AttributeError" in message
    assert "return ids.nonsense()" in message


def test_results_say_their_verdict_in_words_and_escape_html():
    result = exercise("shift-labels").check(lambda ids: (_ for _ in ()).throw(ValueError("<b>")))
    assert "Not right yet" in result._repr_html_()
    assert "<b>" not in result._repr_html_()
    assert "Not right yet" in repr(result)


def test_a_typo_is_answered_with_the_nearest_name():
    with pytest.raises(CourseError, match="did you mean 'mask-tokens'"):
        exercise("mask-token")


def test_names_are_unique_and_notebooks_exist_in_the_plan():
    kinds = list(registered().values())
    assert all(issubclass(kind, Exercise) and kind.notebook[:2].isdigit() for kind in kinds)
    assert set(WRONG) == set(registered())
