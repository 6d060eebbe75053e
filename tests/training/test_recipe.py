"""A recipe refuses nonsense by name, survives TOML, and its digest names what it computes.

Run with: python -m pytest tests/training/test_recipe.py
"""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import assert_refused

from course_lib.models import FAMILIES
from course_lib.models.families import HEADS
from course_lib.objectives import OBJECTIVES, ON_EXAMPLES
from course_lib.runtime import CourseError
from course_lib.training import (
    Adapter,
    Data,
    Model,
    Objective,
    Optimization,
    Recipe,
    Source,
    tables,
)
from course_lib.training.recipe import TABLES
from course_lib.training.tables import LAYOUT

FIRST = Recipe(
    name="first",
    data=Data(corpus="factbook"),
    model=Model(family="bert"),
    optimization=Optimization(evaluate_every=20),
)
TUNED = Recipe(
    name="tuned",
    data=Data(corpus="world/reading"),
    start="base:gpt2-world",
    objective="supervised",
)

# For each field, a value other than its default, alone acceptable in FIRST (or in TUNED).
OTHER = {
    "data.corpus": "world",
    "data.mixture": [{"corpus": "world"}, {"corpus": "factbook", "weight": 3}],
    "data.documents": 12,
    "data.tokenizer": "world",
    "data.vocab_size": 300,
    "data.length": 48,
    "data.template": "alpaca",
    "model.family": "roberta",
    "model.published": "large",
    "model.width": 32,
    "model.layers": 3,
    "model.heads": 4,
    "model.positions": 96,
    "model.dropout": 0.1,
    "model.attention": "left",
    "objective.name": "masked-static",
    "objective.rate": 0.3,
    "optimization.steps": 501,
    "optimization.batch": 64,
    "optimization.micro_batches": 4,
    "optimization.optimizer": "muon",
    "optimization.learning_rate": 0.5,
    "optimization.schedule": "wsd",
    "optimization.warmup": 7,
    "optimization.weight_decay": 0.3,
    "optimization.clip": 0.5,
    "optimization.precision": "no",
    "optimization.compile": True,
    "optimization.seed": 9,
    "optimization.log_every": 3,
    "optimization.evaluate_every": 5,
    "optimization.checkpoint_every": 6,
    "optimization.sharded": True,
    "optimization.chunked_loss": True,
    "optimization.patience": 2,
    "optimization.keep": 5,
    "optimization.keep_best": True,
    "optimization.activation_checkpointing": True,
    "name": "second",
}
OF_TUNED = {
    "start": "base:bert-world",
    "data.packed": True,
    "objective.mean_over": "examples",
    "adapter.kind": None,  # there is but one
    "adapter.rank": 4,
    "adapter.alpha": 3.0,
    "adapter.dropout": 0.1,
    "adapter.targets": ["q_proj"],
}


def test_the_tables_above_cover_every_field():
    fields = {f"{name}.{field}" for name, table in TABLES.items() for field in table.model_fields}
    own = set(Recipe.model_fields) - set(TABLES)
    assert OTHER.keys() | OF_TUNED.keys() == fields | own


