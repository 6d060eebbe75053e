"""What fits and laws take: numbers, arrays of them and columns of runs, checked as they come in.

Types for `@checked`, beside those of `runtime/checks`. All let arrays of floats through.
"""

from numbers import Real
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import PlainValidator

from course_lib.runtime.checks import BadArgumentError


def require_runs(fewest: int, **columns: NDArray) -> None:
    """All columns have one length, of at least `fewest` runs.

    Raises:
        BadArgumentError: columns of different lengths, or too few runs.
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise BadArgumentError(f"{found}: give columns of one length, an entry a run.")
    if (runs := min(lengths.values())) < fewest:
        raise BadArgumentError(f"{runs} runs: give at least {fewest}.")


def _floats(value: ArrayLike) -> NDArray:
    """An array of floats. Text, None, true and false are no numbers, though NumPy reads some."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):  # ragged lists, tensors with a gradient
        raise ValueError("give an array of numbers") from None
    if array.dtype.kind not in "iuf":  # as objects come Python's large integers, which are fine
        for place, entry in enumerate(array.ravel().tolist()):
            if isinstance(entry, bool) or not isinstance(entry, Real):
                raise ValueError(f"entry {place} is {entry!r}: give numbers")
    return array.astype(float)


def _all(array: NDArray, good: NDArray, wanted: str) -> NDArray:
    if not good.all():
        place = int(np.flatnonzero(~good)[0])
        raise ValueError(f"entry {place} is {array.ravel()[place]}: {wanted}")
    return array


def _positive(value: ArrayLike) -> NDArray:
    array = _floats(value)
    return _all(array, np.isfinite(array) & (array > 0), "give finite numbers above 0")


def _amounts(value: ArrayLike) -> NDArray:
    array = _floats(value)
    return _all(array, array > 0, "give numbers above 0")


def as_column(value: ArrayLike) -> NDArray:
    """One flat column [n] of finite numbers above 0; a ValueError says what is wrong."""
    array = _floats(value)
    if array.ndim != 1:
        raise ValueError("give one flat column, an entry a run, such as table.params")
    good = np.isfinite(array) & (array > 0)
    return _all(array, good, "give finite numbers above 0, without failed runs")


def _rows(value: ArrayLike) -> NDArray:
    array = np.atleast_2d(_floats(value))
    if array.ndim != 2 or array.shape[1] != 5 or not len(array):
        raise ValueError(f"its shape is {array.shape}: give rows (a, b, e, alpha, beta)")
    logs = "give the logarithms a, b and e of A, B and E, and exponents, all between -300 and 300"
    return _all(array, np.abs(array) <= 300, logs)


def _law_number(value: ArrayLike) -> float | NDArray:
    array = _floats(value)
    if array.ndim:  # an entry a law, such as those of resamples, of which some lie far out
        return _all(array, ~np.isnan(array), "give numbers")
    return float(_all(array, np.isfinite(array) & (array > 0), "give a finite number above 0"))


def _law_floor(value: ArrayLike) -> float | NDArray:
    array = _floats(value)
    return 0.0 if array.ndim == 0 and array == 0 else _law_number(array)


Positives = Annotated[NDArray, PlainValidator(_positive)]  # of any shape
Amounts = Annotated[NDArray, PlainValidator(_amounts)]  # the same, or infinite: without a limit
Column = Annotated[NDArray, PlainValidator(as_column)]  # [n]
Rows = Annotated[NDArray, PlainValidator(_rows)]  # [s, 5]
LawNumber = Annotated[float | NDArray, PlainValidator(_law_number)]
LawFloor = Annotated[float | NDArray, PlainValidator(_law_floor)]  # may be 0
