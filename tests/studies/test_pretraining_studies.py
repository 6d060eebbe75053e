"""Guards the probes of pre-training: each asks what it says, and guessing gets what it should.

pytest tests/studies/test_pretraining_studies.py
"""

from statistics import fmean

import pytest
import torch
from tiny import tiny_model, word_tokenizer

from course_lib.corpora import load
from course_lib.studies import pretraining, questions, reading


def test_both_optimizers_have_the_same_data_steps_and_seeds():
    adamw, muon = (pretraining.arm(name, 300) for name in ("adamw", "muon"))
    same = {"optimizer": "muon", "learning_rate": muon["learning_rate"], "name": muon.name}
    assert adamw.replace(**same) == muon


def test_minimal_pairs_differ_in_one_place_and_are_held_out():
    training = set(load("world", documents=1000)["text"])
    for right, wrong in pretraining.minimal_pairs(40):
        assert right != wrong
        assert right not in training
        assert abs(len(right) - len(wrong)) <= 2


def test_a_fact_has_four_different_answers_and_its_frequency():
    for often, asked in pretraining.facts().items():
        low, high = pretraining.OFTEN[often]
        assert asked
        for fact in asked:
            assert len(set(fact.choices)) == pretraining.CHOICES
            assert low <= fact.told <= high


def test_who_only_knows_which_answers_are_common_guesses():
    """The strategy that the choices are drawn against: always the commonest of the four."""
    towns = [person.facts["town"] for person in pretraining.subjects("person")]
    rows = [fact for part in pretraining.facts().values() for fact in part]
    rows = [fact for fact in rows if fact.prompt.endswith(" lives in")]
    right = [max(fact.choices, key=towns.count) == fact.choices[0] for fact in rows]
    assert fmean(right) == pytest.approx(0.25, abs=0.15)


def test_two_steps_are_told_in_parts_and_never_whole():
    parts = pretraining.two_steps()
    assert len(parts["whole"]) == len(parts["first"]) == len(parts["second"]) > 20
    texts = load("world", documents=pretraining.READER.data.documents)["text"]
    for fact in parts["whole"][:10]:
        name = fact.prompt.removesuffix(" lives in")
        assert not any(name in text and fact.choices[0] in text for text in texts)
    assert all(fact.told > 0 for part in ("first", "second") for fact in parts[part])


def test_comparisons_are_asked_both_ways_so_a_favourite_town_is_right_half_of_the_time():
    rows = pretraining.comparisons()
    for more, fewer in zip(rows[::2], rows[1::2], strict=True):
        assert more.choices == fewer.choices[::-1]


def test_a_model_prefers_the_text_it_finds_likelier():
    model, tokenizer = tiny_model("gpt2"), word_tokenizer("gpt2")
    one, other = "the cat sat", "mat the sat"
    [first] = pretraining.prefers_first(model, tokenizer, [(one, other)])
    [second] = pretraining.prefers_first(model, tokenizer, [(other, one)])
    assert first != second


def test_sizes_are_asked_in_both_orders_and_both_ways():
    rows = questions.size_questions()
    assert len(rows) % 4 == 0
    for place in range(0, len(rows), 4):
        four = rows[place : place + 4]
        assert len({prompt for prompt, _ in four}) == 4
        assert four[0][1] == four[1][1] == four[2][1][::-1] == four[3][1][::-1]


def test_two_steps_on_countries_do_not_name_the_country():
    rows = questions.country_prompts("two steps", 30)
    named = {question.country for question in questions.country_questions()}
    assert len(rows) == 30
    for prompt, choices in rows:
        assert not any(prompt.startswith(f"{country} ") for country in named)
        assert len(set(choices)) == len(choices) == 4


def test_grammar_pairs_differ():
    assert all(right != wrong for right, wrong in questions.grammar_pairs())


def test_samples_are_drawn_by_seed_and_stop_at_the_end():
    model, tokenizer = tiny_model("gpt2"), word_tokenizer("gpt2")
    length = reading.TOKENS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "TOKENS", min(length, 10))
        one = reading.samples(model, tokenizer, 3, seed=1)
        assert one == reading.samples(model, tokenizer, 3, seed=1)
        assert one != reading.samples(model, tokenizer, 3, seed=2)


def test_shuffled_texts_have_the_same_words():
    [text] = reading.shuffled(["one two three four five six"])
    assert sorted(text.split()) == sorted(["one", "two", "three", "four", "five", "six"])
    assert text != "one two three four five six"


def test_shares_of_runs_of_words(monkeypatch):
    monkeypatch.setattr(reading, "training_grams", lambda n: {("a", "b")})
    assert reading.copied(["a b c"], 2) == 0.5
    assert reading.different(["a b a b"], 2) == pytest.approx(2 / 3)
    assert reading.grams("a b", 3) == []


def test_what_is_on_record_is_english_to_a_reader_and_not_recited():
    """The three bars that were set before a sample was drawn."""
    kept = reading.judged()
    assert len(kept["samples"]["texts"]) == reading.COUNT
    middle = {
        kind: torch.tensor(kept[kind]["perplexity"]).median().item()
        for kind in ("samples", "held out", "shuffled")
    }
    assert middle["held out"] < middle["samples"] <= 2 * middle["held out"] < middle["shuffled"]
    assert kept["samples"]["copied"] <= 0.1
