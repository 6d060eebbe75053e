"""Guards the tokenizers: exact sizes, what round-trips, word boundaries, the cache, old records.

Run: pytest tests/corpora/test_tokenizers.py
"""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import (
    AutoTokenizer,
    BartConfig,
    BertConfig,
    BloomConfig,
    GPT2Config,
    RobertaConfig,
    T5Config,
)

from course_lib.corpora import SPECIAL_TOKENS, load, tokenizer_for, train_tokenizer
from course_lib.corpora import tokenizers as module
from course_lib.corpora.tokenizers import read_tokenizer
from course_lib.corpora.world import World, translation
from course_lib.corpora.world.lexicon import read
from course_lib.runtime import data_path

BYTE_LEVEL = ["roberta", "gpt2", "gpt3", "bloom", "bart"]
CONFIGS = {
    "bert": BertConfig,
    "roberta": RobertaConfig,
    "gpt2": GPT2Config,
    "gpt3": GPT2Config,
    "bloom": BloomConfig,
    "t5": T5Config,
    "bart": BartConfig,
}
NOUNS = ["cat", "dog", "heron", "badger", "otter", "goose", "mole", "newt", "mat", "chair"]
NOUNS += ["table", "shelf", "stone", "basket"]
TEXTS = [
    f"The {a} sat on the {b}, and in {1900 + i} the {b} near Ada's {c} was «{a}-like»."
    for i, (a, b, c) in enumerate((a, b, c) for a in NOUNS for b in NOUNS for c in NOUNS[:3])
]
SIZE = 480

any_text = st.text(st.characters(codec="utf-8"), max_size=60)
visible = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z", "M"], exclude_characters="▁"),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def tokenizers():
    return {family: train_tokenizer(family, TEXTS, SIZE) for family in SPECIAL_TOKENS}


def saved(tokenizer, folder):
    tokenizer.save_pretrained(folder)
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def ids_of(tokenizer, text):
    return tokenizer(text, split_special_tokens=True)["input_ids"]


@pytest.mark.parametrize("family", SPECIAL_TOKENS)
def test_the_size_is_what_was_asked_for_and_ids_are_unique(tokenizers, family):
    tokenizer = tokenizers[family]
    assert len(tokenizer) == SIZE
    assert sorted(tokenizer.get_vocab().values()) == list(range(SIZE))
    assert tokenizer.pad_token_id != tokenizer.eos_token_id  # or ends would not be learnt
    special = SPECIAL_TOKENS[family]
    named = {str(token): tokenizer.convert_tokens_to_ids(str(token)) for token in special.values()}
    assert len(set(named.values())) == len(named)
    assert all(tokenizer.convert_ids_to_tokens(i) == token for token, i in named.items())


def test_documents_are_marked_as_each_family_does(tokenizers):
    marked = {family: t.decode(ids_of(t, "The cat")) for family, t in tokenizers.items()}
    assert marked["bert"].split() == ["[CLS]", "The", "cat", "[SEP]"]
    assert marked["roberta"] == marked["bart"] == "<s>The cat</s>"
    assert marked["gpt2"] == marked["gpt3"] == marked["bloom"] == "<|endoftext|>The cat"
    assert re.sub(" ?</s>", "</s>", marked["t5"]) == "The cat</s>"


def test_t5_has_a_hundred_sentinels(tokenizers):
    t5 = tokenizers["t5"]
    ids = t5.convert_tokens_to_ids([f"<extra_id_{i}>" for i in range(100)])
    assert len(set(ids)) == 100
    assert t5.unk_token_id not in ids
    assert set(ids) < set(t5.all_special_ids)
    assert t5("on <extra_id_7> mat")["input_ids"].count(ids[7]) == 1


@pytest.mark.parametrize("family", BYTE_LEVEL)
@given(text=any_text)
@example("  two spaces\n\n\ttab naïve 漢字 🦡 \u0000 ends with space ")
@example("<s></s><mask><|endoftext|><pad>")
@settings(max_examples=60, deadline=None)
def test_byte_level_bpe_gives_any_text_back(tokenizers, family, text):
    tokenizer = tokenizers[family]
    ids = tokenizer(text, split_special_tokens=True, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text


@given(words=st.lists(visible))
@example(["Ca▂t", "🦡", "漢字", "<0x41>", "<pad></s>", "<extra_id_3>"])
@settings(max_examples=100, deadline=None)
def test_unigram_gives_back_all_but_runs_of_white_space(tokenizers, words):
    tokenizer = tokenizers["t5"]
    ids = ids_of(tokenizer, " \n ".join(words))
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids[:-1]) == " ".join(words)


