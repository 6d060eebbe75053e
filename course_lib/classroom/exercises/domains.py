"""The exercises of notebook 09."""

from collections.abc import Callable
from typing import Any

import torch

from course_lib.classroom.exercises.base import (
    Exercise,
    near,
    number_between,
    require,
    require_number,
    whole_number,
)

NOTEBOOK = "09_domain_pretraining"


class MixtureCounts(Exercise):
    """From weights to whole rows."""

    name = "mixture-counts"
    function = "counts"
    notebook = NOTEBOOK
    prompt = """
    Write `counts(weights, rows)`: how many of `rows` rows each corpus of a mixture gets. `weights`
    are numbers above nought, such as 9 and 1, and need not sum to anything. The counts are whole,
    sum to `rows` exactly, and none is a whole row or more away from its exact share. Give each
    corpus its share rounded down, and the rows that are left over, one each, to those that lost
    most by the rounding.
    """
    hint = """
    The exact share is `rows * weight / sum(weights)`. `int(...)` rounds it down. What is lost is
    the part behind the point; sort the corpora by it, the largest first.
    """
    praise = "Right. Whole rows, none too many, and no corpus is off by one or more."

    @staticmethod
    def solution(weights: list[float], rows: int) -> list[int]:
        """Largest remainders first."""
        exact = [rows * weight / sum(weights) for weight in weights]
        found = [int(share) for share in exact]
        by_loss = sorted(range(len(exact)), key=lambda i: found[i] - exact[i])
        for place in by_loss[: rows - sum(found)]:
            found[place] += 1
        return found

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Two to five corpora, weights of all sizes; once weights that sum to one."""
        for turn in range(30):
            weights = [number_between(draw, 0.5, 9.5) for _ in range(whole_number(draw, 2, 6))]
            if turn % 5 == 0:
                weights = [weight / sum(weights) for weight in weights]
            rows = whole_number(draw, 10, 200)
            shown = [round(weight, 3) for weight in weights]
            asked = f"For weights {shown} and {rows} rows:"
            got = answer(list(weights), rows)
            require(
                isinstance(got, list | tuple) and len(got) == len(weights),
                f"{asked} return a list with a count for each of the {len(weights)} corpora.",
            )
            numbers = [require_number(value, "A count") for value in got]
            require(
                all(value == int(value) for value in numbers),
                f"{asked} rows are whole, yours are {[round(n, 2) for n in numbers]}.",
            )
            require(
                sum(numbers) == rows,
                f"{asked} your counts {numbers} sum to {sum(numbers):g}. Rounding each share by "
                "itself makes rows too many or too few.",
            )
            self._explain(numbers, weights, rows, asked)

    def _explain(self, got: list[float], weights: list[float], rows: int, asked: str) -> None:
        exact = [rows * weight / sum(weights) for weight in weights]
        worst = max(abs(mine - share) for mine, share in zip(got, exact, strict=True))
        shares = [round(share, 2) for share in exact]
        require(
            worst < 1,
            f"{asked} exact shares are {shares}, your {got} is off by {worst:.2f}. What is left "
            "over goes to several corpora, one row each.",
        )
        want = self.solution(weights, rows)
        require(
            [int(value) for value in got] == want,
            f"{asked} exact shares are {shares}. The rows left over go to those that lost most by "
            f"rounding down: {want}, not {got}.",
        )


class WordPerplexity(Exercise):
    """A perplexity that does not depend on how text is cut."""

    name = "word-perplexity"
    function = "word_perplexity"
    notebook = NOTEBOOK
    prompt = """
    Two models cut the same text differently, so their perplexities per token do not compare. Write
    `word_perplexity(perplexity, tokens, words)`: a model has that perplexity *per token* on a text
    of so many tokens, which are so many words. Return its perplexity *per word*.
    """
    hint = """
    What does not depend on the cutting is the probability of the whole text. Its surprise in nats
    is `tokens * log(perplexity)`. Spread it over the words, and undo the logarithm.
    """
    praise = "Right: the same text has the same surprise, however it is cut."

    @staticmethod
    def solution(perplexity: float, tokens: int, words: int) -> float:
        """exp of the nats per word."""
        return perplexity ** (tokens / words)

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Cut into more tokens than words, into as many, and into fewer."""
        for turn in range(12):
            perplexity, words = number_between(draw, 2, 40), whole_number(draw, 50, 200)
            tokens = words if turn % 4 == 3 else int(words * number_between(draw, 1.2, 2.5))
            asked = f"For perplexity {perplexity:.2f}, {tokens} tokens, {words} words:"
            got = require_number(answer(perplexity, tokens, words), f"{asked} the answer")
            want, fertility = self.solution(perplexity, tokens, words), tokens / words
            if fertility != 1:
                require(
                    not near(got, perplexity * fertility),
                    f"{asked} you multiplied the perplexity. It is the nats that add up over "
                    "tokens; perplexities multiply.",
                )
                require(
                    not near(got, perplexity ** (1 / fertility)),
                    f"{asked} words hold more than one token, so a word is harder than a token, "
                    "and yours is easier.",
                )
                require(
                    not near(got, fertility * torch.tensor(perplexity).log().item()),
                    f"{asked} those are the nats per word. Undo the logarithm.",
                )
            require(near(got, want), f"{asked} it should be {want:.4g}, yours is {got:.4g}.")


