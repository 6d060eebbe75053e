"""Runs and training curves drawn from a known law, for tests and for teaching."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from course_lib.runtime import seed_of
from course_lib.scaling.law import FLOP_PER_PARAMETER_AND_TOKEN, Law


class Runs(NamedTuple):
    """Finished runs: parameters, tokens and final loss, [n] each."""

    params: NDArray
    tokens: NDArray
    loss: NDArray


class TrainingCurve(NamedTuple):
    """One run on the way: its parameters, and the loss after so many tokens, [t] each."""

    params: float
    tokens: NDArray
    loss: NDArray


def random_law(seed: int) -> Law:
    """A law like those found for language models.

    Both exponents lie between 0.25 and 0.45, E between 1.5 and 2 nats, and a model of 1e9
    parameters trained on 2e10 tokens loses 0.2 to 0.6 nats each to its size and to its data.
    """
    random = np.random.default_rng(seed_of(seed, "law"))
    alpha, beta = random.uniform(0.25, 0.45, 2)
    size, data = np.exp(random.uniform(math.log(0.2), math.log(0.6), 2))
    return Law(size * 1e9**alpha, data * 2e10**beta, random.uniform(1.5, 2.0), alpha, beta)


def isoflop_design(
    compute: Sequence[float], sizes: int = 12, spread: float = 4.0, ratio: float = 20.0
) -> tuple[NDArray, NDArray]:
    """Parameters and tokens of an experiment with `sizes` models at each compute budget (FLOP).

    Around the model that has `ratio` tokens per parameter, sizes go from `spread` times smaller to
    `spread` times larger in even steps of the logarithm.
    """
    factors = np.geomspace(1 / spread, spread, sizes)
    middle = np.sqrt(np.asarray(compute, float) / (FLOP_PER_PARAMETER_AND_TOKEN * ratio))
    params = (middle[:, None] * factors).ravel()
    return params, np.repeat(compute, sizes) / (FLOP_PER_PARAMETER_AND_TOKEN * params)


def simulate_runs(
    law: Law,
    params: ArrayLike,
    tokens: ArrayLike,
    *,
    noise: float = 0.005,
    outliers: float = 0.0,
    seed: int = 0,
) -> Runs:
    """Losses that the law and chance give.

    `noise` is the relative standard deviation of a loss. `outliers` is the share of runs that went
    wrong, whose loss is 5 to 20 % too high (never too low: no run beats the law by mistake).

    Raises:
        ValueError: a negative noise, or a share outside [0, 1].
    """
    if noise < 0 or not 0 <= outliers <= 1:
        raise ValueError(f"noise={noise}, outliers={outliers}: give noise >= 0, a share in [0, 1].")
    random = np.random.default_rng(seed_of(seed, "runs"))
    params, tokens = np.asarray(params, float), np.asarray(tokens, float)
    error = noise * random.standard_normal(params.shape)
    wrong = random.random(params.shape) < outliers
    error += wrong * random.uniform(0.05, 0.2, params.shape)
    return Runs(params, tokens, law.loss(params, tokens) * np.exp(error))


def simulate_curves(
    law: Law,
    params: ArrayLike,
    tokens: float,
    *,
    points: int = 200,
    noise: float = 0.005,
    seed: int = 0,
) -> list[TrainingCurve]:
    """A training curve for each model size, from a hundredth of `tokens` to all of them.

    The loss after D tokens is the law's, as if every point had been the end of a schedule of its
    own, times log-normal noise.
    """
    random = np.random.default_rng(seed_of(seed, "curves"))
    seen = np.geomspace(tokens / 100, tokens, points)
    return [
        TrainingCurve(
            float(size), seen, law.loss(size, seen) * np.exp(noise * random.standard_normal(points))
        )
        for size in np.asarray(params, float)
    ]