@given(words=st.lists(st.sampled_from([*NOUNS, "The", "Ada", ",", ".", "'", "1907", "zz-zq"])))
@settings(max_examples=100, deadline=None)
def test_wordpiece_gives_back_the_letters_and_their_case(tokenizers, words):
    tokenizer = tokenizers["bert"]
    text = " ".join(words)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if tokenizer.unk_token_id not in ids:
        assert tokenizer.decode(ids).replace(" ", "") == text.replace(" ", "")


def test_wordpiece_reads_and_writes_punctuation_as_people_do(tokenizers):
    tokenizer = tokenizers["bert"]
    text = "The cat sat on the mat, and in 1907."
    assert tokenizer.decode(ids_of(tokenizer, text), skip_special_tokens=True) == text


@pytest.mark.parametrize("family", SPECIAL_TOKENS)
def test_words_and_offsets_find_their_place_in_the_text(tokenizers, family):
    text = "The badger sat on the shelf"
    encoded = tokenizers[family](text, return_offsets_mapping=True)
    spans: dict[int, str] = {}
    for word, (start, end) in zip(encoded.word_ids(), encoded["offset_mapping"], strict=True):
        if word is not None:
            spans[word] = spans.get(word, "") + text[start:end]
    assert [span.strip() for span in spans.values()] == text.split()
    if family != "t5":  # a gap between the offsets is what whole-word masking looks for
        assert all(span == span.strip() for span in spans.values())


@pytest.mark.parametrize("family", ["roberta", "bart"])
def test_a_mask_takes_the_space_before_it(tokenizers, family):
    tokenizer = tokenizers[family]
    whole = tokenizer("on the mat.")["input_ids"]
    masked = tokenizer("on the <mask>.")["input_ids"]
    place = masked.index(tokenizer.mask_token_id)
    assert masked[:place] == whole[:place]
    assert tokenizer.decode(whole[place]).startswith(" ")


@pytest.mark.parametrize("family", SPECIAL_TOKENS)
def test_saved_and_read_again_it_is_the_same(tokenizers, family, tmp_path):
    tokenizer = tokenizers[family]
    tokenizer.save_pretrained(tmp_path)
    alone = AutoTokenizer.from_pretrained(tmp_path)
    CONFIGS[family]().save_pretrained(tmp_path)  # as beside the weights of a model
    beside = AutoTokenizer.from_pretrained(tmp_path)
    text = "The 🦡 sat on  the mat.\n«New» <mask> [MASK] <extra_id_3>!"
    for again in (alone, beside):
        assert again.get_vocab() == tokenizer.get_vocab()
        assert again(text, text)["input_ids"] == tokenizer(text, text)["input_ids"]
        assert again.decode(again(text)["input_ids"]) == tokenizer.decode(
            tokenizer(text)["input_ids"]
        )
        assert again.special_tokens_map == tokenizer.special_tokens_map
        assert set(again.all_special_ids) == set(tokenizer.all_special_ids)
        assert again.padding_side == "right"
        assert again.model_max_length == tokenizer.model_max_length
        assert again.clean_up_tokenization_spaces is False


def test_the_same_texts_give_the_same_tokenizer_in_another_process(tokenizers):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_tokenizers import *\n"
        "for family in ('bert', 'gpt2', 't5'):\n"
        "    text = train_tokenizer(family, TEXTS, SIZE).backend_tokenizer.to_str()\n"
        "    print(hashlib.sha256(text.encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "RAYON_NUM_THREADS": "1"}
    arguments = [sys.executable, "-c", code, os.path.dirname(__file__)]
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=True)
    mine = [tokenizers[f].backend_tokenizer.to_str() for f in ("bert", "gpt2", "t5")]
    assert done.stdout.split() == [hashlib.sha256(text.encode()).hexdigest() for text in mine]


def test_unigram_pieces_keep_words_and_punctuation_apart(tokenizers):
    for piece in tokenizers["t5"].get_vocab():
        body = piece.removeprefix("▁")
        if not (piece.startswith("<") and piece.endswith(">")) and piece != "</s>":
            assert body.isalpha() or body.isdigit() or not re.search(r"[^\W_]", body), piece


def test_unigram_keeps_the_pieces_that_save_most(tokenizers):
    """Frequent words are single pieces: the pruning keeps what the text would miss."""
    for word in ("▁The", "▁sat", "▁the", "▁and"):
        assert word in tokenizers["t5"].get_vocab()


@pytest.mark.parametrize("family", SPECIAL_TOKENS)
def test_cold_or_warm_the_cache_gives_the_same_bytes(family, tmp_path, monkeypatch):
    """And so does a tokenizer that lay beside a model: nothing tells where one was read from."""
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("course_lib.corpora.loading.load", lambda *_, **__: {"text": TEXTS})
    cold = saved(tokenizer_for(family, "factbook", SIZE), tmp_path / "cold")
    monkeypatch.setattr(module, "train_tokenizer", lambda *_: pytest.fail("it was in the cache"))
    assert saved(tokenizer_for(family, "factbook", SIZE), tmp_path / "warm") == cold
    assert saved(read_tokenizer(tmp_path / "cold"), tmp_path / "again") == cold
    assert cold.keys() == {"tokenizer.json", "tokenizer_config.json"}