@pytest.mark.parametrize(
    ("field", "value", "right"),
    [
        ("steps", 0, "at least 1"),
        ("batch", -1, "at least 1"),
        ("micro_batches", 5, "a divisor of batch, 32"),
        ("optimizer", "sgd", "'adamw' or 'muon'"),
        ("learning_rate", 0, "above 0"),
        ("learning_rate", float("nan"), "above 0"),
        ("learning_rate", float("inf"), "a finite number"),
        ("schedule", "linear", "'cosine', 'wsd' or 'constant'"),
        ("warmup", -1, "at least 0"),
        ("warmup", 501, "at most steps, 500"),
        ("weight_decay", -0.1, "at least 0"),
        ("positions", 63, "at least data.length, 64"),
        ("clip", 0, "above 0"),
        ("precision", "fp8", "'auto', 'no', 'tf32', 'fp16' or 'bf16'"),
        ("log_every", 0, "at least 1"),
        ("evaluate_every", -1, "at least 0"),
        ("checkpoint_every", 0, "at least 1"),
        ("family", "elmo", "'bert', 'roberta', 'gpt2', 'gpt3', 'bloom', 't5' or 'bart'"),
        ("documents", 0, "at least 1"),
        ("width", 0, "at least 1"),
        ("heads", 5, "a divisor of width, 64"),
        ("dropout", 1.0, "below 1"),
        ("attention", "right", "'both' or 'left'"),
        ("objective", "mlm", "one of 'auto', 'masked'"),
        ("rate", 1.5, "below 1"),
        ("template", "llama", "'plain', 'alpaca' or 'chat'"),
        ("steps", "500", "a whole number"),
        ("steps", 500.5, "a whole number"),
        ("seed", True, "a whole number"),
        ("learning_rate", "3e-3", "a number"),
        ("compile", 1, "true or false"),
        ("compile", "yes", "true or false"),
        ("documents", "all", "a whole number"),
        ("corpus", 3, "give a text"),
        ("corpus", "wikipedia", "world-finance"),
        ("corpus", "world/reading", "supervised"),
        ("tokenizer", "wikipedia", "world-finance"),
        ("start", "gpt2", "one of fresh, base:NAME, run:FOLDER"),
        ("start", "base:", "one of fresh, base:NAME, run:FOLDER"),
        ("start", "base:gpt2-world", "leave [model] out"),
        ("tokenizer", "start", "set start"),
        ("adapter", {"rank": 4}, "set start"),
        ("mixture", [{"corpus": "world", "weight": 0}], "above 0"),
        ("mixture", [{"weight": 1}], "data.mixture.0.corpus is missing"),
        ("mixture", [{"corpus": "world", "share": 1}], "Unknown field"),
    ],
)
def test_a_wrong_value_is_refused_with_field_value_and_what_is_right(field, value, right):
    assert_refused(lambda: FIRST.replace(**{field: value}), field.split("_")[0], right)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Data(), ("corpus", "[[data.mixture]]")),
        (lambda: Data(corpus="a", mixture=[{"corpus": "b"}]), ("not both",)),
        (lambda: Data(mixture=[{"corpus": "b"}], documents=3), ("documents = 3", "its own")),
        (lambda: Recipe(name="x", data=Data(corpus="world")), ("[model]", "family")),
        (lambda: Recipe(data=Data(corpus="world")), ("name is missing",)),
        (lambda: FIRST.replace(stepz=3), ("stepz", "did you mean optimization.steps?")),
        (lambda: FIRST.replace(**{"model.steps": 3}), ("optimization.steps",)),
        (lambda: FIRST.replace(xyzzy=3), ("xyzzy", "the fields are")),
        (lambda: FIRST.replace(published="BERT-huge"), ("BERT-huge", "one of")),
        (lambda: Optimization(batch=8, micro_batches=3), ("micro_batches = 3", "a divisor")),
        (lambda: Objective(name="causal", rate=0.3), ("rate = 0.3", "corrupts nothing")),
        (lambda: Adapter(rank=0), ("rank = 0", "at least 1")),
        (lambda: Source(corpus="a", weight=float("nan")), ("weight = nan",)),
        (lambda: TUNED.replace(family="bert"), ("[model]",)),
        (lambda: FIRST.replace(packed=True), ("data.packed = True", "masked has full rows")),
    ],
)
def test_wrong_combinations_are_one_line(make, words):
    assert_refused(make, *words)


NAMES = [*OBJECTIVES, *ON_EXAMPLES]
OWN = {"masked": "masked", "causal": "causal", "seq2seq": None}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("objective", NAMES)
def test_a_family_takes_the_objectives_that_teach_it_something(family, objective):
    corpus = "world/sentiment" if objective in ON_EXAMPLES else "world"
    change = {"family": family, "objective": objective, "corpus": corpus}
    if objective in FAMILIES[family].objectives:
        assert FIRST.replace(**change).objective_name == objective
    else:
        assert_refused(lambda: FIRST.replace(**change), objective, family, "choose one of")


def test_attention_decides_too():
    assert_refused(lambda: FIRST.replace(objective="causal"), "copy", 'attention = "left"')
    FIRST.replace(objective="causal", attention="left")  # an encoder's body, held to one side
    assert_refused(lambda: FIRST.replace(family="t5", attention="left"), "t5", "only bert")


def test_names_are_those_of_the_rooms_that_offer_them():
    assert set(tables.Families.__args__) == set(FAMILIES)
    assert set(tables.Objectives.__args__) == {"auto", *OBJECTIVES, *ON_EXAMPLES}
    assert tables.HEADED == HEADS


