"""The exercises of notebook 15."""

from collections.abc import Callable
from typing import Any

import torch

from course_lib.classroom.exercises.base import (
    Exercise,
    WrongError,
    near,
    require,
    require_number,
    require_tensor,
    whole_number,
)


class CalibrationBins(Exercise):
    """Expected calibration error with bins of equal width (Guo et al. 2017, equation 3)."""

    name = "calibration-bins"
    function = "ece"
    notebook = "15_holistic_evaluation"
    prompt = """
    Most papers do not take HELM's bins of equal mass but bins of equal *width*. Write
    `ece(confidence, right, bins)`. `confidence` is a tensor of probabilities above 0, `right` one
    of 0 and 1, both `[answers]`. Bin number i holds the answers above i / bins, up to and with
    (i + 1) / bins. Return the mean over bins of
    |mean confidence - share right|, each bin weighed by its answers.
    """
    hint = """
    `(confidence * bins).ceil() - 1` is the number of the bin of each answer. Many bins are empty:
    leave those out, their mean is not a number.
    """
    praise = "Right. With a model that is always sure, nearly all answers are in one bin."

    @staticmethod
    def solution(confidence: torch.Tensor, right: torch.Tensor, bins: int) -> float:
        """Bins of equal width."""
        place = (confidence * bins).ceil() - 1
        total = 0.0
        for number in place.unique():
            held = place == number
            gap = confidence[held].mean() - right[held].mean()
            total += float(held.sum() * gap.abs())
        return total / len(confidence)

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Confidences that leave bins empty, of a model that is too sure in one half only."""
        for bins in (4, 5, 10):
            sure = (
                0.55 + 0.4 * torch.rand(whole_number(draw, 150, 300), generator=draw).double() ** 2
            )
            honest = torch.where(sure > 0.7, sure - 0.3, sure + 0.2)
            right = (torch.rand(len(sure), generator=draw) < honest).double()
            self._compare(answer, sure, right, bins)

    def _compare(
        self, answer: Callable[..., Any], sure: torch.Tensor, right: torch.Tensor, bins: int
    ) -> None:
        got = require_number(answer(sure.clone(), right.clone(), bins), "The error")
        want = self.solution(sure, right, bins)
        if near(got, want):
            return
        require(
            got == got,
            "the error is nan: a bin without answers has no mean. Leave empty bins out.",
        )
        place = (sure * bins).ceil() - 1
        gaps = torch.stack(
            [sure[place == n].mean() - right[place == n].mean() for n in place.unique()]
        )
        order = sure.argsort()
        mass = sum(
            len(part) * float((sure[part].mean() - right[part].mean()).abs())
            for part in order.tensor_split(bins)
        ) / len(sure)
        said = f"ece of {len(sure)} answers in {bins} bins"
        slips = [
            (mass, "these are bins of equal *mass*. Here each is as *wide* as the next."),
            (float(gaps.abs().mean()), "every bin counts alike, however few answers it holds."),
            (float(gaps.abs().sum()) / bins, "you divide by the number of bins: a bin counts by "
             "its answers, and an empty one not at all."),
            (float((sure.mean() - right.mean()).abs()), "bins above and below the truth cancel: "
             "take the absolute value in each bin, before you add."),
            (float((sure - right).abs().mean()), "a single answer is right or wrong: compare "
             "means over a bin."),
        ]  # fmt: skip
        for value, words in slips:
            require(not near(got, value), f"{said}: {words}")
        raise WrongError(f"{said} is {want:.4f}, not {got:.4f}.")


class NgramOverlap(Exercise):
    """A finder of test items in training text (Brown et al. 2020, appendix C)."""

    name = "ngram-overlap"
    function = "flagged"
    notebook = "15_holistic_evaluation"
    prompt = """
    Write `flagged(items, documents, n)`. Both are lists of texts, each text a list of words that
    are already in lower case. Return a list of True or False, one for each item: does it share n
    words *in a row* with a document? An item of fewer than n words shares none.
    """
    hint = """
    Collect the runs of n words of all documents in one set: `tuple(words[i : i + n])` for i from 0
    to `len(words) - n`. Then ask for each item whether one of its own runs is in the set.
    """
    praise = "Right, and it reads the corpus once, however many items there are."

    @staticmethod
    def solution(items: list[list[str]], documents: list[list[str]], n: int) -> list[bool]:
        """One set of all runs, then a look-up for each run of an item."""

        def runs(words: list[str]) -> set[tuple[str, ...]]:
            return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

        seen = set().union(*map(runs, documents))
        return [not runs(item).isdisjoint(seen) for item in items]

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """A part of an item; words out of order; a run over two documents; a short item."""
        for _ in range(3):
            n, words = whole_number(draw, 3, 6), [f"word{i}" for i in range(60)]
            order = torch.randperm(60, generator=draw).tolist()
            a, b, c, d, e = ([words[i] for i in order[12 * k : 12 * k + 12]] for k in range(5))
            middle = ["so", *a[4 : 4 + n], "then"]
            documents = [middle, b[::-1], c[: n - 1], c[n - 1 :], d[: n - 1], e[: n - 1]]
            documents[3] = documents[3][: n - 1]
            cases = [
                (a, True, "it shares n words with a document, in its middle"),
                (b, False, "its words are in a document, but in another order"),
                (c, False, "its n words stand half at the end of one document, half at the start "
                 "of the next: a run does not go on over the border"),
                (d, False, f"it shares {n - 1} words in a row, one short of n = {n}"),
                (e[: n - 1], False, f"it has fewer than n = {n} words, so it cannot share n"),
            ]  # fmt: skip
            got = answer([list(item) for item, _, _ in cases], [list(x) for x in documents], n)
            require(
                isinstance(got, list) and len(got) == len(cases),
                f"Return a list with one True or False for each of the {len(cases)} items.",
            )
            for mine, (_, want, why) in zip(got, cases, strict=True):
                require(
                    bool(mine) == want, f"An item should be {'' if want else 'not '}flagged: {why}."
                )


class WinRate(Exercise):
    """HELM's way to put models in one order (Liang et al. 2023, section 8)."""

    name = "win-rate"
    function = "win_rate"
    notebook = "15_holistic_evaluation"
    prompt = """
    Write `win_rate(scores)` for a tensor `[models, measures]` in which higher is better. For each
    model and measure, take the share of the *other* models that it beats; a tie counts one half.
    Return the mean over measures, a tensor `[models]`.
    """
    hint = """
    `scores[:, None] > scores[None]` compares every model with every other, `[models, models,
    measures]`. Nobody beats itself, but everybody ties with itself: take that half away again.
    """
    praise = "Right. Add a model that is bad at everything, and see whose rate changes most."

    @staticmethod
    def solution(scores: torch.Tensor) -> torch.Tensor:
        """Wins and half the ties, without the tie with oneself."""
        mine, other = scores[:, None], scores[None]
        wins = (mine > other).double() + (mine == other).double() / 2
        return (wins.sum(dim=1) - 0.5).mean(dim=1) / (len(scores) - 1)

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Scores on different scales, some of them equal."""
        for _ in range(4):
            models, measures = whole_number(draw, 3, 7), whole_number(draw, 2, 6)
            scores = torch.randint(4, (models, measures), generator=draw).double()
            scores[0], scores[1] = 9.0, scores[1] - 1  # one that wins, no tie; unequal others
            scores[:, 0] *= 100
            scores[-1] = scores[-2]
            self._compare(answer, scores)

    def _compare(self, answer: Callable[..., Any], scores: torch.Tensor) -> None:
        got = require_tensor(answer(scores.clone()), [len(scores)], "The rates").double()
        want = self.solution(scores)
        if torch.allclose(got, want, atol=1e-6):
            return
        mine, other = scores[:, None], scores[None]
        wins, ties, rest = (mine > other).double(), (mine == other).double(), len(scores) - 1
        slips = [
            (1 - want, "the worst model comes first: higher scores are better."),
            (wins.sum(1).mean(1) / rest, "a tie counts one half, yours counts nothing."),
            ((wins + ties).sum(1).sub(1).mean(1) / rest, "a tie counts one half, yours is a win."),
            ((wins + ties / 2).sum(1).mean(1) / rest, "every model ties with itself: take it out."),
            ((wins + ties / 2).sum(1).sub(0.5).mean(1) / len(scores), "divide by the number of "
             "*other* models."),
            (scores.mean(1), "that is the mean score: the measure with the largest numbers "
             "decides. Only the order within a measure may count."),
        ]  # fmt: skip
        for value, words in slips:
            require(not torch.allclose(got, value, atol=1e-6), words[0].upper() + words[1:])
        raise WrongError(f"The rates of\n{scores}\nare {want.tolist()}, not {got.tolist()}.")
