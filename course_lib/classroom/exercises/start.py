"""The exercise of notebook 00."""

from collections.abc import Callable
from typing import Any

import torch

from course_lib.classroom.exercises.base import Exercise, require, require_number

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
