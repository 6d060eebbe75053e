"""The exercises of notebook 14."""

from collections.abc import Callable
from typing import Any

import torch

from course_lib.classroom.exercises.base import Exercise, WrongError, near, require, require_number


class ChoiceByLikelihood(Exercise):
    """Two rules for a question with choices (lm-evaluation-harness: acc and acc_norm)."""

    name = "choice-by-likelihood"
    function = "choose"
    notebook = "14_benchmarks"
    prompt = """
    Write `choose(log_probs, choices)`. `choices` is a list of texts; `log_probs[i]` is a tensor
    with the log-probability, in nats, of each token of choice i behind the question. Return the
    places of two choices as a pair: the likeliest by *summed* log-probability, and the likeliest
    by the same sum *per character* of the text.
    """
    hint = """
    The choices have different numbers of tokens, so sum each tensor by itself:
    `[float(each.sum()) for each in log_probs]`. Then the place of the largest, and once more after
    dividing each sum by `len(text)`. Log-probabilities are negative: the largest is the one nearest
    to 0.
    """
    praise = "Right, and the harness calls the two acc and acc_norm."

    @staticmethod
    def solution(log_probs: list[torch.Tensor], choices: list[str]) -> tuple[int, int]:
        """The place of the largest sum, and of the largest sum per character."""
        sums = [float(each.sum()) for each in log_probs]
        per_character = [total / len(text) for total, text in zip(sums, choices, strict=True)]
        return sums.index(max(sums)), per_character.index(max(per_character))

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Choices of which each rule, right or wrong, picks another one, in a shuffled order."""
        # Tokens and characters are at odds: few long tokens against many short ones. Each rule, and
        # the smallest sum, picks another choice.
        shapes = [("sol", [-1.0]), ("boliviano", [-0.9, -0.9]), ("quetzal de Guatemala", [-3.4]),
                  ("a b c d", [-0.35] * 7), ("United States dollar", [-2.5] * 3)]  # fmt: skip
        for _ in range(6):
            order = torch.randperm(len(shapes), generator=draw).tolist()
            factor = 0.8 + 0.4 * float(torch.rand((), generator=draw))
            choices = [shapes[i][0] for i in order]
            log_probs = [torch.tensor(shapes[i][1]) * factor for i in order]
            self._compare(answer, log_probs, choices)

    def _compare(
        self, answer: Callable[..., Any], log_probs: list[torch.Tensor], choices: list[str]
    ) -> None:
        given = answer([each.clone() for each in log_probs], list(choices))
        require(
            isinstance(given, tuple | list) and len(given) == 2,
            "Return a pair: the place by the sum, and the place by the sum per character.",
        )
        got = tuple(int(require_number(place, "A place")) for place in given)
        want = self.solution(log_probs, choices)
        if got == want:
            return
        sums = torch.stack([each.sum() for each in log_probs])
        characters = torch.tensor([len(text) for text in choices])
        tokens = torch.tensor([len(each) for each in log_probs])
        said = " and ".join(f"{choices[place]!r}" for place in got if 0 <= place < len(choices))
        require(
            got != want[::-1],
            "the two have changed places: first the sum, then the sum per character.",
        )
        slips = [
            (0, int(sums.argmin()), "the smallest sum is the *un*likeliest: log-probabilities are "
             "negative, and the largest is nearest to 0."),
            (0, int((sums / characters).argmax()), "the first place is by the plain sum, without "
             "dividing."),
            (0, int((sums / tokens).argmax()), "the first place is by the sum over tokens, not by "
             "their mean."),
            (1, int((sums / tokens).argmax()), "you divide by the number of tokens. Per character "
             "it is the same for every tokenizer."),
            (1, int(sums.argmax()), "the second place has to be by the sum *per character*."),
            (1, int((sums * characters).argmax()), "you multiply by the length: divide by it."),
        ]  # fmt: skip
        for which, place, words in slips:
            require(got[which] == want[which] or got[which] != place, f"You chose {said}: {words}")
        raise WrongError(f"You chose {said}; it is {choices[want[0]]!r} and {choices[want[1]]!r}.")


class MultipleChoiceGrade(Exercise):
    """BIG-bench's grade of a choice (Srivastava et al. 2022; its documentation of JSON tasks)."""

    name = "multiple-choice-grade"
    function = "grade"
    notebook = "14_benchmarks"
    prompt = """
    Write `grade(examples)`, BIG-bench's `multiple_choice_grade`. Each example is a pair of
    dictionaries over the same choices: the log-likelihood that the model gives to each, and the
    `target_scores`, what each is worth. An example earns what its likeliest choice is worth; where
    several are equally likely, the mean of what they are worth. Return the mean over examples.
    """
    hint = """
    Inside an example: `best = max(likelihood.values())`, then collect the scores of all choices
    whose likelihood equals `best`, and take their mean.
    """
    praise = "Right. With scores of 0 and 1 and no ties it is plain accuracy."

    @staticmethod
    def solution(examples: list[tuple[dict[str, float], dict[str, float]]]) -> float:
        """The mean over examples of what the likeliest choices are worth."""
        grades = []
        for likelihood, worth in examples:
            best = max(likelihood.values())
            tied = [worth[choice] for choice in likelihood if likelihood[choice] == best]
            grades.append(sum(tied) / len(tied))
        return sum(grades) / len(grades)

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Plain examples, then partly right ones, then ties; dictionaries in different orders."""
        for worths, tie in (((1.0, 0.0, 0.0), 0), ((1.0, 0.5, 0.2), 0), ((1.0, 0.4, 0.0), 1)):
            for _ in range(3):
                examples = [self._example(worths, tie, draw) for _ in range(5)]
                self._compare(answer, examples)

    @staticmethod
    def _example(
        worths: tuple[float, ...], tie: int, draw: torch.Generator
    ) -> tuple[dict[str, float], dict[str, float]]:
        names = ["cat", "dog", "owl"]
        likelihood = (-1 - 5 * torch.rand(3, generator=draw)).tolist()
        if tie:
            high = max(likelihood)
            likelihood[likelihood.index(min(likelihood))] = high
        order = torch.randperm(3, generator=draw).tolist()
        worth = [worths[i] for i in torch.randperm(3, generator=draw).tolist()]
        said = {names[i]: likelihood[i] for i in range(3)}
        return said, {names[i]: worth[i] for i in order}

    def _compare(
        self, answer: Callable[..., Any], examples: list[tuple[dict[str, float], dict[str, float]]]
    ) -> None:
        given = [(dict(said), dict(worth)) for said, worth in examples]
        got, want = require_number(answer(given), "The grade"), self.solution(examples)
        if near(got, want):
            return
        slips = [
            (_grade(examples, lambda tied, worth: tied[0]), "several choices are equally likely: "
             "take the mean of what they are worth."),
            (_grade(examples, lambda tied, worth: max(tied)), "of equally likely choices you take "
             "the best one; take the mean."),
            (_grade(examples, lambda tied, worth: float(max(tied) == max(worth.values()))),
             "a choice may be worth something between 0 and 1: add what it is worth."),
            (self.solution([({c: -x for c, x in said.items()}, w) for said, w in examples]),
             "that is the *un*likeliest choice."),
            (want * len(examples), "divide by the number of examples."),
        ]  # fmt: skip
        for value, words in slips:
            require(not near(got, value), f"On {examples[0]} and {len(examples) - 1} more: {words}")
        raise WrongError(f"On {examples} the grade is {want:.4f}, not {got:.4f}.")


def _grade(examples: list, pick: Callable[[list[float], dict[str, float]], float]) -> float:
    grades = []
    for likelihood, worth in examples:
        best = max(likelihood.values())
        tied = [worth[choice] for choice in likelihood if likelihood[choice] == best]
        grades.append(pick(tied, worth))
    return sum(grades) / len(grades)
