"""Measure the scaling fits: `make bench`. Speed against a plain loop of scipy's, and coverage.

Speed: the fit from all 4,500 starts takes turns with scipy's BFGS from a sample of them, whose time
is scaled up. Coverage: how often 95 % intervals hold the truth, on 20 random laws with noise of 0.5
and 2 % and 5 % outliers, in Chinchilla's range of compute (nine budgets of twelve sizes).
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
from bench import Measure, alternate, report
from scipy.optimize import minimize
from scipy.special import huber, logsumexp

from course_lib.runtime import CourseError
from course_lib.scaling import (
    Runs,
    fit_parametric,
    isoflop_design,
    load_chinchilla_points,
    published_grid,
    published_laws,
    random_law,
    simulate_runs,
)
from course_lib.scaling.parametric import NAMES

BUDGETS = np.geomspace(6e18, 3e21, 9)
SPEED_BAR = 100.0  # times as fast as the plain loop
SECONDS_BAR = 15.0  # for 4,500 starts and 4,000 resamples
OBJECTIVE_BAR = 1.01830e-3
LOW, HIGH = 0.90, 0.99  # share of intervals that hold the truth
SAMPLE = 8  # starts of the plain loop in a turn


def the_runs() -> tuple[Runs, str]:
    """The real runs, or as many simulated ones where these are not at hand."""
    try:
        return load_chinchilla_points(), "the 240 real runs"
    except CourseError:
        law = published_laws()["besiroglu"]
        return simulate_runs(law, *isoflop_design(BUDGETS, 27)), "243 simulated runs"


def plain_objective(theta: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> float:
    a, b, e, alpha, beta = theta
    predicted = logsumexp([a - alpha * x, b - beta * y, np.full_like(x, e)], axis=0)
    return huber(1e-3, z - predicted).sum()


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def speed(repeats: int) -> Iterator[Measure]:
    """Our 4,500 starts over scipy's, and the whole fit with its resamples."""
    runs, which = the_runs()
    logs = tuple(np.log(column) for column in runs)
    grid = np.random.default_rng(0).permutation(published_grid())
    samples = iter(np.split(grid[: SAMPLE * repeats], repeats))

    def plain() -> None:
        for start in next(samples):
            minimize(plain_objective, start, args=logs, method="BFGS")

    turns = {
        "ours": lambda: seconds(lambda: fit_parametric(*runs, resamples=0)),
        "plain": lambda: seconds(plain) * len(grid) / SAMPLE,
    }
    times = alternate(turns, repeats)
    ratios = [p / o for p, o in zip(times["plain"], times["ours"], strict=True)]
    note = f"{np.median(times['plain']):.0f} and {np.median(times['ours']):.2f} s; {which}"
    ratio = float(np.median(ratios))
    yield Measure("plain BFGS loop / fit, 4,500 starts", ratio, SPEED_BAR, form=",.0f", note=note)
    took = [seconds(lambda: fit_parametric(*runs, resamples=4000)) for _ in range(repeats)]
    name = "4,500 starts and 4,000 resamples, s"
    yield Measure(name, float(np.median(took)), SECONDS_BAR, at_least=False, form=".2f")
    fit = fit_parametric(*runs, resamples=0)
    real = len(runs.loss) == 240
    bar = OBJECTIVE_BAR if real else None
    yield Measure("sum of Huber losses", fit.objective, bar, at_least=False, form=".6f", note=which)


def coverage(repeats: int) -> Iterator[Measure]:
    """For each noise the parameters whose intervals hold the truth least and most often."""
    design = isoflop_design(BUDGETS, 12)
    for noise in (0.005, 0.02):
        hits = dict.fromkeys(NAMES, 0)
        for number in range(20):
            law = random_law(number)
            start = [*np.log([law.A, law.B, law.E]), law.alpha, law.beta]
            for turn in range(repeats):
                seed = 1000 * number + turn
                runs = simulate_runs(law, *design, noise=noise, outliers=0.05, seed=seed)
                fit = fit_parametric(*runs, starts=start, resamples=400, seed=turn)
                for name, found in fit.intervals.items():
                    hits[name] += found.low <= getattr(law, name) <= found.high
        shares = {name: count / (20 * repeats) for name, count in hits.items()}
        note = ", ".join(f"{name} {share:.3f}" for name, share in shares.items())
        line = f"{noise:.1%} noise, {20 * repeats} fits: "
        yield Measure(line + "lowest", min(shares.values()), LOW, note=note)
        yield Measure(line + "highest", max(shares.values()), HIGH + 1e-9, at_least=False)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="turns of each contestant")
    parser.add_argument("--experiments", type=int, default=25, help="a law and noise, for coverage")
    options = parser.parse_args(arguments)
    sections = {
        "Scaling fits": speed(options.repeats),
        "95 % intervals that hold the truth": coverage(options.experiments),
    }
    return report(sections)


if __name__ == "__main__":
    sys.exit(main())
