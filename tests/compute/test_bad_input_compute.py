"""Guards what comes into `compute`: every argument of every public function, wrong in each way.

pytest tests/compute/test_bad_input_compute.py
"""

import inspect
import math
from dataclasses import replace
from typing import get_args

import pytest
from refusals import assert_refused

import course_lib.compute
from course_lib.compute import (
    Accelerator,
    Range,
    Row,
    Shape,
    accelerators,
    affordable_flops,
    forward_flops,
    forward_parts,
    from_petaflops_days,
    generation_flops,
    row_of,
    six_nd,
    step_flops,
    to_petaflops_days,
    training_bill,
    training_flops,
    training_memory,
    utilisation,
)
from course_lib.compute.literature import Stated

GPT = Shape(family="gpt2", width=16, layers=2, heads=2, vocab_size=100)
BERT, T5 = replace(GPT, family="bert"), replace(GPT, family="t5")
A100, V100 = accelerators()["A100 80GB SXM"], accelerators()["V100 SXM2"]
ROW = Row(8, scored=8)
# A call that is right, for each public function.
RIGHT = {
    Accelerator: vars(A100),
    Range: {"low": 1, "high": 2},
    Row: {"inputs": 8, "outputs": 4, "scored": 4},
    Shape: {
        **vars(GPT), "positions": 8, "feed_forward": 64, "head_width": 8, "tied": True,
    },
    affordable_flops: {
        "accelerator": A100, "device_hours": 1, "utilisation": (0.2, 0.4), "precision": "half",
    },
    forward_flops: {"shape": GPT, "row": ROW},
    forward_parts: {"shape": GPT, "row": ROW},
    from_petaflops_days: {"days": 1},
    generation_flops: {"shape": GPT, "prompt": 4, "new": 4},
    row_of: {"objective": "span", "length": 64, "rate": 0.15, "batch": 8},
    six_nd: {"parameters": 1e9, "tokens": 2e10},
    step_flops: {"shape": BERT, "length": 64, "batch": 8, "objective": "masked", "rate": 0.2},
    to_petaflops_days: {"flops": 1e20},
    training_bill: {
        "flops": 1e20, "accelerator": A100, "devices": 8, "utilisation": (0.2, 0.4),
        "precision": "half", "hour_price": 2, "overhead": 1.1,
    },
    training_flops: {"shape": GPT, "row": ROW},
    training_memory: {
        "shape": GPT, "row": ROW, "batch": 8, "precision": "mixed", "fused_attention": True,
        "recomputed": False, "scored_at_once": 4, "shards": 2,
    },
    utilisation: {"flops": 1e20, "seconds": 3600, "peak": 1e14, "devices": 8},
}  # fmt: skip
# What the library hands out, and what takes a recipe, which is checked when it is made.
NOT_CALLED = {"Bill", "Memory", "PublishedModel", "recipe_flops", "recipe_shape"}
WRONG = (math.nan, math.inf, -1, "3", [1], {})


def takes_none(function, name: str) -> bool:
    return type(None) in get_args(inspect.signature(function).parameters[name].annotation)


def rows() -> list:
    """(function, argument, value): each argument wrong in each way."""
    return [
        pytest.param(function, name, value, id=f"{function.__name__}-{name}-{value}")
        for function, right in RIGHT.items()
        for name in right
        for value in (*WRONG, *(() if takes_none(function, name) else (None,)))
        if (name, value) not in [("note", "3"), ("source", "3"), ("name", "3"), ("maker", "3")]
        if (name, value) != ("year", -1)
    ]


def test_every_public_function_is_in_the_table():
    public = {
        name
        for name in course_lib.compute.__all__
        if callable(item := getattr(course_lib.compute, name))
        and inspect.signature(item).parameters
    }
    assert public - NOT_CALLED == {function.__name__ for function in RIGHT}
    for function, right in RIGHT.items():
        assert set(right) == set(inspect.signature(function).parameters)
        function(**right)


