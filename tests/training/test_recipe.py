"""A recipe refuses nonsense by name, survives TOML, and its digest names what it computes.

Run with: python -m pytest tests/training/test_recipe.py
"""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.models import FAMILIES
from course_lib.objectives import OBJECTIVES
from course_lib.runtime import CourseError
from course_lib.training import Optimization, Recipe
from course_lib.training import recipe as module

FIRST = Recipe(name="first", family="bert")

# For each field, a value other than its default.
OTHER = {
    "steps": 501,
    "batch": 64,
    "micro_batches": 4,
    "optimizer": "muon",
    "learning_rate": 0.5,
    "schedule": "wsd",
    "warmup": 7,
    "weight_decay": 0.3,
    "clip": 0.5,
    "precision": "no",
    "compile": True,
    "seed": 9,
    "log_every": 3,
    "evaluate_every": 5,
    "checkpoint_every": 6,
    "name": "second",
    "family": "gpt2",
    "corpus": "world",
    "documents": 12,
    "vocab_size": 300,
    "width": 32,
    "layers": 3,
    "heads": 4,
    "length": 48,
    "positions": 96,
    "dropout": 0.1,
    "attention": "left",
    "objective": "masked-static",
    "rate": 0.3,
}


def test_the_table_above_covers_every_field():
    assert set(OTHER) == {field.name for field in dataclasses.fields(Recipe)}


@pytest.mark.parametrize(
    ("field", "value", "right"),
    [
        ("steps", 0, "at least 1"),
        ("batch", -1, "at least 1"),
        ("micro_batches", 5, "a divisor of batch"),
        ("optimizer", "sgd", "one of adamw, muon"),
        ("learning_rate", 0, "above 0"),
        ("learning_rate", float("nan"), "above 0"),
        ("schedule", "linear", "one of cosine, wsd, constant"),
        ("warmup", -1, "0 or more"),
        ("warmup", 501, "at most steps"),
        ("weight_decay", -0.1, "0 or more"),
        ("positions", 63, "at least length"),
        ("clip", 0, "above 0"),
        ("precision", "fp8", "one of auto, no, fp16, bf16"),
        ("log_every", 0, "at least 1"),
        ("evaluate_every", -1, "0 or more"),
        ("family", "elmo", "one of bert, roberta, gpt2, gpt3, bloom, t5, bart"),
        ("documents", 0, "at least 1, or None for all"),
        ("width", 0, "at least 1"),
        ("heads", 5, "a divisor of width"),
        ("dropout", 1.0, r"in \[0, 1\)"),
        ("attention", "right", "one of both, left"),
        ("objective", "mlm", "one of auto, masked"),
        ("rate", 1.5, r"in \(0, 1\)"),
        ("steps", "500", "a whole number"),
        ("steps", 500.0, "a whole number"),
        ("seed", True, "a whole number"),
        ("learning_rate", "3e-3", "a number"),
        ("compile", 1, "true or false"),
        ("compile", "yes", "true or false"),
        ("documents", "all", "a whole number or left out"),
        ("corpus", 3, "text in quotes"),
    ],
)
def test_a_wrong_value_is_refused_with_field_value_and_what_is_right(field, value, right):
    with pytest.raises(ValueError, match=f"^{field} = .*: it must be {right}"):
        FIRST.replace(**{field: value})
    with pytest.raises(CourseError, match=f"^Recipe 'first': {field} = .*: it must be {right}"):
        Recipe.from_dict(FIRST.to_dict() | {field: value})


def test_choices_are_those_of_the_rooms_that_offer_them():
    assert module._CHOICES["family"] == tuple(FAMILIES)
    assert module._CHOICES["objective"] == ("auto", *OBJECTIVES)


def test_a_bare_optimization_is_checked_too():
    with pytest.raises(ValueError, match="micro_batches = 3: it must be a divisor of batch"):
        Optimization(batch=8, micro_batches=3)


def as_toml(fields):
    """JSON's spelling of text, numbers and truth values is also TOML's."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())


@given(kept=st.sets(st.sampled_from(sorted(OTHER))))
def test_a_recipe_survives_toml_and_json(kept, tmp_path_factory):
    recipe = FIRST.replace(attention="both").replace(
        **{key: OTHER[key] for key in kept - {"micro_batches"}}
    )
    file = tmp_path_factory.getbasetemp() / "recipe.toml"
    file.write_text(as_toml(recipe.to_dict()))
    assert Recipe.load(file) == recipe
    again = Recipe.from_dict(json.loads(json.dumps(recipe.to_dict())))
    assert again == recipe
    assert again.digest() == recipe.digest()


def test_files_that_are_no_recipe_say_what_is_wrong(tmp_path):
    file = tmp_path / "recipe.toml"
    with pytest.raises(CourseError, match="see data/recipes/ for examples"):
        Recipe.load(file)
    file.write_text("name = first\n")
    with pytest.raises(CourseError, match="not valid TOML"):
        Recipe.load(file)
    file.write_text('name = "first"\nfamily = "bert"\nbatchsize = 3\n')
    with pytest.raises(CourseError, match="Unknown recipe field batchsize: the fields are attent"):
        Recipe.load(file)
    file.write_text('name = "first"\n')
    with pytest.raises(CourseError, match=r"'first'.*'family'"):
        Recipe.load(file)


@pytest.mark.parametrize("field", sorted(OTHER))
def test_the_digest_changes_with_all_but_the_name_and_how_often_to_save(field):
    changed = FIRST.replace(**{field: OTHER[field]})
    assert (changed.digest() == FIRST.digest()) == (field in ("name", "checkpoint_every"))


def test_numbers_that_are_equal_make_equal_recipes():
    plain = FIRST.replace(learning_rate=1.0, steps=100, clip=2.0)
    numpy = FIRST.replace(learning_rate=np.float64(1), steps=np.int64(100), clip=2)
    assert numpy == plain
    assert numpy.digest() == plain.digest()
    assert type(numpy.steps) is int
