"""The objective of Chinchilla's third approach and a minimiser for thousands of starts at once.

Hoffmann et al. 2022 (section 3.3, appendix D.3) fit log L by

    LSE(a - alpha log N, b - beta log D, e),   LSE(s, t, e) = log(exp s + exp t + exp e),

and minimise the *sum* over runs of the Huber loss of the residuals. A library optimiser takes one
start at a time. Here a batch of starts, or one start on a batch of bootstrap resamples, goes
through each step together, with exact derivatives.

A point of the search is a row theta = (a, b, e, alpha, beta); other laws bring derivatives of
their own.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

UNKNOWNS = 5
CHUNK = 1 << 15  # residuals worked on together: what fits into a processor's cache
DONE, STUCK = 1e-10, 1e8  # relative decrease of a converged step; damping that finds no descent


@dataclass(frozen=True)
class LogRuns:
    """Logarithms of the runs: sizes, tokens and losses, [n] each."""

    sizes: np.ndarray
    tokens: np.ndarray
    losses: np.ndarray
    delta: float  # where the Huber loss turns from a parabola into a line


# Of starts theta [s, k], runs and weights [s, n]: objective [s], gradient [s, k], and two matrices
# [s, k, k], the one of reweighted least squares and the Hessian.
Derivatives = Callable[[np.ndarray, LogRuns, np.ndarray | None], tuple[np.ndarray, ...]]


@dataclass(frozen=True)
class Minima:
    """Where each start ended: theta [s, k], objective [s]."""

    theta: np.ndarray
    objective: np.ndarray


def objective(theta: np.ndarray, runs: LogRuns, weights: np.ndarray | None = None) -> np.ndarray:
    """The summed Huber loss of each row of theta [s, 5]; weights [s, n] count each run."""
    return _derivatives(theta, runs, weights)[0]


def gradient(theta: np.ndarray, runs: LogRuns, weights: np.ndarray | None = None) -> np.ndarray:
    """The gradient of `objective` in theta, [s, 5]."""
    return _derivatives(theta, runs, weights)[1]


def normal_matrix(theta: np.ndarray, runs: LogRuns) -> np.ndarray:
    """J J' [k, k] at one theta [k], J the Jacobian of the predicted log losses."""
    parabola = replace(runs, delta=1e6)  # no residual is as large: each run counts in full
    return _derivatives(theta[None], parabola, None)[2][0]