@pytest.mark.parametrize(("function", "name", "value"), rows())
def test_no_argument_may_be_nonsense(function, name, value):
    assert_refused(lambda: function(**RIGHT[function] | {name: value}), function.__name__, name)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        # Sizes of a model.
        (lambda: replace(GPT, family="llama"), ("family='llama'", "'bert'", "'bart'")),
        (lambda: replace(GPT, family="GPT2"), ("family='GPT2'", "'gpt2'")),
        (lambda: replace(GPT, width=0), ("width=0", "1")),
        (lambda: replace(GPT, width=16.0), ("width=16.0", "whole")),
        (lambda: replace(GPT, width=15), ("width=15", "heads=2", "multiple")),
        (lambda: replace(GPT, layers=True), ("layers=True", "whole")),
        (lambda: replace(GPT, vocab_size=0), ("vocab_size=0", "1")),
        (lambda: replace(GPT, feed_forward=0), ("feed_forward=0", "1")),
        (lambda: replace(GPT, tied="no"), ("tied='no'", "true or false")),
        # Rows.
        (lambda: Row(0), ("inputs=0", "1")),
        (lambda: Row(4, scored=-1), ("scored=-1", "0")),
        (lambda: row_of("denoise", 64), ("objective='denoise'", "'span'", "'infilling'")),
        (lambda: row_of("auto", 64), ("objective='auto'", "'causal'")),
        (lambda: row_of("causal", 64, 0.15), ("rate=0.15", "causal")),
        (lambda: row_of("span", 64, 15), ("rate=15", "1")),
        (lambda: row_of("span", 64, 0.0), ("rate=0.0", "0")),
        (lambda: row_of("span", 64, 1.0), ("rate=1.0", "1")),
        (lambda: row_of("span", 1), ("length=1", "2")),
        (lambda: row_of("masked", 0), ("length=0", "1")),
        (lambda: row_of("masked", 64, batch=0), ("batch=0", "1")),
        (lambda: row_of("masked", 64.5), ("length=64.5", "whole")),
        # A row and a model that do not go together.
        (lambda: forward_flops(GPT, Row(4, 4, 4)), ("outputs=4", "gpt2", "no decoder")),
        (lambda: forward_flops(T5, Row(4, scored=4)), ("outputs=0", "t5", "some decoder")),
        (lambda: training_memory(GPT, Row(4, 4, 4), 1), ("outputs=4", "gpt2", "no decoder")),
        (lambda: training_memory(T5, Row(4), 1), ("outputs=0", "t5", "some decoder")),
        (lambda: step_flops(T5, 64, 8, "causal"), ("outputs=0", "t5")),
        (lambda: forward_flops("gpt2", ROW), ("shape='gpt2'", "Shape")),
        (lambda: forward_flops(GPT, 64), ("row=64", "Row")),
        (lambda: forward_flops(ROW, GPT), ("shape=Row", "Shape")),
        (lambda: generation_flops(BERT, 3, 3), ("bert", "encoder")),
        (lambda: generation_flops(GPT, 0, 3), ("prompt=0", "1")),
        (lambda: generation_flops(GPT, 3, 0), ("new=0", "1")),
        (lambda: step_flops(GPT, 64, -8), ("batch=-8", "1")),
        (lambda: training_memory(GPT, ROW, 0), ("batch=0", "1")),
        (lambda: training_memory(GPT, ROW, 1, precision="int8"), ("'int8'", "'mixed'", "'fp32'")),
        # Hardware and what it costs.
        (lambda: A100.peak("int3"), ("precision='int3'", "'half'", "'fp8'")),
        (lambda: A100.peak(16), ("precision=16", "'fp16'")),
        (lambda: V100.peak("bf16"), ("V100 SXM2", "no bf16 peak", "fp32, fp16")),
        (lambda: training_bill(1e20, V100, 1, precision="fp8"), ("no fp8 peak",)),
        (lambda: replace(A100, peaks={"half": 1e14}), ("peaks='half'", "'fp16'")),
        (lambda: replace(A100, peaks={"fp16": -1e14}), ("peaks=-1", "0")),
        (lambda: utilisation(1e20, 0, 1e14), ("seconds=0", "0")),
        (lambda: utilisation(1e20, 1, 0), ("peak=0", "0")),
        (lambda: utilisation(1e20, 1, 1e14, 0), ("devices=0", "1")),
        (lambda: utilisation(1e20, 1, A100), ("peak=Accelerator", "number")),
        (lambda: training_bill(1e20, "A100 80GB SXM", 8), ("accelerator='A100", "Accelerator")),
        (lambda: training_bill(1e20, A100, 0.5), ("devices=0.5", "whole")),
        (lambda: training_bill(1e20, A100, 1, overhead=0.9), ("overhead=0.9", "1")),
        (lambda: training_bill(1e20, A100, 1, utilisation=0.4), ("utilisation=0.4", "tuple")),
        (lambda: training_bill(1e20, A100, 1, utilisation=(0.4,)), ("utilisation",)),
        (lambda: training_bill(1e20, A100, 1, utilisation=(0, 0.2)), ("utilisation=0", "0")),
        (lambda: training_bill(1e20, A100, 1, utilisation=(0.2, 45)), ("utilisation=45", "1")),
        (lambda: training_bill(1e20, A100, 1, utilisation=(0.4, 0.2)), ("(0.4, 0.2)", "lower")),
        (
            lambda: affordable_flops(A100, device_hours=1, utilisation=(0.4, 0.2)),
            ("(0.4, 0.2)", "lower"),
        ),
        (lambda: Range(2, 1), ("low=2", "high=1")),
        (lambda: Range(1, 2) * -1, ("factor=-1", "0")),
        (lambda: Range(1, 2) * math.nan, ("factor=nan",)),
        # Numbers as their sources state them.
        (lambda: Stated.parse("much"), ("text='much'", "1.75e11")),
        (lambda: Stated.parse("nan"), ("text='nan'", "1.75e11")),
        (lambda: Stated.parse("-3e9"), ("text='-3e9'", "1.75e11")),
        (lambda: Stated.parse(3e9), ("text=3000000000.0", "text")),
        (lambda: Stated.parse(None), ("text=None", "text")),
    ],
)  # fmt: skip
def test_what_people_get_wrong_is_one_line_that_says_what_is_right(call, words):
    assert_refused(call, *words)
