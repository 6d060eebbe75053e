"""Notebook 07's graded task: plan a run, state its loss, and be held against the record."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from course_lib.classroom.exercises.base import Exercise, require, require_number
from course_lib.scaling import Runs, ladder_table
from course_lib.studies import load_records
from course_lib.studies.laws import BUDGETS, LARGER

SPENT = 0.05  # of the budget, by which a plan may miss it
LOST, MISSED = 0.05, 0.10  # of the loss, on average over the worlds


class Case(NamedTuple):
    """One world: the runs that may be looked at, and those of the budget that is to be planned."""

    shown: Runs
    dearest: Runs


class PlanRun(Exercise):
    """The size, the tokens and the loss of a run that costs twice as much as all before it."""

    name = "plan-a-run"
    function = "plan"
    notebook = "07_compute_optimal"
    prompt = """
    You are given the runs of a world's three cheaper budgets, `params`, `tokens` and `loss` (NumPy
    arrays, an entry a run), and one more run to spend: `budget` FLOP, twice as much as the largest
    of theirs. Write `plan(params, tokens, loss, budget)` and return `(n, d, stated)`: the
    parameters and the tokens of your run, and the loss that you expect of it.

    You are scored in each world on record. There seven sizes were trained at that budget. On
    average your size may lose 5 % against the best of them, and your stated loss may miss what your
    size reached by 10 %.
    """
    hint = """
    At each budget, which size was best? It grows with the budget as a power: a straight line in
    logarithms. The lowest loss of each budget falls, too; but nearer the floor a doubling brings
    less than the doubling before.
    """
    praise = "Right in the worlds on record: a plan, a forecast, and both kept."

    @staticmethod
    def solution(
        params: np.ndarray, tokens: np.ndarray, loss: np.ndarray, budget: float
    ) -> tuple[float, float, float]:
        """Follow the best size along a line in logarithms; half the last fall of the loss."""
        flop = 6 * params * tokens
        level = np.round(np.log2(flop / flop.min()))
        best = [np.flatnonzero(level == one) for one in np.unique(level)]
        best = [runs[loss[runs].argmin()] for runs in best]
        line = np.polyfit(np.log(flop[best]), np.log(params[best]), 1)
        n = np.exp(np.polyval(line, np.log(budget)))
        fall = loss[best[-1]] / loss[best[-2]]
        return n, budget / 6 / n, loss[best[-1]] * fall**0.5

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Every world on record, the runs in an order of their own."""
        lost, missed, sizes = [], [], []
        for case in _cases():
            order = torch.randperm(len(case.shown.loss), generator=draw).numpy()
            got = answer(*(column[order] for column in case.shown), BUDGETS[-1])
            require(
                isinstance(got, tuple | list | np.ndarray) and len(got) == 3,
                "Return three numbers: parameters, tokens, and the loss that you expect.",
            )
            names = "The parameters", "The tokens", "The stated loss"
            n, d, stated = (require_number(v, what) for v, what in zip(got, names, strict=True))
            reached, size = _reached(n, d, case.dearest)
            lost.append(reached / case.dearest.loss.min() - 1)
            missed.append(stated / reached - 1)
            sizes.append(size)
        require(
            np.mean(lost) < LOST,
            f"On average your size loses {np.mean(lost):.0%} against the best: it is too "
            f"{'large' if np.mean(sizes) > 0 else 'small'}. Where is the valley's bottom, and how "
            "does it move?",
        )
        require(
            np.mean(np.abs(missed)) < MISSED,
            f"Your sizes are good: {np.mean(lost):.1%} above the best. But the loss you state "
            f"misses by {np.mean(np.abs(missed)):.0%}, it is too "
            f"{'high: the next budget lowers it further' if np.mean(missed) > 0 else 'low'}.",
        )


def _reached(n: float, d: float, dearest: Runs) -> tuple[float, float]:
    """The loss of a plan, read between the sizes on record, and how much too large it is, in logs.

    Raises:
        WrongError: a plan that is not of this budget, or beyond the sizes on record.
    """
    budget = BUDGETS[-1]
    require(n > 0 and d > 0, f"{n:,.0f} parameters and {d:,.0f} tokens: both must be above 0.")
    require(
        abs(6 * n * d / budget - 1) < SPENT,
        f"{n:,.0f} parameters and {d:,.0f} tokens cost {6 * n * d:.2e} FLOP, as 6 N D: the budget "
        f"is {budget:.2e}.",
    )
    smallest, largest = dearest.params.min(), dearest.params.max()
    require(
        smallest <= n <= largest,
        f"{n:,.0f} parameters: on record are {smallest:,.0f} to {largest:,.0f}, around the best.",
    )
    logs = np.log(dearest.params)
    loss = np.exp(np.interp(np.log(n), logs, np.log(dearest.loss)))
    return float(loss), float(np.log(n) - logs[dearest.loss.argmin()])


@cache
def _cases() -> tuple[Case, ...]:
    table = ladder_table(load_records("laws"))
    table = table[table.width < LARGER[0]]
    cases = []
    for _, group in table.groupby("corpus", sort=False):
        dear = group.flop > 0.9 * BUDGETS[-1]
        if dear.sum() >= 7:
            columns = (
                (part.params, part.tokens, part.loss) for part in (group[~dear], group[dear])
            )
            cases.append(Case(*(Runs(*(c.to_numpy(float) for c in part)) for part in columns)))
    return tuple(cases)


def _columns(table: pd.DataFrame) -> Runs:
    return Runs(*(table[name].to_numpy(float) for name in Runs._fields))
