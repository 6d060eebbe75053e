"""The exercises of notebook 13."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

from course_lib.classroom.exercises.base import (
    Exercise,
    WrongError,
    near,
    require,
    require_number,
    whole_number,
)


class BrevityPenalty(Exercise):
    """BLEU's penalty for short texts (Papineni et al. 2002, section 2.2.2)."""

    name = "brevity-penalty"
    function = "brevity_penalty"
    notebook = "13_metrics"
    prompt = """
    Write `brevity_penalty(lengths, references)`, by which BLEU's precisions are multiplied.
    `lengths` holds the length of each text in tokens, `references` for each text the lengths of
    its references, such as `[7, 12]` and `[[9, 6], [12]]`.

    - For each text take the reference that is nearest in length; of two equally near the shorter.
    - Add up: c over all texts, r over the chosen references.
    - The penalty is 1 if c is at least r, otherwise exp(1 - r / c).
    """
    hint = """
    `min(options, key=...)` finds the nearest, and a key may be a pair: first the distance, then the
    length itself. The sums come before the formula: one penalty for the corpus, not one a text.
    """
    praise = "Right. Long texts are not punished here: their precision is."

    @staticmethod
    def solution(lengths: list[int], references: list[list[int]]) -> float:
        """One penalty for the whole corpus."""
        nearest = [
            min(options, key=lambda option: (abs(option - length), option))
            for length, options in zip(lengths, references, strict=True)
        ]
        c, r = sum(lengths), sum(nearest)
        return 1.0 if c >= r else math.exp(1 - r / c)

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """A short corpus with unequal texts, one with a tie, and one that is too long."""
        for _ in range(5):
            lengths = [whole_number(draw, 3, 20) for _ in range(4)]
            references = [[n + whole_number(draw, 1, 6), n + 9] for n in lengths]
            self._compare(answer, lengths, references)
        length = whole_number(draw, 9, 15)
        self._compare(answer, [length, 5], [[length + 2, length - 2], [9]])
        self._compare(answer, [length, 9], [[length - 3], [8]])

    def _compare(
        self, answer: Callable[..., Any], lengths: list[int], references: list[list[int]]
    ) -> None:
        case = f"brevity_penalty({lengths}, {references})"
        got = require_number(answer(list(lengths), [list(r) for r in references]), "The penalty")
        want = self.solution(lengths, references)
        if near(got, want):
            return
        c, each = sum(lengths), list(zip(lengths, references, strict=True))
        nearest = [min(r, key=lambda o, n=n: (abs(o - n), o)) for n, r in each]
        tied = sum(min(r, key=lambda o, n=n: (abs(o - n), -o)) for n, r in each)
        alone = [self.solution([n], [r]) for n, r in each]
        slips = [
            (_penalty(c, sum(nearest), always=True),
             "the texts are longer than the references. A penalty above 1 would be a reward: it "
             "stops at 1."),
            (sum(alone) / len(alone),
             "that is the mean of a penalty for each text. Add up the lengths first."),
            (_penalty(c, tied), "of two references that are equally near, take the shorter."),
            (_penalty(c, sum(map(max, references))), "you take the longest reference, not the "
             "nearest in length."),
            (_penalty(sum(nearest), c, always=True), "c and r have changed places."),
            (min(1.0, c / sum(nearest)), "c / r is not yet the penalty: that is exp(1 - r / c)."),
        ]  # fmt: skip
        for value, words in slips:
            require(not near(got, value), f"{case}: {words}")
        raise WrongError(f"{case} is {want:.4f}, not {got:.4f}.")


def _penalty(c: float, r: float, always: bool = False) -> float:
    return 1.0 if c >= r and not always else math.exp(1 - r / c)


