"""Guards the way from documents to rows: nothing lost, nothing added, boundaries marked.

Run: pytest tests/corpora/test_packing.py
"""

import copy
from itertools import chain

import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.corpora import (
    SPECIAL_TOKENS,
    count_bytes,
    encode,
    encode_cloze,
    pack,
    packing,
    pad_documents,
    train_tokenizer,
)
from course_lib.corpora.packing import token_stream
from course_lib.runtime import CourseError

TEXTS = [
    f"The {animal} sat on the {thing}. It was the {number}th time, and {animal}s like a {thing}."
    for number, (animal, thing) in enumerate(
        (animal, thing)
        for animal in ("cat", "dog", "heron", "badger", "otter", "goose", "mole", "newt")
        for thing in ("mat", "chair", "table", "shelf", "stone", "basket", "window", "garden")
    )
]
BOUNDARIES = {"bert": ("[CLS]", "[SEP]"), "t5": (None, "</s>"), "gpt2": ("<|endoftext|>", None)}
BOUNDARIES |= {"roberta": ("<s>", "</s>"), "bart": ("<s>", "</s>")}
BOUNDARIES |= {"gpt3": BOUNDARIES["gpt2"], "bloom": BOUNDARIES["gpt2"]}
SIZES = {"bert": 200, "t5": 430}

documents = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), min_size=1),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def tokenizers():
    return {f: train_tokenizer(f, TEXTS, SIZES.get(f, 300)) for f in SPECIAL_TOKENS}


@pytest.mark.parametrize("family", ["gpt2", "bert", "t5"])
def test_rows_are_those_of_trl(tokenizers, family):
    """Its strategy `wrapped`, which keeps a last row that is not full; we drop it."""
    trl = pytest.importorskip("trl")
    tokenizer, length = tokenizers[family], 16
    rows = pack(TEXTS, tokenizer, length).tolist()
    table = Dataset.from_dict({"input_ids": encode(TEXTS, tokenizer)})
    theirs = trl.pack_dataset(table, length, strategy="wrapped")["input_ids"]
    assert rows == [row for row in theirs if len(row) == length]