def as_toml(fields, table=""):
    """JSON's spelling of text, numbers, truth values and lists is also TOML's."""
    plain = {k: v for k, v in fields.items() if not isinstance(v, dict) and k != "mixture"}
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in plain.items())
    text += "".join(
        f"[[data.mixture]]\n{as_toml(source)}" for source in fields.get("mixture") or ()
    )
    for name, inner in fields.items():
        if isinstance(inner, dict):
            text += f"[{name}]\n{as_toml(inner, name)}"
    return text


ALONE = {"data.corpus", "data.mixture", "data.documents", "model.published", "model.family"}


@given(kept=st.sets(st.sampled_from(sorted(OTHER.keys() - ALONE))))
def test_a_recipe_survives_toml_and_json(kept, tmp_path_factory):
    recipe = FIRST.replace(**{key: OTHER[key] for key in kept})
    file = tmp_path_factory.getbasetemp() / "recipe.toml"
    file.write_text(as_toml(recipe.to_dict()), encoding="utf-8")
    assert Recipe.load(file) == recipe
    again = Recipe.from_dict(json.loads(json.dumps(recipe.to_dict())))
    assert again == recipe
    assert hash(again) == hash(recipe)
    assert again.digest() == recipe.digest()


def test_a_mixture_and_an_adapter_survive_toml(tmp_path):
    file = tmp_path / "recipe.toml"
    for recipe in (
        FIRST.replace(**{"data.mixture": OTHER["data.mixture"]}),
        TUNED.replace(adapter={"rank": 4, "targets": ["q_proj"]}),
    ):
        file.write_text(as_toml(recipe.to_dict()), encoding="utf-8")
        assert Recipe.load(file) == recipe


def test_files_that_are_no_recipe_say_what_is_wrong(tmp_path):
    file = tmp_path / "recipe.toml"
    assert_refused(lambda: Recipe.load(file), "see data/recipes/ for examples")
    assert_refused(lambda: Recipe.load(tmp_path), "see data/recipes/ for examples")
    for text, said in [
        ("name = first\n", "not valid TOML"),
        ('name = "first"\nbatchsize = 3\n[data]\ncorpus = "world"\n', "Unknown field batchsize"),
        ('name = "first"\n[data]\ncorpus = "world"\nsteps = 3\n', "Unknown field data.steps"),
        ('name = "first"\nfamily = "bert"\n', "'first'"),
    ]:
        file.write_text(text, encoding="utf-8")
        assert_refused(lambda: Recipe.load(file), said)
    file.write_bytes('name = "Bär"\n'.encode("latin-1"))
    assert_refused(lambda: Recipe.load(file), "not in UTF-8")


def test_a_byte_order_mark_is_no_part_of_a_recipe(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text(as_toml(FIRST.to_dict()), encoding="utf-8-sig")
    assert Recipe.load(file) == FIRST


@pytest.mark.parametrize("field", sorted(OTHER))
def test_the_digest_changes_with_all_but_the_name_and_the_layout(field):
    changed = FIRST.replace(**{field: OTHER[field]})
    same = field == "name" or field.removeprefix("optimization.") in LAYOUT
    assert (changed.digest() == FIRST.digest()) == same


@pytest.mark.parametrize("field", [field for field, value in OF_TUNED.items() if value])
def test_the_digest_changes_with_what_only_tuning_has(field):
    start = TUNED.replace(adapter=Adapter()) if field.startswith("adapter") else TUNED
    assert start.replace(**{field: OF_TUNED[field]}).digest() != start.digest()


def test_numbers_that_are_equal_make_equal_recipes():
    plain = FIRST.replace(learning_rate=1.0, steps=100, clip=2.0)
    numpy = FIRST.replace(learning_rate=np.float64(1), steps=np.int64(100), clip=2)
    assert numpy == plain
    assert numpy.digest() == plain.digest()
    assert type(numpy.optimization.steps) is int


def test_a_field_is_read_by_its_name_alone():
    assert FIRST["width"] == 64
    assert FIRST["objective"] == "auto"
    assert FIRST["name"] == "first"
    with pytest.raises(CourseError, match="Unknown recipe field stepz"):
        FIRST["stepz"]
