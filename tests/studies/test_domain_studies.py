"""Guards the studies of domains: arms differ in what they say, cost the same, count what they say.

pytest tests/studies/test_domain_studies.py
"""

import math
from types import SimpleNamespace

import pytest
import torch
from tiny import tiny_model, word_tokenizer
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from course_lib.studies import docstrings, domains
from course_lib.studies.design import LIVE_SEED
from course_lib.training.optimizer import learning_rate_at

START = "base:gpt2-general"


def tokens(recipe):
    return recipe.optimization.steps * recipe.optimization.batch * recipe.data.length


def arms():
    return [
        domains.continued(START, 3, replay, rate)
        for replay in domains.REPLAYS
        for rate in domains.RATES
    ]


def test_all_models_read_equally_many_tokens():
    fresh = {tokens(domains.from_scratch(name, 0)) for name in domains.SCRATCH}
    further = {tokens(domains.GENERAL) + tokens(arm) for arm in arms()}
    assert len(fresh) == 1
    assert fresh == further


def test_no_text_is_read_twice():
    for name in domains.SCRATCH:
        recipe = domains.from_scratch(name, 0)
        general = 50 * domains.GENERAL.data.documents  # tokens of a document, at the least
        assert tokens(recipe) <= 1.3 * general


def test_models_from_scratch_share_the_tokenizer_and_the_shape():
    for name, weights in domains.SCRATCH.items():
        recipe = domains.from_scratch(name, 2)
        assert recipe.data.tokenizer == domains.REGISTERS["general"]
        assert recipe.model == domains.GENERAL.model
        assert [source.weight for source in recipe.data.sources] == [w for w in weights if w]


def test_replay_is_the_share_of_general_rows():
    for arm in arms():
        weights = {source.corpus: source.weight for source in arm.data.sources}
        replay = float(arm.name.split("-")[1])
        assert weights.get("world", 0) == replay
        assert sum(weights.values()) == pytest.approx(1)


def test_a_rate_is_kept_where_pre_training_ended_or_rises_to_its_peak():
    settings = domains.GENERAL.optimization
    ended = learning_rate_at(settings.steps, settings)
    for arm in arms():
        rates = [learning_rate_at(step, arm.optimization) for step in range(domains.FURTHER)]
        if "kept" in arm.name:
            assert rates == pytest.approx([ended] * len(rates))
        else:
            assert max(rates) == pytest.approx(settings.learning_rate)
            assert rates[0] < rates[30] > rates[-1]


def test_the_readers_base_is_none_of_the_recorded_ones():
    recorded = {recipe.seed for study in domains.STUDIES for recipe in study.recipes}
    assert domains.BASE.seed == LIVE_SEED
    assert LIVE_SEED not in recorded


def test_labels_are_drawn_anew_for_each_seed_and_small_sets_are_in_large_ones():
    first, other = (
        domains.load_pairs(domains.TASK, documents=30, seed=seed)["prompt"] for seed in (0, 1)
    )
    assert set(first) != set(other)
    more = domains.load_pairs(domains.TASK, documents=100, seed=0)["prompt"]
    assert list(more)[:30] == list(first)


def test_macro_f1_of_the_right_labels_and_of_one_word():
    right = list(domains.load_pairs(domains.TASK, "test", documents=50)["completion"])
    assert domains.macro_f1(right) == 1
    assert domains.macro_f1(["positive"] * 50) < 0.5


def test_tuning_leaves_the_base_as_it_was():
    model, tokenizer = tiny_model("gpt2", length=200), word_tokenizer("gpt2")
    before = [weight.clone() for weight in model.parameters()]
    settings = domains.TUNING.replace(steps=1, warmup=0, batch=2)
    tuned = domains.tune(model, tokenizer, 2, 0, settings)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    pairs = zip(before, tuned.parameters(), strict=True)
    assert not all(torch.equal(a, b) for a, b in pairs)


def test_words_of_the_domain_have_losses_of_their_own(monkeypatch):
    monkeypatch.setattr(docstrings, "domain_words", lambda: frozenset({"cat"}))
    model, tokenizer = tiny_model("gpt2"), word_tokenizer("gpt2")
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    found = docstrings.losses_by_word(model, tokenizer, ["the cat sat on the mat"])
    uniform = math.log(len(tokenizer))
    assert found == {"api": pytest.approx(uniform), "other": pytest.approx(uniform)}


def letters():
    """A tokenizer with a token a letter, so that a word has several."""
    vocabulary = {letter: number for number, letter in enumerate("_ abcdehmorsty.")}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="_"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="_")


class Foresees(torch.nn.Module):
    """Says what comes next, but for the positions that it is told to miss."""

    def __init__(self, missed=()):
        super().__init__()
        self.weight, self.missed = torch.nn.Parameter(torch.zeros(1)), list(missed)

    def forward(self, input_ids):
        said = torch.nn.functional.one_hot(input_ids.roll(-1, 1), 20).float()
        said[:, self.missed] *= -1
        return SimpleNamespace(logits=said)


@pytest.mark.parametrize(
    ("missed", "right"),
    [
        ([], {"api": 1.0, "other": 1.0}),
        ([6], {"api": 0.5, "other": 1.0}),  # the second r of `array`
        ([2], {"api": 1.0, "other": 0.5}),  # the o of `to`
        ([1], {"api": 1.0, "other": 0.5}),  # and its t
        ([3], {"api": 1.0, "other": 1.0}),  # the space behind it belongs to no word
    ],
)
def test_a_word_is_chosen_where_every_token_of_it_is(missed, right, monkeypatch):
    monkeypatch.setattr(docstrings, "domain_words", lambda: frozenset({"array", "dtype"}))
    text = "a to array me dtype."
    found = docstrings.words_chosen(Foresees(missed), letters(), [text])
    assert found == right


def test_the_lazy_opponents_guess_the_last_and_the_commonest_word(monkeypatch):
    monkeypatch.setattr(docstrings, "domain_words", lambda: frozenset({"array", "dtype"}))
    monkeypatch.setattr(docstrings, "load", lambda name: {"text": ["dtype or dtype", "array"]})
    texts = ["a array or array", "to dtype, array, array"]
    found = docstrings.lazy_choices(letters(), [f"{text}." for text in texts])
    assert found == {"last": 2 / 5, "commonest": 1 / 5, "words": 5}
