"""Approaches 1 and 2: read the best size for each compute budget off runs, then fit a power law.

Hoffmann et al. 2022, sections 3.1 and 3.2. Neither assumes a form of the loss.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import PlainValidator

from course_lib.evaluation import Interval
from course_lib.runtime.checks import BadArgumentError, checked
from course_lib.scaling.law import FLOP_PER_PARAMETER_AND_TOKEN
from course_lib.scaling.simulation import TrainingCurve
from course_lib.scaling.validation import Column, Positives, as_column, require_runs

SAME_BUDGET = 0.1  # of compute, by which neighbours within one budget may differ
FEWEST_SIZES = 3  # at a budget: a parabola has three coefficients
FEWEST_OPTIMA = 3
COMPUTE_GRID = 1500  # budgets at which the envelope is read, as in the paper
SMOOTHING = 0.15  # width of the window over a training curve, in log tokens


def _as_curves(value: Any) -> list[TrainingCurve]:
    if not isinstance(value, Iterable) or isinstance(value, TrainingCurve):
        raise ValueError("give a list of TrainingCurve, one a model")
    if not (curves := list(value)):
        raise ValueError("give a TrainingCurve for each model")
    for place, curve in enumerate(curves):
        if not isinstance(curve, TrainingCurve):
            raise ValueError(f"entry {place} is a {type(curve).__name__}: give a TrainingCurve")
        try:
            params, tokens, loss = (as_column(column) for column in ([curve.params], *curve[1:]))
        except ValueError as error:
            raise ValueError(f"curve {place}: {error}") from None
        if len(tokens) != len(loss):
            raise ValueError(f"curve {place}: give tokens and losses of one length")
        if len(tokens) < 2 or not (np.diff(tokens) > 0).all():
            raise ValueError(f"curve {place}: give two points or more, of tokens that grow")
        curves[place] = TrainingCurve(float(params[0]), tokens, loss)
    return curves


Curves = Annotated[list[TrainingCurve], PlainValidator(_as_curves)]


@dataclass(frozen=True)
class Valley:
    """The parabola c0 + c1 v + c2 v^2 of loss over v = log N at one compute budget (FLOP)."""

    compute: float
    coefficients: tuple[float, float, float]
    sizes: tuple[float, float]  # the smallest and the largest number of parameters tried

    @property
    def best(self) -> float:
        """Parameters at the lowest point; nan if the parabola has none."""
        _, c1, c2 = self.coefficients
        return float(np.exp(-c1 / (2 * c2))) if c2 > 0 else float("nan")

    @property
    def inside(self) -> bool:
        """Whether the lowest point lies between the sizes tried; beyond them it is a guess."""
        return self.sizes[0] < self.best < self.sizes[1]

    @checked
    def loss(self, params: Positives) -> NDArray:
        """The parabola's loss for models with so many parameters."""
        return np.polynomial.polynomial.polyval(np.log(params), self.coefficients)


@dataclass(frozen=True, eq=False)
class FrontierFit:
    """N_opt = k C^a, fitted to the optima `params` [m] found at budgets `compute` [m] in FLOP.

    `valleys` are approach 2's parabolas, also those that were left out because their lowest point
    lies outside the sizes tried; empty for approach 1.
    """

    k: float
    a: float
    error: float  # standard error of a
    optima: int  # independent optima among the points
    compute: NDArray = field(repr=False)
    params: NDArray = field(repr=False)
    valleys: tuple[Valley, ...] = field(default=(), repr=False)

    @property
    def b(self) -> float:
        """Exponent of the optimal number of tokens: training costs 6 N D, so it is 1 - a."""
        return 1 - self.a

    @property
    def intervals(self) -> dict[str, Interval]:
        """95 % intervals of the exponents a and b: Student's, for the slope of a line."""
        from scipy.special import stdtrit

        half = float(stdtrit(self.optima - 2, 0.975)) * self.error
        return {
            name: Interval(mean, mean - half, mean + half, self.optima)
            for name, mean in (("a", self.a), ("b", self.b))
        }

    @checked
    def optimal_params(self, compute: Positives) -> NDArray:
        """Parameters of the best model for each compute (FLOP)."""
        return self.k * compute**self.a


@checked
def fit_isoflop(params: Column, tokens: Column, loss: Column) -> FrontierFit:
    """Approach 2: at each compute budget, a parabola of loss over log N; its lowest point counts.

    Runs belong to one budget if, sorted by compute 6 N D, each is within 10 % of the one before. A
    budget needs three different sizes. The interval knows of noise alone: where alpha and beta
    differ, a profile is not symmetric, and a parabola over a wide range of sizes is biased.

    Raises:
        BadArgumentError: columns of different lengths, a value that is not above 0, or fewer than
            three budgets with their lowest point between the sizes tried.
    """
    require_runs(1, params=params, tokens=tokens, loss=loss)
    valleys = [_valley(params[g], tokens[g], loss[g]) for g in _budgets(params * tokens)]
    valleys = [valley for valley in valleys if valley is not None]
    inside = [valley for valley in valleys if valley.inside]
    if len(inside) < FEWEST_OPTIMA:
        raise BadArgumentError(
            f"{len(inside)} compute budget(s) with the lowest loss between the sizes tried, of "
            f"{len(valleys)} with {FEWEST_SIZES} sizes: {FEWEST_OPTIMA} are needed. Widen the "
            "range of sizes at each budget."
        )
    best, compute = (np.array([getattr(v, n) for v in inside]) for n in ("best", "compute"))
    return _power_law(best, compute, len(inside), tuple(valleys))


