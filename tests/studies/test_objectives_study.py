"""Guards the comparison of notebook 04: equal prices, fair questions, a proofreader that is right.

pytest tests/studies/test_objectives_study.py
"""

import pytest
import torch
from datasets import Dataset

from course_lib.compute import recipe_flops
from course_lib.corpora import World, tokenizer_for
from course_lib.studies import objectives, translating
from course_lib.studies.objectives import (
    FLOPS,
    LABEL_TASKS,
    LENGTH,
    RECIPES,
    at_price,
    counted_flops,
    fitting,
    gap_scores,
    gaps,
    short_examples,
    supervision,
)
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


@pytest.mark.parametrize("name", RECIPES)
def test_pytorch_counts_what_we_count(name):
    recipe = RECIPES[name]
    assert counted_flops(recipe) == pytest.approx(
        recipe_flops(recipe) / recipe.optimization.steps, rel=0.05
    )


def test_half_the_price_is_half_the_steps():
    for recipe in RECIPES.values():
        assert at_price(recipe, FLOPS / 2)["steps"] == pytest.approx(
            recipe.optimization.steps / 2, abs=1
        )


def test_the_recipes_differ_in_nothing_that_is_not_the_objectives_own():
    for field in ("corpus", "documents", "width", "layers", "heads", "length", "batch", "dropout"):
        assert len({recipe[field] for recipe in RECIPES.values()}) == 1, field
    longest = max(
        recipe.optimization.steps * recipe.optimization.batch * LENGTH
        for recipe in RECIPES.values()
    )
    assert longest < 60 * RECIPES["masked"]["documents"], "a text would be read twice"


def test_supervision_is_counted_on_a_real_batch():
    counted = {name: supervision(recipe) for name, recipe in RECIPES.items()}
    assert {c.tokens for c in counted.values()} == {LENGTH * RECIPES["masked"]["batch"]}
    assert counted["causal"].targets == (LENGTH - 1) * RECIPES["causal"]["batch"]
    rate = RECIPES["masked"]["rate"]
    assert counted["masked"].targets == pytest.approx(rate * counted["masked"].tokens, rel=0.15)
    assert all(2.5 < c.bytes / c.tokens < 4 for c in counted.values())


# ---------------------------------------------------------------- labels and gaps


@pytest.mark.parametrize("name", LABEL_TASKS)
def test_examples_fit_in_a_row_of_each_model_and_repeat(name):
    task, rows = LABEL_TASKS[name][0], short_examples(name, 1000, seed=1000)
    assert len(rows) == 1000
    for recipe in RECIPES.values():
        tokenizer = tokenizer_for(recipe.model.family, recipe.data.corpus, recipe.data.vocab_size)
        encoded = task.encode(rows, tokenizer).encoded
        assert max(len(example["input_ids"]) for example in encoded) <= LENGTH
    short_examples.cache_clear()
    assert rows.to_list() == short_examples(name, 1000, seed=1000).to_list()


def test_a_text_fits_if_it_does_for_each_tokenizer():
    assert fitting(["The cat sat on the mat.", "The cat sat on the mat. " * 9]) == [True, False]


def test_words_are_tagged_where_a_left_to_right_model_has_read_them():
    assert LABEL_TASKS["entities"][0].piece == "last"


def test_gaps_have_their_answer_among_the_candidates_and_evidence_on_both_sides(world):
    asked = gaps(60)
    assert len(asked.texts) == len(asked.sides) == len(asked.answers) == 60
    assert set(asked.sides) == {"left", "right"}
    assert len(set(asked.candidates)) == len(asked.candidates)
    reader, filled = Proofreader(world), []
    for text, answer in zip(asked.texts, asked.answers.tolist(), strict=True):
        filled.append(text.replace("{}", asked.candidates[answer]))
    assert all(reader.well_formed(sentence) for sentence in filled)
    assert sum(all(reader.true([sentence])) for sentence in filled) > 50  # few need an opening


def test_gap_scores_are_right_for_a_model_that_knows_and_one_that_does_not(monkeypatch):
    asked = gaps(60)
    for nats, right in ((0.0, 1.0), (9.0, 0.0)):
        table = torch.full((60, len(asked.candidates)), -5.0)
        table[torch.arange(60), asked.answers] = -nats
        monkeypatch.setattr(objectives, "candidate_log_probs", lambda *_, table=table: table)
        scores = gap_scores(Run(None, None, RECIPES["masked"], []), asked)
        for side in ("left", "right"):
            assert (scores[f"filled_{side}"], scores[f"nats_{side}"]) == (right, nats)


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize("name", RECIPES)
def test_each_kind_writes_as_many_texts_as_asked_for_and_the_seed_decides(name):
    recipe = RECIPES[name].replace(width=16, heads=2, layers=1, length=12)
    tokenizer = objectives._tokenizers()[list(RECIPES).index(name)]
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
    tokenizers = objectives._tokenizers()[1:]
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
    train = translating.short_pairs(tokenizers[1:], 200, 1, LENGTH)
    decoder = translating.pair_price(RECIPES["causal"], tokenizers[1], train)
    both = translating.pair_price(RECIPES["span"], tokenizers[2], train)
    assert 0.7 < decoder / both < 1.5
