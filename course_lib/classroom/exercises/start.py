"""The exercises of notebook 00."""

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.classroom.exercises.base import Exercise, near, require, require_number

MEAN_SPAN = 3


class CountTargets(Exercise):
    """How many targets an objective draws from one text."""

    name = "count-targets"
    function = "count_targets"
    notebook = "00_start_here"
    prompt = """
    How much does a model learn from one text? Write `count_targets(objective, tokens, rate)`:
    the number of positions that produce a loss when a text of `tokens` tokens is used.

    - `"masked"`: a share `rate` of the tokens is masked; only those are predicted (round it).
    - `"causal"`: each token is predicted from those before it. The first has none before it.
    - `"span"`: `round(tokens * rate)` tokens are cut out, in spans of 3 on average, so in
      `round(cut / 3)` spans. The target is the cut tokens, one sentinel before each span, and one
      end token.
    """
    hint = """
    T5's own example: 568 tokens at a rate of 0.15. Cut: `round(85.2)` = 85 tokens, in
    `round(85 / 3)` = 28 spans. The target has 85 + 28 + 1 = 114 tokens.
    """
    praise = "Right. A causal model gets a lesson from almost every token, a masked one from 15 %."

    @staticmethod
    def solution(objective: str, tokens: int, rate: float) -> int:
        """Targets that one text gives."""
        if objective == "masked":
            return round(tokens * rate)
        if objective == "causal":
            return tokens - 1
        cut = round(tokens * rate)
        spans = round(cut / 3)
        return cut + spans + 1

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Each objective on random lengths, named slips first."""
        for _ in range(20):
            tokens = 20 * int(torch.randint(5, 60, (), generator=draw))  # no rounding in doubt
            rate = (0.15, 0.3)[int(torch.randint(2, (), generator=draw))]
            self._masked(answer, tokens, rate)
            self._causal(answer, tokens, rate)
            self._span(answer, tokens, rate)

    def _masked(self, answer: Callable[..., Any], tokens: int, rate: float) -> None:
        got = require_number(answer("masked", tokens, rate), "The count")
        require(
            got != tokens,
            f"masked, {tokens} tokens at {rate}: you count all {tokens}. Every token goes *in*, "
            "but only the masked ones are predicted.",
        )
        want = round(tokens * rate)
        require(
            abs(got - want) < 1e-6,
            f"masked, {tokens} tokens at a rate of {rate}: {tokens} × {rate} = {want}, "
            f"you say {got:g}. Does your count follow `rate`?",
        )

    def _causal(self, answer: Callable[..., Any], tokens: int, rate: float) -> None:
        got = require_number(answer("causal", tokens, rate), "The count")
        require(
            got != tokens,
            f"causal, {tokens} tokens: {tokens} would need a prediction of the first token, which "
            "has nothing before it.",
        )
        require(
            got == tokens - 1,
            f"causal, {tokens} tokens: each token but the first is a target, you say {got:g}.",
        )

    def _span(self, answer: Callable[..., Any], tokens: int, rate: float) -> None:
        got = require_number(answer("span", tokens, rate), "The count")
        cut = round(tokens * rate)
        spans = round(cut / MEAN_SPAN)
        case = f"span, {tokens} tokens at {rate}: {cut} tokens are cut, in {spans} spans"
        require(
            got != cut,
            f"{case}. You count the cut tokens only; the sentinels and the end token are predicted "
            "too.",
        )
        require(got != cut + spans, f"{case}. You have those; one end token closes the target.")
        require(got == cut + spans + 1, f"{case}; you say {got:g}, not {cut + spans + 1}.")


class TrainStep(Exercise):
    """One step of causal training, written out."""

    name = "train-step"
    function = "train_step"
    notebook = "00_start_here"
    prompt = """
    Write `train_step(model, optimizer, ids)`: one step of causal training on token ids
    `[batch, length]`. `model(ids).logits` is `[batch, length, vocabulary]`. The loss is the mean,
    over all tokens but the first of each row, of minus the log probability that the model gave
    them. Update the weights once, leave no gradient behind, and return the loss as it was *before*
    the update. (No clipping, and the learning rate is set.)
    """
    hint = """
    Five lines: the logits at each position but the last, with `torch.nn.functional.cross_entropy`
    against `ids[:, 1:]`, both flattened; `loss.backward()`; `optimizer.step()`;
    `optimizer.zero_grad()`; `return loss.item()`.
    """
    praise = "Right: this is what every causal model of this course, and GPT-3, was trained with."

    @staticmethod
    def solution(
        model: torch.nn.Module, optimizer: torch.optim.Optimizer, ids: torch.Tensor
    ) -> float:
        """Forward, backward, step, and forget."""
        logits = model(ids).logits[:, :-1].flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(logits, ids[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Two steps in a row beside a copy that does them right."""
        model = _Bigram(12, draw)
        right = copy.deepcopy(model)
        mine, theirs = (torch.optim.SGD(m.parameters(), lr=1.0) for m in (model, right))
        for number in (1, 2):
            ids = torch.randint(12, (4, 9), generator=draw)
            before = copy.deepcopy(right)
            want = self.solution(right, theirs, ids)
            got = answer(model, mine, ids.clone())
            got = got.detach() if isinstance(got, Tensor) else got
            self._loss(require_number(got, "The loss"), want, before, right, ids)
            self._moved(model, before, right, number)

    def _loss(
        self, got: float, want: float, before: nn.Module, after: nn.Module, ids: Tensor
    ) -> None:
        logits = before(ids).logits.detach()
        slips = [
            (_mean(logits, ids), "No shift: each position is asked for the token that it "
                                    "is looking at."),
            (_mean(logits[:, 1:], ids[:, :-1]), "The wrong way round: you ask for the token "
                                                "*before*."),
            (want * ids[:, 1:].numel(), "That is the sum of the losses; take their mean."),
            (_mean(after(ids).logits.detach()[:, :-1], ids[:, 1:]),
             "That is the loss after the update: keep the one that you went backward from."),
        ]  # fmt: skip
        for value, words in slips:
            require(near(want, value) or not near(got, value), words)
        require(near(got, want), f"The loss of this batch is {want:.4f}, you say {got:.4f}.")

    def _moved(self, model: nn.Module, before: nn.Module, right: nn.Module, number: int) -> None:
        weights, old, new = (m.table.weight.detach() for m in (model, before, right))
        require(
            not torch.equal(weights, old),
            "The weights have not moved. First `loss.backward()`, then `optimizer.step()`, and "
            "only then `optimizer.zero_grad()`.",
        )
        words = (
            "The weights moved, but not by one step along the gradient of this loss."
            if number == 1
            else "The first step is right, the second is not: the gradient of the first was still "
            "there, and the second was added to it."
        )
        require(torch.allclose(weights, new, rtol=1e-4, atol=1e-6), words)


class _Bigram(nn.Module):
    """The smallest language model: a row of logits for each token."""

    def __init__(self, vocabulary: int, draw: torch.Generator):
        super().__init__()
        self.table = nn.Embedding(vocabulary, vocabulary)
        with torch.no_grad():
            self.table.weight.copy_(torch.randn(vocabulary, vocabulary, generator=draw))

    def forward(self, ids: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.table(ids))


def _mean(logits: Tensor, targets: Tensor) -> float:
    return float(F.cross_entropy(logits.flatten(0, 1), targets.flatten()))