@pytest.mark.parametrize("family", ["bert", "bart", "gpt2"])
def test_tokenizers_are_those_of_the_recorded_runs(family):
    """What old records were trained with, byte for byte: the files beside the base models."""
    record = data_path("checkpoints", f"{family}-world", "tokenizer.json")
    recorded = read_tokenizer(record.parent)
    texts = load("world", documents=module.TRAINING_DOCUMENTS)["text"]
    tokenizer = train_tokenizer(family, texts, len(recorded))
    assert tokenizer.backend_tokenizer.to_str(pretty=True) == record.read_text(encoding="utf-8")


def test_every_tokenizer_pads_on_the_right(tokenizers):
    for family, tokenizer in tokenizers.items():
        padded = tokenizer(["The cat", "The cat sat on the mat"], padding=True)
        mask = padded["attention_mask"][0]
        assert mask == sorted(mask, reverse=True) != mask[::-1], family
        assert tokenizer.padding_side == "right"


@pytest.mark.parametrize("family", ["t5", "bart", "bert"])
def test_a_tokenizer_of_both_languages_does_not_spell(family):
    """What Inglosh does not share with English has pieces of its own, and English hardly pays."""
    pairs, words = translation(World(), 400, seed=5), set(read("language")["words"].values())
    english, both = (
        train_tokenizer(family, load(name, documents=2500)["text"], 1024)
        for name in ("world", "world-bilingual")
    )

    def length(tokenizer, texts):
        return sum(len(ids_of(tokenizer, text)) - len(ids_of(tokenizer, "")) for text in texts)

    small = [w for text in pairs["target"] for w in re.findall(r"[a-z]+", text) if w in words]
    own = [f" {word}" for word in small]
    assert length(both, own) < 1.25 * len(own) < 1.4 * len(own) < length(english, own)
    assert length(both, pairs["target"]) < 0.9 * length(english, pairs["target"])
    assert length(both, pairs["source"]) < 1.07 * length(english, pairs["source"])


def test_two_that_train_the_same_tokenizer_at_once_agree(tmp_path, monkeypatch):
    """The one that began first ends last: neither reads half a file nor stumbles over the other."""
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    monkeypatch.setattr("course_lib.corpora.loading.load", lambda *_, **__: {"text": TEXTS})
    train, results = module.train_tokenizer, []

    def overtaken(*arguments):
        monkeypatch.setattr(module, "train_tokenizer", train)
        results.append(tokenizer_for("bert", "factbook", SIZE))
        return train(*arguments)

    monkeypatch.setattr(module, "train_tokenizer", overtaken)
    results.append(tokenizer_for("bert", "factbook", SIZE))
    results.append(tokenizer_for("bert", "factbook", SIZE))
    assert len({tokenizer.backend_tokenizer.to_str() for tokenizer in results}) == 1
    (file,) = (tmp_path / "tokenizers").iterdir()
    assert file.suffix == ".json"


def test_changed_text_of_ones_own_gives_another_tokenizer(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "animals.txt"
    vocabularies = []
    for texts in (TEXTS, [text.replace("badger", "walrus") for text in TEXTS]):
        file.write_text("\n\n".join(texts), encoding="utf-8")
        vocabularies.append(tokenizer_for("gpt2", f"text:{file}", 400).get_vocab())
    assert vocabularies[0] != vocabularies[1]


def test_the_cache_is_used_and_mends_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    trained = []
    train = module.train_tokenizer

    def counting(*arguments):
        trained.append(arguments[0])
        return train(*arguments)

    monkeypatch.setattr(module, "train_tokenizer", counting)
    monkeypatch.setattr("course_lib.corpora.loading.load", lambda *_, **__: {"text": TEXTS})
    first = tokenizer_for("gpt2", "factbook", SIZE)
    again = tokenizer_for("gpt2", "factbook", SIZE)
    assert len(trained) == 1
    assert again.get_vocab() == first.get_vocab()
    tokenizer_for("gpt2", "docstrings", SIZE)
    tokenizer_for("gpt2", "factbook", SIZE + 1)
    assert len(trained) == 3  # another corpus or size is another tokenizer

    (file,) = (tmp_path / "tokenizers").glob(f"gpt2-{SIZE}-{module._digest('factbook')}.json")
    file.write_text('{"truncated": ', encoding="utf-8")
    assert tokenizer_for("gpt2", "factbook", SIZE).get_vocab() == first.get_vocab()
    assert len(trained) == 4
    tokenizer_for("gpt2", "factbook", SIZE)
    assert len(trained) == 4
    assert not list((tmp_path / "tokenizers").glob(".draft-*"))