class RougeL(Exercise):
    """ROUGE-L of two lists of words (Lin 2004, section 3.1)."""

    name = "rouge-l"
    function = "rouge_l"
    notebook = "13_metrics"
    prompt = """
    Write `rouge_l(written, reference)` for two lists of words. A common subsequence holds words of
    both lists in the order in which both have them; there may be other words in between. With the
    length of the *longest* one, precision is its share of `written`, recall its share of
    `reference`. Return F1, the harmonic mean of the two; 0 where a list is empty.
    """
    hint = """
    Fill a table: `length[i][j]` is the longest for the first i words of one list and the first j of
    the other. Where the two last words agree it is `length[i-1][j-1] + 1`, otherwise the larger of
    `length[i-1][j]` and `length[i][j-1]`.
    """
    praise = "Right, and equal to rouge-score's. Words out of order no longer count."

    @staticmethod
    def solution(written: list[str], reference: list[str]) -> float:
        """F1 of the longest common subsequence."""
        length = [[0] * (len(reference) + 1) for _ in range(len(written) + 1)]
        for i, word in enumerate(written):
            for j, other in enumerate(reference):
                above, left = length[i][j + 1], length[i + 1][j]
                length[i + 1][j + 1] = length[i][j] + 1 if word == other else max(above, left)
        total = len(written) + len(reference)
        return 2 * length[-1][-1] / total if total else 0.0

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Shuffled, interrupted and unequal lists, then empty ones."""
        words = ["the", "cat", "dog", "sat", "on", "mat", "and", "ran"]
        for _ in range(12):
            a, b = (
                [words[whole_number(draw, 0, len(words))] for _ in range(whole_number(draw, *size))]
                for size in ((4, 9), (8, 14))
            )
            self._compare(answer, a, b)
            self._compare(answer, b, a)
        for pair in ((["cat"], []), ([], ["cat"]), ([], [])):
            got = require_number(answer(*map(list, pair)), "ROUGE-L")
            require(near(got, 0.0), f"rouge_l{pair}: with an empty list it is 0, not {got:.4f}.")

    def _compare(self, answer: Callable[..., Any], a: list[str], b: list[str]) -> None:
        got, want = require_number(answer(list(a), list(b)), "ROUGE-L"), self.solution(a, b)
        if near(got, want):
            return
        total = len(a) + len(b)
        longest, run = round(want * total / 2), _longest_run(a, b)
        slips = [
            (2 * (Counter(a) & Counter(b)).total() / total,
             "that is ROUGE-1: all shared words count. Here they have to be in the same order."),
            (2 * run / total, "you count words that stand side by side in both lists. A "
             "subsequence may skip words."),
            (longest / len(a), "that is the precision alone; take the harmonic mean with recall."),
            (longest / len(b), "that is the recall alone; take the harmonic mean with precision."),
            (longest, "that is the length of the subsequence; divide it by the lengths."),
        ]  # fmt: skip
        said = f"rouge_l({' '.join(a)!r}, {' '.join(b)!r}, both split)"
        for value, words in slips:
            require(not near(got, value), f"{said}: {words}")
        raise WrongError(f"{said} is {want:.4f}, not {got:.4f}: {longest} words are in order.")


def _longest_run(a: list[str], b: list[str]) -> int:
    """The most neighbouring words that stand side by side in both lists."""
    return max(
        (n for n in range(1, len(a) + 1) for i in range(len(a) - n + 1)
         for j in range(len(b) - n + 1) if a[i : i + n] == b[j : j + n]),
        default=0,
    )  # fmt: skip


class AccuracyTrap(Exercise):
    """Predictions that accuracy praises and macro F1 does not."""

    name = "accuracy-trap"
    function = "trap"
    notebook = "13_metrics"
    prompt = """
    Be the worst classifier that accuracy takes for a good one. Write `trap(references)`: it is
    given the labels of a test, most of which are alike, and returns as many predictions, with an
    accuracy of at least 0.9 and a macro F1 of at most 0.5.
    """
    hint = """
    Which label is right most of the time? `Counter(references).most_common(1)` knows. And what is
    the F1 of a class that is never predicted?
    """
    praise = "Right: it never looks at an item, and nine times in ten it is right."

    @staticmethod
    def solution(references: list[str]) -> list[str]:
        """Always the most common label."""
        most_common = max(set(references), key=references.count)
        return [most_common] * len(references)

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Two or three classes under changing names, any of which may be the common one."""
        from course_lib.evaluation import accuracy, f1

        for _ in range(8):
            names = [["yes", "no", "so"], ["spam", "mail", "news"], ["c", "a", "b"]]
            labels = names[whole_number(draw, 0, 3)][: whole_number(draw, 2, 4)]
            order = torch.randperm(len(labels), generator=draw).tolist()
            rare = [labels[i] for i in order[1:]]
            expected = [labels[order[0]]] * 56 + [rare[i % len(rare)] for i in range(4)]
            expected = [expected[i] for i in torch.randperm(60, generator=draw).tolist()]
            given = answer(list(expected))
            require(
                isinstance(given, list | tuple) and len(given) == len(expected),
                f"Return a list of {len(expected)} labels, one for each reference.",
            )
            require(
                set(given) <= set(expected),
                f"You predict {sorted(map(str, set(given) - set(expected)))[:2]}, which is no "
                f"label of this test: {sorted(set(expected))}.",
            )
            right, macro = accuracy(given, expected), f1(given, expected)
            said = (
                f"On {dict(Counter(expected))} your accuracy is {right:.2f}, macro F1 {macro:.2f}"
            )
            require(
                right >= 0.9,
                f"{said}: accuracy must be at least 0.9. Which label is the common one *here*?",
            )
            require(
                macro <= 0.5,
                f"{said}: macro F1 must be at most 0.5. You are right on rare classes too; a trap "
                "forgets them.",
            )


