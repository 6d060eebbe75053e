"""The exercises of notebook 02."""

import math
from collections.abc import Callable
from typing import Any

import torch

from course_lib.classroom.exercises.base import (
    Exercise,
    near,
    require,
    require_number,
    require_tensor,
)


class ShiftLabels(Exercise):
    """Inputs and targets of next-token prediction."""

    name = "shift-labels"
    function = "shift"
    notebook = "02_causal_language_modeling"
    prompt = """
    Write `shift(ids)` for token ids `[batch, length]`. Return `(inputs, targets)`, both
    `[batch, length - 1]`, so that the model reading `inputs[:, :t + 1]` is asked for
    `targets[:, t]`, the token that comes next.
    """
    hint = """
    `ids[:, :-1]` is each row without its last token; `ids[:, 1:]` each row without its first. Which
    is the question, and which the answer?
    """
    praise = "Right: shifted once. Hugging Face models do this inside, so there labels = input ids."

    @staticmethod
    def solution(ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All but the last token, all but the first."""
        return ids[:, :-1], ids[:, 1:]

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Distinct ids, so that every wrong shift is told apart."""
        batch, length = (int(torch.randint(3, 9, (), generator=draw)) for _ in range(2))
        ids = torch.randperm(batch * length * 10, generator=draw)[: batch * length]
        ids = ids.view(batch, length)
        pair = answer(ids.clone())
        require(isinstance(pair, tuple | list) and len(pair) == 2, "Return (inputs, targets).")
        inputs, targets = pair
        self._recognise(ids, inputs, targets)
        require_tensor(inputs, (batch, length - 1), "`inputs`")
        require_tensor(targets, (batch, length - 1), "`targets`")
        require(torch.equal(inputs, ids[:, :-1]), "`inputs` should be each row but its last token.")
        require(torch.equal(targets, ids[:, 1:]), "`targets` should be each row but its first.")

    def _recognise(self, ids: torch.Tensor, inputs: Any, targets: Any) -> None:
        slips = [
            ((ids, ids), "No shift: each position is asked for the token it is looking at, and "
                         "copying would be a perfect answer."),
            ((ids[:, 1:], ids[:, :-1]), "The wrong way round: the model would be asked for the "
                                        "token *before*. Inputs come first in time."),
            ((ids[:, :-2], ids[:, 2:]), "Shifted twice: position t is asked for token t + 2."),
            ((ids[:-1], ids[1:]), "You shifted the rows of the batch. Tokens run along the second "
                                  "dimension."),
            ((ids, ids.roll(-1, 1)), "`roll` wraps around: the last position is asked for the "
                                     "first token of its row. Drop that position."),
        ]  # fmt: skip
        for (wrong_in, wrong_out), words in slips:
            require(not (_same(inputs, wrong_in) and _same(targets, wrong_out)), words)


def _same(got: Any, want: torch.Tensor) -> bool:
    return isinstance(got, torch.Tensor) and torch.equal(got, want)


class TopP(Exercise):
    """The nucleus filter (Holtzman et al. 2020, section 3.1)."""

    name = "top-p"
    function = "top_p"
    notebook = "02_causal_language_modeling"
    prompt = """
    Write `top_p(probabilities, p)` for a tensor `[vocabulary]` that sums to 1. Keep the fewest,
    most probable tokens that together reach `p`: go down from the most probable and stop with
    the token that makes the sum reach `p` (that token stays). Set all others to 0 and divide, so
    that the rest sums to 1 again. The order of the vocabulary must not change.
    """
    hint = """
    `values, order = probabilities.sort(descending=True)`. A token stays if the sum *before* it is
    still below `p`: `values.cumsum(0) - values < p`. Put the kept values back to their places:
    `result[order] = ...`.
    """
    praise = "Right: the smallest set that reaches p, renormalised."

    @staticmethod
    def solution(probabilities: torch.Tensor, p: float) -> torch.Tensor:
        """Keep a token while the sum before it is below p."""
        values, order = probabilities.sort(descending=True)
        before = values.cumsum(0) - values
        result = torch.zeros_like(probabilities)
        result[order] = torch.where(before < p, values, 0.0)
        return result / result.sum()

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Random distributions, p in the middle of a token, so that no rounding decides."""
        for _ in range(20):
            size = int(torch.randint(5, 30, (), generator=draw))
            weights = torch.rand(size, generator=draw, dtype=torch.float64) ** 3 + 0.01
            probabilities = weights / weights.sum()
            values, order = probabilities.sort(descending=True)
            last = int(torch.randint(size - 1, (), generator=draw))
            p = float(values.cumsum(0)[last] - values[last] / 2)
            got = require_tensor(answer(probabilities.clone(), p), (size,), "The result")
            self._explain(got, probabilities, order, last, p)

    def _explain(self, got, probabilities, order, last: int, p: float) -> None:
        kept = got > 0
        require(kept.any(), f"Nothing is left at p = {p:.3f}. At least the most probable token is.")
        wanted = torch.zeros_like(kept)
        wanted[order[: last + 1]] = True
        without = wanted.clone()
        without[order[last]] = False
        require(
            not torch.equal(kept, without),
            f"At p = {p:.3f} you dropped the token at the boundary. The sum without it is below p, "
            "so it must stay.",
        )
        count = int(kept.sum())
        if count == last + 1 and not torch.equal(kept, wanted):
            require(False, f"You kept {count} tokens, the right number, but not the most probable "
                           "ones. Did you put them back from sorted order?")  # fmt: skip
        require(
            torch.equal(kept, wanted),
            f"At p = {p:.3f}, {last + 1} tokens make up the nucleus; you kept {count}. Add from "
            "the most probable down.",
        )
        total = float(got.sum())
        require(
            abs(total - 1) < 1e-5,
            f"The result sums to {total:.3f}. Divide by its sum: one token must be drawn.",
        )
        share = probabilities * wanted
        require(
            torch.allclose(got.double(), share / share.sum(), atol=1e-5),
            "The right tokens are kept, but their probabilities changed relative to each other.",
        )


class Perplexity(Exercise):
    """Perplexity from losses in nats or bits."""

    name = "perplexity"
    function = "perplexity"
    notebook = "02_causal_language_modeling"
    prompt = """
    Write `perplexity(losses, unit)`: `losses` is a tensor of per-token losses, `unit` is `"nats"`
    or `"bits"`. Perplexity is the number of equally likely tokens that would be as hard to guess as
    the model found this text on average, so e (or 2) to the power of the *mean* loss.
    """
    hint = """
    First the mean, then the power: `math.exp(mean)` undoes a natural logarithm, `2 ** mean` one to
    base 2. Check yourself: if every loss is log(50) nats, the perplexity is 50.
    """
    praise = "Right. The same text has one perplexity, whichever unit its loss came in."

    @staticmethod
    def solution(losses: torch.Tensor, unit: str) -> float:
        """The base of the unit to the power of the mean loss."""
        mean = float(losses.mean())
        return math.exp(mean) if unit == "nats" else 2**mean

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """The same losses in both units, and a model that guesses among k tokens."""
        nats = torch.rand(40, generator=draw, dtype=torch.float64) * 3 + 0.5
        want = math.exp(nats.mean())
        for unit, losses in (("nats", nats), ("bits", nats / math.log(2))):
            got = require_number(answer(losses.clone(), unit), "Perplexity")
            self._explain(got, want, losses, unit)
        choices = int(torch.randint(2, 500, (), generator=draw))
        even = torch.full((10,), math.log(choices), dtype=torch.float64)
        got = require_number(answer(even, "nats"), "Perplexity")
        require(
            near(got, choices),
            f"A model that wavers evenly between {choices} tokens has perplexity {choices}, "
            f"yours says {got:g}.",
        )

    def _explain(self, got: float, want: float, losses: torch.Tensor, unit: str) -> None:
        mean = float(losses.mean())
        base = math.e if unit == "nats" else 2.0
        other = {"nats": 2**mean, "bits": math.exp(mean)}[unit]
        slips = [
            (float((base**losses).mean()), "You averaged the powers. Take the mean of the losses "
                                           "first, then one power."),
            (other, f"In {unit} the base is {'e' if unit == 'nats' else '2'}; yours is the other."),
            (mean, "That is the mean loss itself; perplexity is its power."),
            (base**-mean, "The sign is turned: a loss is already minus a log probability."),
        ]  # fmt: skip
        for value, words in slips:
            require(not near(got, value), words)
        require(
            near(got, want),
            f"A mean loss of {mean:.3f} {unit} is a perplexity of {want:.3f}, not {got:.3f}.",
        )


class AlibiBias(Exercise):
    """ALiBi's bias (Press et al. 2022, section 3)."""

    name = "alibi-bias"
    function = "alibi_bias"
    notebook = "02_causal_language_modeling"
    prompt = """
    BLOOM has no position embeddings. It adds a bias to the attention scores instead. Write
    `alibi_bias(heads, length)`, a tensor `[heads, length, length]`: in head h (from 1 to `heads`),
    the score of query i for key j gets `-slope * (i - j)` for j ≤ i, with
    `slope = 2 ** (-8 * h / heads)`. The future (j > i) gets minus infinity.
    """
    hint = """
    `i = torch.arange(length)[:, None]` and `j = torch.arange(length)[None, :]` give all distances
    `i - j` at once. The slopes, shaped `[heads, 1, 1]`, multiply them. `masked_fill(j > i,
    float("-inf"))` closes the future.
    """
    praise = "Right: near tokens count for more, and no length is unknown to the model."

    @staticmethod
    def solution(heads: int, length: int) -> torch.Tensor:
        """Minus slope times distance, and no future."""
        slopes = 2 ** (-8 * torch.arange(1, heads + 1) / heads)
        i, j = torch.arange(length)[:, None], torch.arange(length)[None, :]
        bias = -slopes[:, None, None] * (i - j)
        return bias.masked_fill(j > i, float("-inf"))

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Several shapes; future, diagonal, sign, slopes, in this order."""
        for heads in (8, 4, 1):
            length = int(torch.randint(3, 12, (), generator=draw))
            shape = (heads, length, length)
            got = require_tensor(answer(heads, length), shape, "The bias").double()
            self._explain(got, heads, length)

    def _explain(self, got: torch.Tensor, heads: int, length: int) -> None:
        future = torch.ones(length, length).triu(1).bool()
        past = ~future
        require(
            not got[:, past].isinf().any(),
            "Some of the past (j ≤ i) is minus infinity. Rows are queries i, columns keys j.",
        )
        require(
            (got[:, future] < -1e9).all(),
            "The future (j > i) must get minus infinity, or a token could look at the answer.",
        )
        require(
            (got.diagonal(dim1=1, dim2=2) == 0).all(),
            "A token's distance to itself is 0, so the diagonal is 0.",
        )
        steps = -got[:, 1, 0]
        require(
            (steps > 0).all(),
            "The bias should be *negative* for the past: farther tokens get lower scores.",
        )
        slopes = 2 ** (-8 * torch.arange(1, heads + 1, dtype=torch.float64) / heads)
        from_zero = 2 ** (-8 * torch.arange(heads, dtype=torch.float64) / heads)
        require(
            not torch.allclose(steps, from_zero, rtol=1e-4),
            "Your heads are numbered from 0. The first is h = 1, the last has slope 2^-8.",
        )
        require(
            torch.allclose(steps, slopes, rtol=1e-4),
            f"With {heads} heads the slopes should be {_short(slopes)}, yours are {_short(steps)}.",
        )
        want = self.solution(heads, length).double()
        require(
            torch.allclose(got[:, past], want[:, past], rtol=1e-4),
            "The bias should fall evenly with distance: `-slope * (i - j)`.",
        )


def _short(values: torch.Tensor) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in values.tolist()) + "]"
