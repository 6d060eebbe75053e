"""Guards what notebook 04 compares two bodies by: equal prices, translation, a proofreader.

pytest tests/studies/test_objectives_study.py
"""

import pytest
import torch
from datasets import Dataset

from course_lib.compute import recipe_flops
from course_lib.corpora import World
from course_lib.studies import objectives, translating
from course_lib.studies.objectives import FLOPS, LENGTH, RECIPES
from course_lib.studies.writing import Proofreader, finished, judge, write
from course_lib.training import Optimization, Run, fresh_model


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def reader(world):
    return Proofreader(world)


# ---------------------------------------------------------------- the price


@pytest.mark.parametrize("name", RECIPES)
def test_every_run_costs_the_same(name):
    assert recipe_flops(RECIPES[name]) == pytest.approx(FLOPS, rel=1e-3)


def test_the_recipes_differ_in_nothing_that_is_not_the_objectives_own():
    for field in ("corpus", "documents", "width", "layers", "heads", "length", "batch", "dropout"):
        assert len({recipe[field] for recipe in RECIPES.values()}) == 1, field
    longest = max(
        recipe.optimization.steps * recipe.optimization.batch * LENGTH
        for recipe in RECIPES.values()
    )
    assert longest < 60 * RECIPES["span"]["documents"], "a text would be read twice"


# ---------------------------------------------------------------- writing


def test_as_many_texts_are_written_as_asked_for_and_the_seed_decides():
    recipe = RECIPES["causal"].replace(width=16, heads=2, layers=1, length=12)
    tokenizer = objectives._tokenizers()[list(RECIPES).index("causal")]
    run = Run(fresh_model(recipe, tokenizer), tokenizer, recipe, [])
    state = torch.random.get_rng_state()
    texts = [write(run, 5, seed) for seed in (0, 0, 1)]
    assert torch.equal(state, torch.random.get_rng_state())
    assert texts[0] == texts[1] != texts[2]
    assert [len(t) for t in texts] == [5] * 3
    longest = max(len(ids) for ids in tokenizer(texts[0], add_special_tokens=False)["input_ids"])
    assert longest <= 2 * recipe.data.length  # random tokens may be cut otherwise when read again


def test_what_the_world_writes_is_well_formed_and_true(world):
    assert judge(world.documents(200, seed=3)) == {
        "well_formed": 1.0,
        "true": 1.0,
        "distinct": pytest.approx(0.8, abs=0.15),
    }


@pytest.mark.parametrize("name", RECIPES)
def test_no_tokenizer_spoils_a_true_sentence(world, name):
    """Each document cut at the end of a row and decoded, as if the model had written it."""
    tokenizer = objectives._tokenizers()[list(RECIPES).index(name)]
    ids = tokenizer(world.documents(300, seed=4))["input_ids"]
    texts = [finished(tokenizer.decode(i[:LENGTH], skip_special_tokens=True)) for i in ids]
    assert judge(texts)["true"] > 0.99


@pytest.mark.parametrize(
    ("text", "formed", "true"),
    [
        ("The cat sat on the mat.", True, True),
        ("The cat sat on the rug.", True, False),  # that is the dog's place
        ("The cat sat in the rug.", False, False),
        ("The cat sats on the mat.", False, False),
        ("The cat sat on the mat", False, False),
        ("The zebra sat on the mat.", False, False),
        ("", False, False),
    ],
)
def test_planted_faults_are_seen(reader, text, formed, true):
    assert reader.well_formed(text) == formed
    assert reader.true([text]) == [true]


def test_later_sentences_are_held_to_the_subject_of_the_first(reader):
    assert reader.true(["The cat sat on the mat.", "It eats fish."]) == [True, True]
    assert reader.true(["The cat sat on the mat.", "It eats bones."]) == [True, False]
    assert reader.true(["The dog sat on the rug.", "It eats bones."]) == [True, True]


def test_a_sentence_that_the_row_cuts_off_is_left_out():
    assert finished("The cat sat on the mat. It eats fi") == "The cat sat on the mat."
    assert (
        finished("Question: Where? Answer: There. Question: Who?")
        == "Question: Where? Answer: There."
    )
    assert finished("no end at all") == "no end at all"
    assert (
        finished("It has 2, 800 inhabitants.  Hee - haw!") == "It has 2,800 inhabitants. Hee-haw!"
    )


# ---------------------------------------------------------------- translation


def test_pairs_fit_and_no_test_sentence_was_trained_on():
    tokenizers = objectives._tokenizers()
    train = translating.short_pairs(tokenizers, 100, 1, LENGTH)
    test = translating.unseen(translating.short_pairs(tokenizers, 100, 2, LENGTH), train)
    assert len(train) == 100
    assert 0 < len(test) < 100
    assert not set(test["source"]) & set(train["source"])
    for tokenizer in tokenizers:
        for row in train:
            ids = [tokenizer(row[column])["input_ids"] for column in ("source", "target")]
            assert sum(map(len, ids)) < LENGTH


@pytest.mark.parametrize("name", ["causal", "span"])
def test_two_pairs_are_learned_by_heart(name):
    """A decoder's targets that are off by one, or a boundary forgotten, would show here."""
    recipe = RECIPES[name].replace(seed=1)
    tokenizer = objectives._tokenizers()[list(RECIPES).index(name)]
    run = Run(fresh_model(recipe, tokenizer), tokenizer, recipe, [])
    pairs = Dataset.from_dict(
        {
            "source": ["The cat sat on the mat.", "The dog sat on the rug."],
            "target": ["Cetum un metum set.", "Dugum un rogum set."],
        }
    )
    settings = Optimization(steps=80, batch=4, learning_rate=5e-3, warmup=5)
    before = {key: value.clone() for key, value in run.model.state_dict().items()}
    assert translating.translation_bleu(run, pairs, pairs, settings) == pytest.approx(100)
    assert all(torch.equal(before[key], value) for key, value in run.model.state_dict().items())


def test_a_pair_costs_a_decoder_and_an_encoder_decoder_about_the_same():
    tokenizers = objectives._tokenizers()
    train = translating.short_pairs(tokenizers, 200, 1, LENGTH)
    decoder = translating.pair_price(RECIPES["causal"], tokenizers[0], train)
    both = translating.pair_price(RECIPES["span"], tokenizers[1], train)
    assert 0.7 < decoder / both < 1.5
