"""A recipe's name for an objective gives that objective, at its paper's rate or another.

Run with: python -m pytest tests/objectives/test_objective_names.py
"""

import math

import pytest
import torch
from tiny import FAMILY_OF, packed_rows, tiny_model, word_tokenizer

from course_lib.objectives import (
    OBJECTIVES,
    CausalLM,
    MaskedLM,
    count_targets,
    make_objective,
    summed_loss,
)
from course_lib.runtime import generator


def test_names_and_papers_rates():
    made = {name: make_objective(name, word_tokenizer(FAMILY_OF[name])) for name in OBJECTIVES}
    assert isinstance(made["masked"], MaskedLM)
    assert not made["masked"].static
    assert made["masked-static"].static
    assert isinstance(made["causal"], CausalLM)
    rates = {name: getattr(objective, "rate", None) for name, objective in made.items()}
    assert rates == {
        "masked": 0.15,
        "masked-static": 0.15,
        "causal": None,
        "span": 0.15,
        "infilling": 0.3,
    }


@pytest.mark.parametrize("name", OBJECTIVES)
def test_batches_are_what_the_family_takes_and_global_randomness_is_untouched(name):
    family = FAMILY_OF[name]
    rows = packed_rows(family, 4, 24, name)
    objective = make_objective(name, word_tokenizer(family))
    before = torch.get_rng_state()
    batch = objective(rows, generator(0))
    assert torch.equal(torch.get_rng_state(), before)
    model = tiny_model(family)
    per_target = float(summed_loss(model, batch).detach()) / count_targets(model, batch)
    vocabulary = len(word_tokenizer(family))
    assert per_target == pytest.approx(math.log(vocabulary), abs=1.0)  # new models guess


def test_a_rate_is_passed_on():
    assert make_objective("masked", word_tokenizer("bert"), rate=0.4).rate == 0.4