class Epochs(Exercise):
    """How often a mixture reads each of its corpora."""

    name = "mixture-epochs"
    function = "epochs"
    notebook = NOTEBOOK
    prompt = """
    Write `epochs(tokens, weights, sizes)`: a run reads `tokens` tokens of a mixture of corpora in
    proportion to `weights`; the corpora hold `sizes` tokens. Return a list: how often each corpus
    is read from end to end. 0.5 is half of it, 2 is twice.
    """
    hint = """
    The weights divide the run: each corpus gets `tokens * weight / sum(weights)` tokens of it.
    """
    praise = "Right. A small corpus with a large weight is soon read for the tenth time."

    @staticmethod
    def solution(tokens: float, weights: list[float], sizes: list[float]) -> list[float]:
        """What a run reads of each corpus, over what there is of it."""
        total = sum(weights)
        return [tokens * weight / total / size for weight, size in zip(weights, sizes, strict=True)]

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Two to four corpora of different sizes; weights that do and do not sum to one."""
        for turn in range(12):
            count = whole_number(draw, 2, 5)
            weights = [number_between(draw, 1, 9) for _ in range(count)]
            if turn % 3 == 0:
                weights = [weight / sum(weights) for weight in weights]
            sizes = [number_between(draw, 10, 900) for _ in range(count)]
            tokens = number_between(draw, 100, 3000)
            got = answer(tokens, list(weights), list(sizes))
            asked = f"For {tokens:.0f} tokens, weights {[round(w, 2) for w in weights]}:"
            require(
                isinstance(got, list | tuple) and len(got) == count,
                f"{asked} return a list with a number for each of the {count} corpora.",
            )
            numbers = [require_number(value, "An entry") for value in got]
            self._explain(numbers, tokens, weights, sizes, asked)

    def _explain(
        self,
        got: list[float],
        tokens: float,
        weights: list[float],
        sizes: list[float],
        asked: str,
    ) -> None:
        want, total = self.solution(tokens, weights, sizes), sum(weights)

        def are(others: list[float]) -> bool:
            return all(near(a, b) for a, b in zip(got, others, strict=True))

        require(
            total == 1 or are(want) or not are([epochs * total for epochs in want]),
            f"{asked} the weights sum to {total:.2f}, not to 1: divide by their sum.",
        )
        require(
            not are([tokens / sum(sizes)] * len(sizes)),
            f"{asked} that is as if all text were in one pot. The weights say how often each "
            "corpus is turned to, whatever its size.",
        )
        require(
            not are([1 / epochs for epochs in want]),
            f"{asked} upside down: read tokens over there are, not the other way.",
        )
        require(
            not are([epochs * size for epochs, size in zip(want, sizes, strict=True)]),
            f"{asked} those are tokens read of each corpus; divide by what it holds.",
        )
        shown = [round(epochs, 3) for epochs in want]
        require(are(want), f"{asked} it should be {shown}, yours is {got}.")