class PairedTest(Exercise):
    """Approximate randomisation for two systems (Noreen 1989; Riezler and Maxwell 2005)."""

    name = "paired-test"
    function = "p_value"
    notebook = "13_metrics"
    prompt = """
    Write `p_value(a, b, generator)`. `a` and `b` are tensors `[items]`: the scores of two systems
    on the same items. Repeat 1,000 times: toss a coin for each item and where it falls on 1
    exchange the two scores. Count how often the difference of the means, either way round, is at
    least as large as the observed one (up to 1e-9). Return (count + 1) / 1,001.
    """
    hint = """
    `torch.randint(2, (1000, len(a)), generator=generator)` tosses all coins at once. Exchanging the
    scores of an item turns the sign of its difference `a - b`, so no more is needed than
    `(a - b) * sign`, where sign is 1 or -1, its mean over items, and `abs`.
    """
    praise = "Right. A small value means: exchanging outputs at random hardly ever does this."

    @staticmethod
    def solution(a: torch.Tensor, b: torch.Tensor, generator: torch.Generator) -> float:
        """The share of exchanges that make at least this difference."""
        coins = torch.randint(2, (1000, len(a)), generator=generator)
        exchanged = ((a - b) * (1 - 2 * coins)).mean(dim=1)
        count = int((exchanged.abs() >= (a - b).mean().abs() - 1e-9).sum())
        return (count + 1) / 1001

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """A middling difference, a certain one, and none at all."""
        for _ in range(3):
            hard = torch.rand(40, generator=draw, dtype=torch.float64)
            shift = 0.05 * torch.randn(40, generator=draw, dtype=torch.float64)
            # The mean difference is 1.1 standard errors, whichever way round.
            shift = shift - shift.mean() + 1.1 * shift.std() / 40**0.5
            self._compare(answer, hard + shift, hard, draw)
            self._compare(answer, hard, hard + shift, draw)
        self._compare(answer, hard + 0.1, hard, draw)
        self._compare(answer, hard, hard.clone(), draw)

    def _compare(
        self, answer: Callable[..., Any], a: torch.Tensor, b: torch.Tensor, draw: torch.Generator
    ) -> None:
        seed = whole_number(draw, 0, 2**31)

        def ask(seed: int) -> float:
            given = answer(a.clone(), b.clone(), torch.Generator().manual_seed(seed))
            return require_number(given, "The p-value")

        got, want = ask(seed), self.solution(a, b, torch.Generator().manual_seed(seed))
        require(got == ask(seed), "The same generator state gave two values: hand on `generator`.")
        room = 6 * math.sqrt(2 * want * (1 - want) / 1000) + 0.003
        said = f"Means {float(a.mean()):.3f} and {float(b.mean()):.3f} on {len(a)} items"
        require(got > 0, f"{said}: a p-value of 0 claims certainty; add 1 to both counts.")
        if abs(got - want) <= room:
            return
        slips = [
            (want / 2, "a difference the other way round counts too: take absolute values."),
            (1 - want, "you count the exchanges that stay *below* the observed difference."),
            (_unpaired(a, b), "you mix the scores of different items. Exchange within an item: "
             "what is hard for one system is hard for the other."),
            (1 - want / 2, "without absolute values, a negative difference is below everything."),
        ]  # fmt: skip
        for value, words in slips:
            require(abs(got - value) > room, f"{said}: {words}")
        raise WrongError(f"{said}: the p-value is about {want:.3f}, not {got:.3f}.")


def _unpaired(a: torch.Tensor, b: torch.Tensor) -> float:
    """The same when all scores are thrown together and dealt out again."""
    both, draw = torch.cat([a, b]), torch.Generator().manual_seed(0)
    order = torch.rand(1000, len(both), generator=draw).argsort(dim=1)
    dealt = both[order].view(1000, 2, -1).mean(dim=2)
    gaps = (dealt[:, 0] - dealt[:, 1]).abs()
    return float((gaps >= (a.mean() - b.mean()).abs() - 1e-9).double().mean())