def minimise(
    starts: np.ndarray,
    runs: LogRuns,
    weights: np.ndarray | None = None,
    steps: int = 300,
    derivatives: Derivatives | None = None,
) -> Minima:
    """Descend from each start [s, k] to a local minimum, by at most `steps` damped Newton steps.

    `derivatives` belong to the law, by default the additive one of five unknowns. With weights
    [s, n] each start has a resample of the runs of its own. A start that wanders off along a flat
    direction (E towards 0, say) ends where it is after the last step.
    """
    size = max(1, CHUNK // len(runs.losses))
    ends = [
        _descend(
            starts[i : i + size],
            runs,
            None if weights is None else weights[i : i + size],
            steps,
            derivatives or _derivatives,
        )
        for i in range(0, len(starts), size)
    ]
    return Minima(*(np.concatenate(parts) for parts in zip(*ends, strict=True)))


def huber(
    residual: np.ndarray, delta: float, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of residuals [s, n]: Huber loss, its first derivative, that over the residual, its second."""
    size = np.abs(residual)
    inside = size <= delta
    parts = (
        np.where(inside, 0.5 * size**2, delta * (size - 0.5 * delta)),
        np.clip(residual, -delta, delta),
        delta / np.maximum(size, delta),
        inside.astype(float),
    )
    return parts if weights is None else tuple(part * weights for part in parts)


def _descend(
    starts: np.ndarray,
    runs: LogRuns,
    weights: np.ndarray | None,
    steps: int,
    derivatives: Derivatives,
) -> tuple[np.ndarray, np.ndarray]:
    """Levenberg and Marquardt's scheme, damped by the matrix of reweighted least squares.

    Most residuals lie on the straight part of the Huber loss, where the Hessian says nothing of
    their size. Reweighted least squares bound the loss from above: their step is safe far from a
    minimum (much damping), and Newton's is fast near one (little damping).
    """
    theta, scale = starts.astype(float), np.full(len(starts), 1e-2)
    value, slope, bound, hessian = derivatives(theta, runs, weights)
    alive = np.arange(len(starts))
    final = theta.copy(), value.copy()
    for _ in range(steps):
        step = _newton_step(slope, bound, hessian, scale)
        trial = derivatives(theta + step, runs, weights)
        better = (trial[0] < value) & ((step * slope).sum(1) < 0)
        flat = better & (value - trial[0] <= DONE * value) & (scale <= 1)
        theta = np.where(better[:, None], theta + step, theta)
        value, slope, bound, hessian = (
            np.where(better.reshape(-1, *[1] * (old.ndim - 1)), new, old)
            for new, old in zip(trial, (value, slope, bound, hessian), strict=True)
        )
        scale = np.where(better, np.maximum(0.3 * scale, 1e-8), 3 * scale)
        final[0][alive], final[1][alive] = theta, value
        on = ~(flat | (scale > STUCK) | (value <= 1e-24 * len(runs.losses)))
        if not on.any():
            break
        theta, value, slope, bound, hessian = (
            part[on] for part in (theta, value, slope, bound, hessian)
        )
        scale, alive = scale[on], alive[on]
        weights = None if weights is None else weights[on]
    return final


def _newton_step(
    slope: np.ndarray, bound: np.ndarray, hessian: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    eye = np.eye(slope.shape[1])
    diagonal = np.einsum("skk->sk", bound)
    matrix = hessian + scale[:, None, None] * (bound + 0.1 * diagonal[:, :, None] * eye)
    # A start so far off that a term of the law vanishes leaves a row of zeros.
    floor = 1e-10 * np.abs(matrix).max(axis=(1, 2)) + 1e-300
    return -np.linalg.solve(matrix + floor[:, None, None] * eye, slope[:, :, None])[:, :, 0]


def _derivatives(
    theta: np.ndarray, runs: LogRuns, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Objective [s], gradient [s, 5], the bound's matrix and the Hessian [s, 5, 5].

    With p the softmax of (s, t, e), the first derivatives of LSE in theta are the rows of
    J = (p1, p2, p3, -p1 log N, -p2 log D), and the second are diag-like sums of p minus J J'.
    """
    a, b, e, alpha, beta = (column[:, None] for column in theta.T)
    x, y = runs.sizes, runs.tokens
    s, t = a - alpha * x, b - beta * y
    top = np.maximum(np.maximum(s, t), e)
    p, q, rest = (np.exp(np.maximum(part - top, -80)) for part in (s, t, e))
    total = p + q + rest
    residual = runs.losses - top - np.log(total)
    p, q = p / total, q / total
    jacobian = np.stack([p, q, 1 - p - q, -p * x, -q * y], axis=1)

    loss, pull, weight, inside = huber(residual, runs.delta, weights)
    curve = inside + pull

    slope = -(jacobian @ pull[:, :, None])[:, :, 0]
    across = jacobian.swapaxes(1, 2)
    bound = (jacobian * weight[:, None]) @ across
    hessian = (jacobian * curve[:, None]) @ across
    for k, log in ((0, x), (1, y)):
        hessian[:, k, k] += slope[:, k]
        hessian[:, k, k + 3] += slope[:, k + 3]
        hessian[:, k + 3, k] += slope[:, k + 3]
        hessian[:, k + 3, k + 3] += (jacobian[:, k + 3] * pull) @ log
    hessian[:, 2, 2] += slope[:, 2]
    return loss.sum(axis=1), slope, bound, hessian
