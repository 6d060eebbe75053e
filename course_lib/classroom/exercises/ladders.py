"""The exercises of notebook 06."""

import math
from collections.abc import Callable
from typing import Any

import torch

from course_lib.classroom.exercises.base import (
    Exercise,
    near,
    number_between,
    require,
    require_number,
)
from course_lib.scaling import Law


class PowerLawExponent(Exercise):
    """The exponent of a power law above a known floor, from two runs."""

    name = "power-law-exponent"
    function = "exponent"
    notebook = "06_scaling_laws"
    prompt = """
    Two models, trained on as much data as they can use, follow L(N) = E + A / N^alpha. You know
    the floor E. Write `exponent(small, large, floor)`, where `small` and `large` are pairs
    `(parameters, loss)`: the alpha on which the two runs lie.
    """
    hint = """
    What lies above the floor, L - E, is a pure power: its logarithm falls along a straight line
    over log N. Alpha is how steeply.
    """
    praise = "Right. Forget the floor and every exponent comes out too small."

    @staticmethod
    def solution(small: tuple, large: tuple, floor: float) -> float:
        """Fall of log(L - E) over rise of log N."""
        fall = math.log((small[1] - floor) / (large[1] - floor))
        return fall / math.log(large[0] / small[0])

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Two runs on a law that is known here."""
        for _ in range(10):
            alpha, floor = number_between(draw, 0.2, 0.9), number_between(draw, 0.5, 2)
            size, times = round(number_between(draw, 1e4, 1e5)), round(number_between(draw, 3, 30))
            above = number_between(draw, 0.5, 2)
            small = (size, floor + above)
            large = (size * times, floor + above * times**-alpha)
            got = require_number(answer(small, large, floor), "The exponent")
            plain = math.log(small[1] / large[1]) / math.log(times)
            fall = small[1] - large[1]
            slips = {
                "You took the logarithm of the whole loss. Only what lies above the floor is a "
                "power of N.": plain,
                "The sign: alpha is positive where the loss falls.": -alpha,
                "Upside down: the fall of log(L - E) over the rise of log N.": 1 / alpha,
                "You divided a difference of losses, not of their logarithms.": fall
                / math.log(times),
                "You divided by the ratio of the sizes. Take its logarithm too.": alpha
                * math.log(times)
                / times,
                "How much larger is the model? You left the sizes out.": alpha * math.log(times),
            }
            for words, value in slips.items():
                require(not near(got, value) or near(value, alpha), words)
            require(
                near(got, alpha),
                f"{small[0]:,} parameters {small[1]:.4f}, {large[0]:,} parameters {large[1]:.4f}, "
                f"floor {floor:.4f}: alpha is {alpha:.4f}, you say {got:.4f}.",
            )


class TokensFor(Exercise):
    """The law turned round: how much data a model needs for a loss."""

    name = "tokens-for-loss"
    function = "tokens_for"
    notebook = "06_scaling_laws"
    prompt = """
    A fit has given L = E + A / N^alpha + B / D^beta. Write `tokens_for(loss, params, law)`: the
    tokens D that a model with `params` parameters needs to reach `loss`. The numbers of the law are
    `law.A`, `law.B`, `law.E`, `law.alpha` and `law.beta`. If no amount of data is enough, return
    `math.inf`.
    """
    hint = """
    Take away from the loss what data cannot change: the floor, and what the model lacks in size. If
    nothing is left, the model is too small. Else B / D^beta must equal the rest.
    """
    praise = "Right. A model has a loss that no data takes it below; a larger one has a lower one."

    @staticmethod
    def solution(loss: float, params: float, law: object) -> float:
        """What is left for the data to do, turned into tokens."""
        left = loss - law.E - law.A / params**law.alpha
        return (law.B / left) ** (1 / law.beta) if left > 0 else math.inf

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Reachable losses first, then one below what the size allows."""
        for _ in range(10):
            alpha, beta, floor = (
                number_between(draw, *r) for r in ((0.3, 0.8), (0.3, 0.9), (0.5, 2))
            )
            params, tokens = number_between(draw, 1e4, 1e6), number_between(draw, 1e5, 1e7)
            size, data = number_between(draw, 0.1, 0.5), number_between(draw, 0.1, 0.5)
            law = Law(size * params**alpha, data * tokens**beta, floor, alpha, beta)
            self._reachable(answer, floor + size + data, params, law, tokens)
            out = require_number(answer(floor + 0.9 * size, params, law), "The answer")
            require(
                out == math.inf,
                f"a loss of {floor + 0.9 * size:.3f}, where E + A/N^alpha is already "
                f"{floor + size:.3f}: no data is enough, return `math.inf`. You say {out:g}.",
            )

    def _reachable(
        self, answer: Callable[..., Any], loss: float, params: float, law: Law, tokens: float
    ) -> None:
        floor, beta = law.E, law.beta
        try:
            got = require_number(answer(loss, params, law), "The answer")
        except OverflowError:
            got = math.nan
        lacks, b = law.A / params**law.alpha, law.B
        slips = {
            "You left the size of the model out: it also keeps the loss up.": (b / (loss - floor))
            ** (1 / beta),
            "You left the floor E out.": (b / (loss - lacks)) ** (1 / beta),
            "The power: D^beta = B / rest, so D is its root.": (b / (loss - floor - lacks)) ** beta,
            "That is D^beta. Take the root.": b / (loss - floor - lacks),
        }
        for words, value in slips.items():
            require(not near(got, value), words)
        require(
            near(got, tokens),
            f"loss {loss:.4f}, {params:,.0f} parameters, A {law.A:.4g}, B {b:.4g}, E "
            f"{floor:.4f}, alpha {law.alpha:.3f}, beta {beta:.3f}: {tokens:,.0f} tokens, "
            f"you say {got:,.4g}. Put your D into the law: does it give the loss?",
        )
