"""The one check that every fit begins with."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

NAMES = ("params", "tokens", "loss")


def checked_runs(
    params: ArrayLike, tokens: ArrayLike, loss: ArrayLike, fewest: int = 1
) -> tuple[NDArray, NDArray, NDArray]:
    """The three columns as arrays [n] of positive numbers, n at least `fewest`.

    Raises:
        ValueError: arrays of different lengths, too few runs, or a value that is not positive.
    """
    arrays = [np.asarray(values, float) for values in (params, tokens, loss)]
    if len({array.shape for array in arrays}) > 1 or arrays[0].ndim != 1:
        shapes = ", ".join(f"{n} {a.shape}" for n, a in zip(NAMES, arrays, strict=True))
        raise ValueError(f"{shapes}: give three flat arrays of one length, an entry a run.")
    if arrays[0].size < fewest:
        raise ValueError(f"{arrays[0].size} runs: give at least {fewest}.")
    for name, array in zip(NAMES, arrays, strict=True):
        bad = np.flatnonzero(~(np.isfinite(array) & (array > 0)))
        if bad.size:
            raise ValueError(
                f"{name}[{bad[0]}] is {array[bad[0]]}: give positive numbers, without failed runs."
            )
    return tuple(arrays)
