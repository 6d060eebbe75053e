"""The exercises of notebook 07."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from course_lib.classroom.exercises.base import (
    Exercise,
    near,
    number_between,
    require,
    require_number,
    whole_number,
)
from course_lib.scaling import Law, isoflop_design, random_law

NAMES = ("A", "B", "E", "alpha", "beta")


class FitLaw(Exercise):
    """The law's five numbers from runs, by the linearity in three of them."""

    name = "fit-law"
    function = "fit_law"
    notebook = "07_compute_optimal"
    prompt = """
    Write `fit_law(params, tokens, loss)` for simulated runs without noise (NumPy arrays, an entry a
    run). Return `(A, B, E, alpha, beta)` of $L = E + A/N^\\alpha + B/D^\\beta$, with alpha and beta
    to within 0.01. Both lie between 0.2 and 0.5.

    No optimizer is needed. If you knew alpha and beta, the loss would be *linear* in E, A and B.
    """
    hint = """
    For one pair of exponents, the columns `1`, `params ** -alpha` and `tokens ** -beta` make a
    matrix, and `np.linalg.lstsq(matrix, loss, rcond=None)[0]` gives E, A and B. Try all pairs on a
    grid in steps of 0.01 and keep the pair with the smallest squared error. (Columns as small as
    `params ** -0.4` are fine.)
    """
    praise = "Right. Three of the five numbers come for free; a search has to find two."

    @staticmethod
    def solution(
        params: np.ndarray, tokens: np.ndarray, loss: np.ndarray
    ) -> tuple[float, float, float, float, float]:
        """The best pair of exponents on a grid, with the linear numbers that go with it."""
        best = (math.inf,)
        for alpha in np.arange(0.2, 0.505, 0.01):
            for beta in np.arange(0.2, 0.505, 0.01):
                matrix = np.stack([loss * 0 + 1, params**-alpha, tokens**-beta], axis=1)
                floor, a, b = np.linalg.lstsq(matrix, loss, rcond=None)[0]
                error = ((matrix @ [floor, a, b] - loss) ** 2).sum()
                best = min(best, (error, a, b, floor, alpha, beta))
        return best[1:]

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """One random law with exponents on the grid of the hint, unequal ones."""
        law = random_law(int(torch.randint(1 << 30, (), generator=draw)))
        alpha = 0.22 + 0.01 * int(torch.randint(10, (), generator=draw))
        beta = alpha + 0.05 + 0.01 * int(torch.randint(8, (), generator=draw))
        law = Law(law.A * 1e9 ** (alpha - law.alpha), law.B * 2e10 ** (beta - law.beta), law.E,
                  alpha, beta)  # fmt: skip
        params, tokens = isoflop_design([1e18, 1e20, 1e22], sizes=8)
        loss = law.loss(params, tokens)
        got = answer(params.copy(), tokens.copy(), loss.copy())
        require(
            isinstance(got, tuple | list | np.ndarray) and len(got) == len(NAMES),
            "Return five numbers: (A, B, E, alpha, beta).",
        )
        values = [require_number(v, f"`{n}`") for n, v in zip(NAMES, got, strict=True)]
        self._recognise(values, law)
        for name, value in zip(("alpha", "beta"), values[3:], strict=True):
            want = getattr(law, name)
            require(
                abs(value - want) <= 0.0101,
                f"{name} is {want:.2f} in the law that drew these runs; yours is {value:.3f}.",
            )
        error = np.abs(Law(*values).loss(params, tokens) / loss - 1).max()
        require(
            error < 0.01,
            f"Your exponents are right, but your law misses the runs by up to {error:.0%}. Put A, "
            "B and E that go with them into the law, and compare.",
        )

    def _recognise(self, values: list[float], law: Law) -> None:
        a, _, e, alpha, beta = values

        def both(one: float, other: float) -> bool:
            return abs(alpha - one) < 0.011 and abs(beta - other) < 0.011

        require(not both(law.beta, law.alpha), "alpha and beta are exchanged: alpha belongs to N.")
        require(
            not both(-law.alpha, -law.beta),
            "The signs: the law divides by N^alpha, so alpha is positive.",
        )
        require(
            not both(law.a, law.b),
            "These are the exponents a and b of the optimum. alpha and beta of the loss were asked "
            "for.",
        )
        require(
            abs(e) > 0.05,
            "Your E is 0. Without a floor the exponents must bend to make up for it: the matrix "
            "needs a column of ones.",
        )
        require(
            not (both(law.alpha, law.beta) and near(a, math.log(law.A))),
            "Exponents right, but you return the logarithm of A. The law has A itself.",
        )


