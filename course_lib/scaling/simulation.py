"""Runs and training curves drawn from a known law, for tests and for teaching."""

import math
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from course_lib.runtime import seed_of
from course_lib.runtime.checks import (
    Count,
    NotNegative,
    Number,
    Positive,
    Probability,
    Whole,
    checked,
)
from course_lib.scaling.law import FLOP_PER_PARAMETER_AND_TOKEN, Law
from course_lib.scaling.validation import Column, require_runs


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


@checked
def random_law(seed: Whole) -> Law:
    """A law like those found for language models.

    Both exponents lie between 0.25 and 0.45, E between 1.5 and 2 nats, and a model of 1e9
    parameters trained on 2e10 tokens loses 0.2 to 0.6 nats each to its size and to its data.
    """
    random = np.random.default_rng(seed_of(seed, "law"))
    alpha, beta = random.uniform(0.25, 0.45, 2)
    size, data = np.exp(random.uniform(math.log(0.2), math.log(0.6), 2))
    return Law(size * 1e9**alpha, data * 2e10**beta, random.uniform(1.5, 2.0), alpha, beta)


@checked
def isoflop_design(
    compute: Column,
    sizes: Annotated[Count, Field(ge=2)] = 12,
    spread: Annotated[Number, Field(gt=1)] = 4.0,
    ratio: Positive = 20.0,
) -> tuple[NDArray, NDArray]:
    """Parameters and tokens of an experiment with `sizes` models at each compute budget (FLOP).

    Around the model that has `ratio` tokens per parameter, sizes go from `spread` times smaller to
    `spread` times larger in even steps of the logarithm.

    Raises:
        BadArgumentError: a budget or ratio that is not above 0, fewer than two sizes, or a spread
            that is not above 1.
    """
    factors = np.geomspace(1 / spread, spread, sizes)
    middle = np.sqrt(compute / (FLOP_PER_PARAMETER_AND_TOKEN * ratio))
    params = (middle[:, None] * factors).ravel()
    return params, np.repeat(compute, sizes) / (FLOP_PER_PARAMETER_AND_TOKEN * params)


@checked
def simulate_runs(
    law: Law,
    params: Column,
    tokens: Column,
    *,
    noise: NotNegative = 0.005,
    outliers: Probability = 0.0,
    seed: Whole = 0,
) -> Runs:
    """Losses that the law and chance give.

    `noise` is the relative standard deviation of a loss. `outliers` is the share of runs that went
    wrong, whose loss is 5 to 20 % too high (never too low: no run beats the law by mistake).

    Raises:
        BadArgumentError: columns of different lengths, a number in them that is not above 0, a
            negative noise, or a share outside [0, 1].
    """
    require_runs(1, params=params, tokens=tokens)
    random = np.random.default_rng(seed_of(seed, "runs"))
    error = noise * random.standard_normal(params.shape)
    wrong = random.random(params.shape) < outliers
    error += wrong * random.uniform(0.05, 0.2, params.shape)
    return Runs(params, tokens, law.loss(params, tokens) * np.exp(error))


@checked
def simulate_curves(
    law: Law,
    params: Column,
    tokens: Positive,
    *,
    points: Annotated[Count, Field(ge=2)] = 200,
    noise: NotNegative = 0.005,
    seed: Whole = 0,
) -> list[TrainingCurve]:
    """A training curve for each model size, from a hundredth of `tokens` to all of them.

    The loss after D tokens is the law's, as if every point had been the end of a schedule of its
    own, times log-normal noise.

    Raises:
        BadArgumentError: a size or a number of tokens that is not above 0, fewer than two points,
            or a negative noise.
    """
    random = np.random.default_rng(seed_of(seed, "curves"))
    seen = np.geomspace(tokens / 100, tokens, points)
    return [
        TrainingCurve(
            float(size), seen, law.loss(size, seen) * np.exp(noise * random.standard_normal(points))
        )
        for size in params
    ]
