"""Guards fill-the-mask: the right gap, the right token, refusals where a score would mislead.

pytest tests/generation/test_fill_mask.py
"""

import pytest
import torch

from course_lib.generation import cloze, cloze_accuracy, is_one_token

TEXTS = ["The <mask> sat on the mat.", "A dog <mask> on the <mask>, and the cat watched it."]


@pytest.fixture(scope="module", params=["bert", "roberta"])
def model(request, make, masked_tokenizer):
    return make(request.param, masked_tokenizer, length=40)


def test_agrees_with_the_model_run_by_hand(model, masked_tokenizer):
    found = cloze(model, masked_tokenizer, TEXTS, k=3)
    assert len(found) == 9
    for (text, gap), group in found.groupby(["text", "gap"]):
        ids = masked_tokenizer(TEXTS[text], return_tensors="pt")["input_ids"]
        place = (ids[0] == masked_tokenizer.mask_token_id).nonzero().flatten()[gap]
        best = model(ids).logits[0, place].detach().softmax(-1).topk(3)
        assert group["rank"].tolist() == [1, 2, 3]
        assert group["probability"].tolist() == pytest.approx(best.values.tolist(), rel=1e-4)
        tokens = [masked_tokenizer.decode([i]).strip() for i in best.indices.tolist()]
        assert group["token"].tolist() == tokens


def test_many_texts_cross_batches_in_order(model, masked_tokenizer):
    found = cloze(model, masked_tokenizer, TEXTS * 40, k=1)
    assert found["text"].tolist() == [t for i in range(40) for t in (2 * i, 2 * i + 1, 2 * i + 1)]
    assert found["gap"].tolist() == [0, 0, 1] * 40
    assert found["token"].tolist() == found["token"].tolist()[:3] * 40


def test_accuracy_counts_the_top_k(model, masked_tokenizer):
    text = TEXTS[0]
    answers = ["cat", "dog", "mat", "rug", "birds"]
    answers = [a for a in answers if is_one_token(masked_tokenizer, text, a)]
    assert len(answers) >= 2
    ids = masked_tokenizer(text, return_tensors="pt")["input_ids"]
    place = ids[0].tolist().index(masked_tokenizer.mask_token_id)
    order = model(ids).logits[0, place].argsort(descending=True).tolist()
    ranks = [order.index(masked_tokenizer.encode(" " + a)[1]) for a in answers]
    for k in (1, max(ranks), max(ranks) + 1):
        expected = sum(rank < k for rank in ranks) / len(ranks)
        found = cloze_accuracy(model, masked_tokenizer, [text] * len(answers), answers, k=k)
        assert found == pytest.approx(expected)


def test_a_model_that_knows_one_answer(make, masked_tokenizer):
    """The planted answer is found first, with its space, and nothing else is."""
    model = make("roberta", masked_tokenizer, std=0.02)
    token = masked_tokenizer.encode(" mat", add_special_tokens=False)
    assert len(token) == 1
    with torch.no_grad():
        model.lm_head.bias[token[0]] = 20.0
    text = "The cat sat on the <mask>."
    best = cloze(model, masked_tokenizer, [text], k=1).iloc[0]
    assert best["token"] == "mat"
    assert best["probability"] > 0.99
    assert cloze_accuracy(model, masked_tokenizer, [text, text], ["mat", "cat"]) == 0.5


def test_answers_of_several_tokens_are_told_apart(model, masked_tokenizer):
    assert is_one_token(masked_tokenizer, TEXTS[0], "cat")
    assert not is_one_token(masked_tokenizer, TEXTS[0], "hippopotamus")
    assert not is_one_token(masked_tokenizer, TEXTS[0], "")


def test_more_candidates_than_tokens_are_all_of_them(model, masked_tokenizer):
    found = cloze(model, masked_tokenizer, TEXTS[:1], k=10**6)
    assert len(found) == len(masked_tokenizer)
    assert found["probability"].sum() == pytest.approx(1, abs=1e-4)
    assert cloze_accuracy(model, masked_tokenizer, TEXTS[:1], ["cat"], k=10**6) == 1.0


def test_the_longest_text_that_fits_is_read(model, masked_tokenizer):
    words = 36
    text = "<mask>" + " the" * words
    while len(masked_tokenizer(text)["input_ids"]) < 40:
        text += " the"
    assert len(cloze(model, masked_tokenizer, [text], k=1)) == 1
