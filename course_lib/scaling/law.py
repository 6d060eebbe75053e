"""The law L(N, D) = E + A / N^alpha + B / D^beta, and the best use of a compute budget under it.

N is the number of parameters, D the number of training tokens, L the loss in nats per token, E the
irreducible loss. Hoffmann et al. 2022, section 3.3 and equation 4.

A sixth number, gamma, couples the two terms: E + ((A / N^alpha)^(1/gamma) +
(B / D^beta)^(1/gamma))^gamma. With gamma 1 they add. Above 1 a lack of parameters costs more while
tokens are few, too. Kaplan et al. 2020 (equation 1.5) have gamma = beta and no E. What each term
is alone, when the other one vanishes, does not depend on gamma.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from course_lib.runtime.checks import checked
from course_lib.scaling.validation import Amounts, LawFloor, LawNumber, Positives

FLOP_PER_PARAMETER_AND_TOKEN = 6  # forward and backward pass: Kaplan et al. 2020, section 2.1


class Optimum(NamedTuple):
    """The sizes that spend a compute budget best: parameters and tokens, in the budget's shape."""

    params: NDArray
    tokens: NDArray


@runtime_checkable
class Frontier(Protocol):
    """Whatever knows the best number of parameters for a compute budget."""

    def optimal_params(self, compute: NDArray) -> NDArray:
        """Parameters of the best model for each compute (FLOP)."""
        ...


@checked
@dataclass(frozen=True, eq=False)
class Law:
    """The numbers of the law. Each may be an array: then it is a law for each entry.

    Raises:
        BadArgumentError: a number that is not above 0 (E may be 0), or one of an array that is NaN.
    """

    A: LawNumber
    B: LawNumber
    E: LawFloor
    alpha: LawNumber
    beta: LawNumber
    gamma: LawNumber = field(default=1.0, kw_only=True)

    @property
    def a(self) -> float:
        """Exponent of the optimal number of parameters in compute, beta / (alpha + beta)."""
        return self.beta / (self.alpha + self.beta)

    @property
    def b(self) -> float:
        """Exponent of the optimal number of tokens in compute, alpha / (alpha + beta)."""
        return self.alpha / (self.alpha + self.beta)

    @checked
    def loss(self, params: Amounts, tokens: Amounts) -> NDArray:
        """Loss in nats per token of models with so many parameters after so many tokens."""
        return self.E + self._join(self.A * params**-self.alpha, self.B * tokens**-self.beta)

    def _join(self, lack_of_params: NDArray, lack_of_tokens: NDArray) -> NDArray:
        power = 1 / self.gamma
        return (lack_of_params**power + lack_of_tokens**power) ** self.gamma

    @checked
    def optimal_params(self, compute: Positives) -> NDArray:
        """The number of parameters with the lowest loss among all N D = compute / 6."""
        balance = (self.alpha / self.beta) ** self.gamma * self.A / self.B
        scale = balance ** (1 / (self.alpha + self.beta))
        return scale * (compute / FLOP_PER_PARAMETER_AND_TOKEN) ** self.a

    @checked
    def tokens_for(self, loss: Positives, params: Amounts) -> NDArray:
        """The tokens after which models with so many parameters reach a loss.

        Infinite where no amount of data is enough.
        """
        above, lack = loss - self.E, self.A * params**-self.alpha
        with np.errstate(divide="ignore", invalid="ignore"):
            left = (above ** (1 / self.gamma) - lack ** (1 / self.gamma)) ** self.gamma
            return np.where(above > lack, (self.B / left) ** (1 / self.beta), np.inf)

    @checked
    def compute_for(self, loss: Positives) -> NDArray:
        """The least compute (FLOP) that reaches a loss, the optimal model's. Infinite below E.

        Along the optimum both terms fall with the same power of compute, alpha beta over their sum.
        """
        best = optimal(FLOP_PER_PARAMETER_AND_TOKEN, self)
        above = self.loss(*best) - self.E
        power = (self.alpha + self.beta) / (self.alpha * self.beta)
        left = loss - self.E
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(
                left > 0, FLOP_PER_PARAMETER_AND_TOKEN * (above / left) ** power, np.inf
            )


@checked
def optimal(compute: Positives, fit: Frontier) -> Optimum:
    """The parameters and tokens that a fit recommends for a compute budget.

    `compute` is in FLOP, a number or an array; `fit` is a `Law`, or what one of the three
    approaches returned. Training costs 6 N D.

    Raises:
        BadArgumentError: a compute that is not a finite number above 0, or no fit.
    """
    params = fit.optimal_params(compute)
    return Optimum(params, compute / (FLOP_PER_PARAMETER_AND_TOKEN * params))