class HuberSum(Exercise):
    """The objective of approach 3, as it should be."""

    name = "huber-sum"
    function = "fixed_objective"
    notebook = "07_compute_optimal"
    prompt = """
    Someone fits a law with the objective

    ```python
    def objective(residuals, delta):
        size = np.abs(residuals)
        return np.where(size <= delta, size**2 / 2, delta * size).mean()
    ```

    and stops when a step gains less than 1e-9. `residuals` are those of the log loss, one a run.
    There are *two* bugs. One makes the objective jump at `delta`; the other makes the same rule
    stop earlier, the more runs there are. Write `fixed_objective(residuals, delta)`, the same
    without them.
    """
    hint = """
    The Huber loss is a parabola up to `delta` and a straight line beyond, and where they meet they
    have the same value and the same slope. What must be subtracted from `delta * size`? And: for
    twice the runs, should a step gain as much, or twice as much?
    """
    praise = "Right: a sum, and no jump. Each run adds its own share, however many there are."

    @staticmethod
    def solution(residuals: np.ndarray, delta: float) -> float:
        """The sum of Huber losses."""
        size = np.abs(residuals)
        return np.where(size <= delta, size**2 / 2, delta * (size - delta / 2)).sum()

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Residuals on both sides of delta and of zero."""
        for _ in range(5):
            count = whole_number(draw, 6, 40)
            delta = number_between(draw, 0.001, 0.5)
            residuals = delta * 3 * torch.randn(count, generator=draw, dtype=torch.float64).numpy()
            # One beyond delta on either side: else a forgotten size looks like a forgotten line.
            residuals[:4] = -0.5 * delta, 0.25 * delta, -2 * delta, 3 * delta
            got = require_number(answer(residuals.copy(), delta), "The objective")
            size = np.abs(residuals)
            pieces = np.where(size <= delta, size**2 / 2, delta * (size - delta / 2))
            self._recognise(got, residuals, delta, pieces)
            require(
                near(got, pieces.sum()),
                f"For {count} residuals and delta = {delta:.3g} the sum is {pieces.sum():.6g}; "
                f"yours is {got:.6g}.",
            )

    def _recognise(
        self, got: float, residuals: np.ndarray, delta: float, pieces: np.ndarray
    ) -> None:
        size = np.abs(residuals)
        jump = np.where(size <= delta, size**2 / 2, delta * size)
        slips = {
            "Still an average: for twice the runs, each step would gain half as much a run, and "
            "the rule would stop earlier.": pieces.mean(),
            "That is what you were given: it averages, and it jumps at delta.": jump.mean(),
            "It sums now, but it still jumps: at delta the parabola has reached delta^2 / 2, and "
            "the line begins at delta^2.": jump.sum(),
            "All squares: an outlier counts as much as its square. Beyond delta the loss is a "
            "straight line.": (size**2 / 2).sum(),
            "All straight: within delta the loss is a parabola.": (
                delta * (size - delta / 2)
            ).sum(),
            "Residuals below zero count as much as those above: take their size.": float(
                np.where(
                    residuals <= delta, residuals**2 / 2, delta * (residuals - delta / 2)
                ).sum()
            ),
            "Twice the Huber loss. The minimum stays where it is, but the published objective has "
            "the half.": 2 * pieces.sum(),
        }
        for words, value in slips.items():
            require(not near(got, float(value)), words)


class ReadProfile(Exercise):
    """The lowest point of an iso-FLOP profile (Hoffmann et al. 2022, section 3.2)."""

    name = "read-profile"
    function = "best_size"
    notebook = "07_compute_optimal"
    prompt = """
    Write `best_size(params, loss)` for the runs at *one* compute budget (NumPy arrays): put a
    parabola through the loss over $\\log N$ and return the number of parameters at its lowest
    point. Return `math.nan` if that point lies outside the sizes tried, or if the parabola has no
    lowest point: nobody has seen the loss rise again there.
    """
    hint = """
    `c2, c1, c0 = np.polyfit(np.log(params), loss, 2)` is the parabola c2 v^2 + c1 v + c0. Its
    slope is zero at v = -c1 / (2 c2). That is a logarithm.
    """
    praise = "Right: read where it was measured, refuse where it was not."

    @staticmethod
    def solution(params: np.ndarray, loss: np.ndarray) -> float:
        """The vertex, if it lies within the sizes and is a minimum."""
        c2, c1, _ = np.polyfit(np.log(params), loss, 2)
        best = np.exp(-c1 / (2 * c2))
        inside = c2 > 0 and params.min() < best < params.max()
        return best if inside else math.nan

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Profiles with a vertex inside, beyond either end, and a hill."""
        for place in (0.3, 0.7, 1.5, -0.5, 0.4):
            low = number_between(draw, 15, 22)
            v = np.linspace(low, low + 3, 7)
            center, depth = low + 3 * place, number_between(draw, 0.02, 0.1)
            loss = 2.5 + depth * (v - center) ** 2
            self._inside_or_not(answer, np.exp(v), loss, center)
        v = np.linspace(18, 21, 7)
        got = answer(np.exp(v), 3 - 0.05 * (v - 19.6) ** 2)
        require(
            math.isnan(require_number(got, "The size")),
            "You found the top of a hill. A parabola that opens downwards has no lowest point: "
            "return `math.nan`.",
        )

    def _inside_or_not(
        self, answer: Callable[..., Any], params: np.ndarray, loss: np.ndarray, center: float
    ) -> None:
        got = require_number(answer(params.copy(), loss.copy()), "The size")
        tried = params[int(loss.argmin())]
        if not math.log(params[0]) < center < math.log(params[-1]):
            require(
                math.isnan(got),
                "Here the loss still falls at the end of the sizes tried, and you name an optimum "
                "all the same. Nobody has seen it rise again: return `math.nan`.",
            )
            return
        require(
            not math.isnan(got),
            "Here the loss falls and rises again within the sizes tried, and you return nan. Is "
            "your parabola over log N, and your vertex a number of parameters?",
        )
        raw = np.polyfit(params, loss, 2)
        slips = {
            "That is the best of the sizes *tried*. The parabola's lowest point lies between "
            "them.": tried,
            "That is the logarithm of the best size. Take it back with `np.exp`.": center,
            "You put the parabola over N. Profiles are symmetric, if at all, over log N.": float(
                -raw[1] / (2 * raw[0])
            ),
            "The vertex is at -c1 / (2 c2); you left the 2 out.": math.exp(min(2 * center, 700)),
        }
        for words, value in slips.items():
            require(not near(got, value), words)
        require(
            near(got, math.exp(center)),
            f"The lowest point is at {math.exp(center):,.0f} parameters; you say {got:,.0f}.",
        )
