"""Guards the checks of arguments: one line that names argument, value and remedy; nothing silent.

pytest tests/runtime/test_checks.py
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
import torch
from refusals import assert_refused

from course_lib.runtime.checks import Count, Positive, Share, SomeTexts, Text, checked


@checked
def sample(
    texts: SomeTexts,
    n: Count = 3,
    *,
    rate: Share | None = None,
    tensor: torch.Tensor | None = None,
    kind: Literal["a", "b"] = "a",
):
    if n == 99:
        raise ValueError("from inside")
    return texts, n, rate


@checked
@dataclass(frozen=True)
class Corruption:
    rate: Share = 0.15
    mean_span: Positive = 3.0
    name: Text = "x"


def test_what_fits_passes_and_numpy_becomes_python():
    texts, n, rate = sample(("a", "b"), np.int64(4), rate=np.float32(0.5))
    assert (texts, n, rate) == (["a", "b"], 4, 0.5)
    assert (type(n), type(rate)) == (int, float)


@pytest.mark.parametrize(
    ("arguments", "named", "words"),
    [
        (("one text",), {}, ("texts", "list of texts")),
        (([],), {}, ("texts", "at least one")),
        ((["a", None],), {}, ("entry 1", "None")),
        ((["a\ud800"],), {}, ("entry 0", "surrogate")),
        ((3,), {}, ("texts=3",)),
        ((["a"], 0), {}, ("n=0", "1")),
        ((["a"], True), {}, ("n=True", "a whole number")),
        ((["a"], "3"), {}, ("n='3'", "a whole number")),
        ((["a"], 2.5), {}, ("n=2.5", "a whole number")),
        ((["a"],), {"rate": float("nan")}, ("rate=nan",)),
        ((["a"],), {"rate": 1.0}, ("rate=1.0", "below 1")),
        ((["a"],), {"tensor": [1]}, ("tensor", "Tensor")),
        ((["a"],), {"kind": "c"}, ("kind='c'", "'a' or 'b'")),
    ],
)
def test_what_does_not_fit_is_one_line_that_says_so(arguments, named, words):
    assert_refused(lambda: sample(*arguments, **named), "sample", *words)


@pytest.mark.parametrize("fields", [{"rate": 2}, {"mean_span": "3"}, {"name": None}])
def test_the_fields_of_a_dataclass_are_checked(fields):
    assert_refused(lambda: Corruption(**fields), "Corruption", *fields)


def test_an_unknown_argument_stays_a_type_error_and_an_error_from_inside_what_it_is():
    with pytest.raises(TypeError, match="zz"):
        sample(["a"], zz=1)
    with pytest.raises(ValueError, match=r"^from inside$"):
        sample(["a"], 99)


def test_what_is_returned_may_be_of_a_type_that_only_type_checkers_import():
    @checked
    def rows(count: Count) -> "NotImportedHere":  # noqa: F821
        return count

    assert rows(3) == 3
    assert_refused(lambda: rows(0), "count=0")