@checked
def fit_envelope(curves: Curves) -> FrontierFit:
    """Approach 1: which model is ahead at each compute budget, read off training curves.

    Curves are smoothed, then compared at 1,500 budgets. What counts is the longest range of budgets
    in which, at each, a smaller and a larger model than the one ahead were measured too: where the
    one ahead is the smallest or the largest, a size that is missing might be better. Neighbouring
    budgets share a model, so the interval counts models, not budgets.

    Raises:
        BadArgumentError: what is no curve, a value that is not above 0, tokens that do not grow
            along a curve, or fewer than three models ahead at such budgets.
    """
    sizes = np.array([curve.params for curve in curves])
    logs = [_log_compute(curve) for curve in curves]
    grid = np.linspace(min(x[0] for x in logs), max(x[-1] for x in logs), COMPUTE_GRID)
    table = np.stack([_smooth(x, curve.loss, grid) for x, curve in zip(logs, curves, strict=True)])

    ahead = np.where(np.isfinite(table), table, np.inf).argmin(axis=0)
    measured = np.where(np.isfinite(table), sizes[:, None], np.nan)
    winner = sizes[ahead]
    with np.errstate(invalid="ignore"):
        inside = _longest((measured < winner).any(axis=0) & (measured > winner).any(axis=0))
    winners = len(np.unique(winner[inside]))
    if winners < FEWEST_OPTIMA:
        raise BadArgumentError(
            f"{winners} size(s) are ahead somewhere between a smaller and a larger one: "
            f"{FEWEST_OPTIMA} are needed. Give curves of more sizes, or longer ones."
        )
    return _power_law(winner[inside], np.exp(grid[inside]), winners)


def _power_law(
    params: NDArray, compute: NDArray, optima: int, valleys: tuple[Valley, ...] = ()
) -> FrontierFit:
    """Least squares of log params on log compute; `optima` of the points are independent."""
    x, y = np.log(compute), np.log(params)
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    rest = y - y.mean() - slope * centred
    error = float(np.sqrt(rest.var() / (optima - 2) / x.var()))
    k = float(np.exp(y.mean() - slope * x.mean()))
    return FrontierFit(k, slope, error, optima, compute, params, valleys)


def _budgets(product: NDArray) -> list[NDArray]:
    """The places of runs of (nearly) the same compute, a group for each budget."""
    order = np.argsort(product, kind="stable")
    steps = np.diff(np.log(product[order])) > np.log1p(SAME_BUDGET)
    return np.split(order, np.flatnonzero(steps) + 1)


def _valley(params: NDArray, tokens: NDArray, loss: NDArray) -> Valley | None:
    """The parabola through a budget's runs; None if they have too few sizes."""
    if len(np.unique(params)) < FEWEST_SIZES:
        return None
    v = np.log(params)
    shifted = np.polynomial.Polynomial.fit(v, loss, 2).convert()
    coefficients = tuple(float(c) for c in np.pad(shifted.coef, (0, 3 - len(shifted.coef))))
    flop = FLOP_PER_PARAMETER_AND_TOKEN * float(np.exp(np.log(params * tokens).mean()))
    return Valley(flop, coefficients, (float(params.min()), float(params.max())))


def _log_compute(curve: TrainingCurve) -> NDArray:
    return np.log(FLOP_PER_PARAMETER_AND_TOKEN * curve.params * curve.tokens)


def _longest(flags: NDArray) -> NDArray:
    """Of the stretches of True, the longest one alone."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    kept = np.zeros_like(flags)
    if edges.size:
        first = int(np.argmax(edges[1::2] - edges[::2]))
        kept[edges[2 * first] : edges[2 * first + 1]] = True
    return kept


def _smooth(x: NDArray, loss: NDArray, grid: NDArray) -> NDArray:
    """A local line through the log loss around each point of the grid; nan outside the curve.

    A line, not a mean: at the ends of a falling curve a mean would be drawn inwards.
    """
    gap = grid[:, None] - x
    weight = np.exp(-0.5 * (gap / SMOOTHING) ** 2)
    y = np.log(loss)
    s0, s1, s2 = (weight * gap**k @ np.ones_like(x) for k in range(3))
    t0, t1 = weight @ y, (weight * gap) @ y
    with np.errstate(invalid="ignore", divide="ignore"):
        line = (s2 * t0 - s1 * t1) / (s0 * s2 - s1**2)
    return np.where((grid >= x[0]) & (grid <= x[-1]), line, np.nan)