@pytest.mark.parametrize("family", SPECIAL_TOKENS)
@given(texts=documents, length=st.integers(2, 40))
@settings(max_examples=30, deadline=None)
def test_rows_are_the_stream_of_documents_cut(tokenizers, family, texts, length):
    tokenizer = tokenizers[family]
    texts = [*texts, "The cat sat on the mat." * 5]
    encodings = (tokenizer(text, split_special_tokens=True)["input_ids"] for text in texts)
    stream = list(chain.from_iterable(encodings))
    rows = pack(texts, tokenizer, length)
    assert rows.dtype == torch.long
    assert rows.shape == (len(stream) // length, length)
    assert rows.flatten().tolist() == stream[: rows.numel()]


@pytest.mark.parametrize("family", SPECIAL_TOKENS)
def test_each_document_is_marked_in_the_rows(tokenizers, family):
    tokenizer = tokenizers[family]
    stream = pack(TEXTS, tokenizer, 2).flatten().tolist()
    for mark in filter(None, BOUNDARIES[family]):
        marks = stream.count(tokenizer.convert_tokens_to_ids(mark))
        assert abs(marks - len(TEXTS)) <= 1  # the last may be cut off


@pytest.mark.parametrize("family", SPECIAL_TOKENS)
def test_a_mark_spelled_out_in_a_text_is_no_boundary(tokenizers, family):
    tokenizer = tokenizers[family]
    (honest,) = encode(["cat"], tokenizer)
    marks = set(tokenizer.all_special_ids)
    spelled = "cat" + "".join(tokenizer.all_special_tokens)
    (ids,) = encode([spelled], tokenizer)
    found = sum(i in marks - {tokenizer.unk_token_id} for i in ids)
    assert found == sum(i in marks for i in honest)
    # and reading marks on purpose still works afterwards
    assert tokenizer(tokenizer.pad_token, add_special_tokens=False)["input_ids"] == [
        tokenizer.pad_token_id
    ]


def test_packing_wants_enough_text(tokenizers):
    with pytest.raises(CourseError, match=r"less than one row of 512.*load more documents"):
        pack(["cat"], tokenizers["gpt2"], 512)
    with pytest.raises(CourseError, match="at least one text"):
        pack([], tokenizers["gpt2"], 8)
    with pytest.raises(ValueError, match="at least 2"):
        pack(TEXTS, tokenizers["gpt2"], 1)


@pytest.mark.parametrize("family", SPECIAL_TOKENS)
def test_padded_rows_hold_whole_documents_with_their_end(tokenizers, family):
    tokenizer = tokenizers[family]
    batch = pad_documents(TEXTS, tokenizer, 128)
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (len(TEXTS), 128)
    for text, ids, mask in zip(TEXTS, batch["input_ids"], batch["attention_mask"], strict=True):
        kept = ids[: int(mask.sum())]
        assert (ids[len(kept) :] == tokenizer.pad_token_id).all()
        assert mask.tolist() == [1] * len(kept) + [0] * (128 - len(kept))
        (expected,) = encode([text], tokenizer)
        end = [tokenizer.eos_token_id] if BOUNDARIES[family][1] is None else []
        assert kept.tolist() == expected + end


@pytest.mark.parametrize(("family", "tokens"), [("gpt2", 2), ("bert", 2), ("bart", 2), ("t5", 1)])
def test_an_empty_document_is_still_ended_once(tokenizers, family, tokens):
    batch = pad_documents([""], tokenizers[family], 4)
    assert batch["attention_mask"].sum() == tokens


def test_padding_wants_a_padding_token(tokenizers):
    tokenizer = copy.deepcopy(tokenizers["gpt2"])
    tokenizer.pad_token = None
    with pytest.raises(CourseError, match="no padding token"):
        pad_documents(["cat"], tokenizer, 8)


def test_long_documents_are_refused_or_cut_and_counted(tokenizers):
    texts = ["cat", *TEXTS[:3]]
    with pytest.raises(CourseError, match=r"3 of 4 documents are longer than 8.*truncate=True"):
        pad_documents(texts, tokenizers["gpt2"], 8)
    with pytest.warns(UserWarning, match="3 of 4 documents .* were cut"):
        batch = pad_documents(texts, tokenizers["gpt2"], 8, truncate=True)
    assert batch["input_ids"].shape == (4, 8)
    with pytest.raises(CourseError, match="at least one text"):
        pad_documents([], tokenizers["gpt2"], 8)


@given(st.lists(st.text(st.characters(codec="utf-8"))))
def test_bytes_are_those_of_utf_8(texts):
    assert count_bytes(texts) == len("".join(texts).encode())


@pytest.mark.parametrize("family", SPECIAL_TOKENS)
@given(texts=documents, chunk=st.integers(1, 200))
@settings(max_examples=20, deadline=None)
def test_a_stream_in_chunks_is_what_encode_gives(tokenizers, family, texts, chunk):
    tokenizer = tokenizers[family]
    texts = [*texts, "", *TEXTS[:3]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "CHUNK", chunk)
        chunks = list(token_stream(iter(texts), tokenizer))
    assert sum(count for count, _ in chunks) == len(texts)
    ids = [i for _, chunk_ids in chunks for i in chunk_ids.tolist()]
    assert ids == list(chain.from_iterable(encode(texts, tokenizer)))


def test_no_texts_are_no_stream(tokenizers):
    assert list(token_stream([], tokenizers["gpt2"])) == []
    assert encode([], tokenizers["gpt2"]) == []


@pytest.mark.parametrize("family", SPECIAL_TOKENS)
def test_what_the_last_caller_set_changes_nothing(tokenizers, family):
    tokenizer = tokenizers[family]
    rows, gap = pack(TEXTS, tokenizer, 16), encode(TEXTS, tokenizer)
    tokenizer(TEXTS[:2], padding="max_length", truncation=True, max_length=5)
    assert torch.equal(pack(TEXTS, tokenizer, 16), rows)
    assert encode(TEXTS, tokenizer) == gap


def test_packing_leaves_the_tokenizer_as_it_was(tokenizers):
    tokenizer = tokenizers["bert"]
    before = tokenizer.backend_tokenizer.to_str()
    pack(TEXTS, tokenizer, 16)
    encode_cloze(["the [MASK]"], tokenizer)
    assert tokenizer.backend_tokenizer.to_str() == before
    ids = tokenizer("[MASK] [SEP]", add_special_tokens=False)["input_ids"]
    assert ids == [tokenizer.mask_token_id, tokenizer.sep_token_id]


@pytest.mark.parametrize("family", ["bert", "roberta", "bart"])
@pytest.mark.parametrize("text", ["The cat {} on the mat.", "{}", "{} {}x{}", "no gap", "{}\n{}!"])
def test_in_a_cloze_the_mask_alone_is_meant(tokenizers, family, text):
    tokenizer = tokenizers[family]
    text = text.format(*[tokenizer.mask_token] * 3)
    (ids,) = encode_cloze([text], tokenizer)
    assert ids == tokenizer(text)["input_ids"]
    spelled = f"{tokenizer.cls_token}{text} {tokenizer.sep_token}"
    (ids,) = encode_cloze([spelled], tokenizer)
    marks = [tokenizer.cls_token_id, tokenizer.sep_token_id]
    assert [i for i in ids if i in marks] == marks, "one of each, around it"
    assert ids.count(tokenizer.mask_token_id) == text.count(tokenizer.mask_token)


def test_in_a_cloze_for_t5_the_sentinels_are_meant(tokenizers):
    tokenizer = tokenizers["t5"]
    text = "The cat <extra_id_0> on the <extra_id_1>."
    (ids,) = encode_cloze([text], tokenizer)
    assert ids == tokenizer(text)["input_ids"]
    (ids,) = encode_cloze([f"{text} </s><pad>"], tokenizer)
    assert ids.count(tokenizer.eos_token_id) == 1
    assert tokenizer.pad_token_id not in ids


@pytest.mark.parametrize("family", SPECIAL_TOKENS)
def test_without_its_marks_a_text_is_only_its_text(tokenizers, family):
    tokenizer = tokenizers[family]
    marks = set(tokenizer.all_special_ids)
    (ids,), (whole,) = (encode(TEXTS[:1], tokenizer, add_special_tokens=b) for b in (False, True))
    assert ids == [i for i in whole if i not in marks]
    spelled = "cat" + "".join(tokenizer.all_special_tokens)
    (ids,) = encode([spelled], tokenizer, add_special_tokens=False)
    assert not marks - {tokenizer.unk_token_id} & set(ids)


def test_a_stream_holds_two_chunks_at_most(tokenizers, monkeypatch):
    """So the memory for tokenizing does not grow with the text (figures: tools/bench_data.py)."""
    monkeypatch.setattr(packing, "CHUNK", 10 * len(TEXTS[0]))
    read = []
    texts = (read.append(1) or TEXTS[0] for _ in range(100))
    done = 0
    for count, _ in token_stream(texts, tokenizers["gpt2"]):
        done += count
        assert len(read) <= done + 10
    assert done == len(read) == 100
