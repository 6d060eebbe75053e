"""Measure the scaling fits: `make bench`. Speed against a plain loop of scipy's, and coverage.

Speed: the fit from all 4,500 starts takes turns with scipy's BFGS from a sample of them, whose time
is scaled up. Coverage: how often 95 % intervals hold the truth, on 20 random laws with noise of 0.5
and 2 % and 5 % outliers, in Chinchilla's range of compute (nine budgets of twelve sizes). Designs:
the same share on designs from good to hopeless, by what the library says of them (nothing, a
warning, a refusal), from all laws that fit nearly as well and from the best alone; where it
refuses, the refusal is switched off. The limits in `scaling/identifiability.py` come from there.
"""

import argparse
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from unittest.mock import patch

import numpy as np
from measuring import Measure, alternate, report
from scipy.optimize import minimize
from scipy.special import huber, logsumexp

from course_lib.runtime import CourseError
from course_lib.runtime.checks import BadArgumentError
from course_lib.scaling import (
    Law,
    ParametricFit,
    Runs,
    fit_parametric,
    identifiability,
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
SIZES = np.geomspace(1e8, 1e10, 24)


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


def near_a_line(spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Twenty tokens a parameter, off by a factor of about 1 + spread."""
    off = np.exp(spread * np.random.default_rng(seed).standard_normal(len(SIZES)))
    return SIZES, 20 * SIZES * off


def grid(sizes: int, lengths: int, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and tokens crossed, each from the smallest to `reach` times it."""
    steps = (np.geomspace(reach**-0.5, reach**0.5, count) for count in (sizes, lengths))
    params, tokens = np.meshgrid(*steps)
    return 1e9 * params.ravel(), 2e10 * tokens.ravel()


DESIGNS = {
    "one ratio": lambda seed: near_a_line(0, seed),
    "one compute budget": lambda seed: isoflop_design([1e20], 24),
    "two sizes": lambda seed: grid(2, 12, 20),
    "one ratio, off by 1 %": lambda seed: near_a_line(0.01, seed),
    "one ratio, off by 5 %": lambda seed: near_a_line(0.05, seed),
    "one ratio, off by 20 %": lambda seed: near_a_line(0.2, seed),
    "two ratios": lambda seed: (np.tile(SIZES[::2], 2), np.outer([10, 40], SIZES[::2]).ravel()),
    "6 x 6, reach 3": lambda seed: grid(6, 6, 3),
    "4 x 4, reach 8": lambda seed: grid(4, 4, 8),
    "4 x 4, reach 100": lambda seed: grid(4, 4, 100),
    "two budgets": lambda seed: isoflop_design([1e19, 1e21], 12),
    "five budgets": lambda seed: isoflop_design(np.geomspace(1e19, 1e21, 5), 7),
}


def judged_fit(runs: Runs, seed: int) -> tuple[ParametricFit, str]:
    """The fit, also where it would be refused, and what was said: refused, warned, quiet."""
    said = []

    def heard(look: Callable) -> Callable:
        def call(*arguments: object) -> None:
            try:
                look(*arguments)
            except BadArgumentError:
                said.append("refused")

        return call

    looks = {
        name: heard(getattr(identifiability, name)) for name in ("require_design", "inspect_fit")
    }
    with (
        patch.multiple("course_lib.scaling.parametric", **looks),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always", identifiability.WeakDesignWarning)
        fit = fit_parametric(*runs, starts=published_grid()[::9], resamples=300, seed=seed)
    return fit, said[0] if said else "warned" if caught else "quiet"


def held(fit: ParametricFit, law: Law) -> np.ndarray:
    """For each of the numbers, whether its interval holds the truth."""
    intervals = fit.intervals
    return np.array([i.low <= getattr(law, name) <= i.high for name, i in intervals.items()])


def designs(laws: int) -> Iterator[Measure]:
    """Shares of intervals that hold the truth, by what the library says of the design."""
    hits, alone, said = defaultdict(list), defaultdict(list), defaultdict(Counter)
    for name, design in DESIGNS.items():
        for noise in (0.005, 0.02):
            for number in range(laws):
                law = random_law(number)
                runs = simulate_runs(law, *design(number), noise=noise, seed=1000 + number)
                fit, verdict = judged_fit(runs, number)
                said[name][verdict] += 1
                hits[verdict].append(held(fit, law))
                with patch.object(identifiability, "MOST_RIVALS", 1):
                    alone[verdict].append(held(judged_fit(runs, number)[0], law))
        note = ", ".join(f"{verdict} {count}" for verdict, count in said[name].most_common())
        yield Measure(f"{name}: quiet", said[name]["quiet"] / (2 * laws), form=".2f", note=note)
    for verdict in ("quiet", "warned", "refused"):
        for how, found in (("", hits), (", from the best alone", alone)):
            shares = dict(zip(NAMES, np.mean(found[verdict], axis=0), strict=True))
            line = f"{verdict}, {len(found[verdict])} fits{how}: lowest"
            note = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
            bar = LOW if verdict == "quiet" and not how else None
            yield Measure(line, min(shares.values()), bar, note=note)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="turns of each contestant")
    parser.add_argument("--experiments", type=int, default=25, help="a law and noise, for coverage")
    parser.add_argument("--laws", type=int, default=20, help="a design and noise")
    options = parser.parse_args(arguments)
    sections = {
        "Scaling fits": speed(options.repeats),
        "95 % intervals that hold the truth": coverage(options.experiments),
        "The same by design": designs(options.laws),
    }
    return report(sections)


if __name__ == "__main__":
    sys.exit(main())
