"""Guards fill-the-mask: the right blank, the right token, refusals where a score would mislead.

pytest tests/generation/test_fill_mask.py
"""

import pytest
import torch

from course_lib.generation import cloze, cloze_accuracy, is_one_token
from course_lib.runtime import CourseError

BLANKS = ["The <mask> sat on the mat.", "A dog <mask> on the <mask>, and the cat watched it."]


@pytest.fixture(scope="module", params=["bert", "roberta"])
def model(request, make, masked_tokenizer):
    return make(request.param, masked_tokenizer, length=40)


def test_agrees_with_the_model_run_by_hand(model, masked_tokenizer):
    found = cloze(model, masked_tokenizer, BLANKS, k=3)
    assert len(found) == 9
    for (text, blank), group in found.groupby(["text", "blank"]):
        ids = masked_tokenizer(BLANKS[text], return_tensors="pt")["input_ids"]
        place = (ids[0] == masked_tokenizer.mask_token_id).nonzero().flatten()[blank]
        best = model(ids).logits[0, place].detach().softmax(-1).topk(3)
        assert group["rank"].tolist() == [1, 2, 3]
        assert group["probability"].tolist() == pytest.approx(best.values.tolist(), rel=1e-4)
        tokens = [masked_tokenizer.decode([i]).strip() for i in best.indices.tolist()]
        assert group["token"].tolist() == tokens


def test_many_texts_cross_batches_in_order(model, masked_tokenizer):
    found = cloze(model, masked_tokenizer, BLANKS * 40, k=1)
    assert found["text"].tolist() == [t for i in range(40) for t in (2 * i, 2 * i + 1, 2 * i + 1)]
    assert found["blank"].tolist() == [0, 0, 1] * 40
    assert found["token"].tolist() == found["token"].tolist()[:3] * 40


def test_accuracy_counts_the_top_k(model, masked_tokenizer):
    text = BLANKS[0]
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


def test_answers_of_several_tokens_are_refused(model, masked_tokenizer):
    assert is_one_token(masked_tokenizer, BLANKS[0], "cat")
    assert not is_one_token(masked_tokenizer, BLANKS[0], "hippopotamus")
    assert not is_one_token(masked_tokenizer, BLANKS[0], "")
    with pytest.raises(CourseError, match="'hippopotamus' is not one token in"):
        cloze_accuracy(model, masked_tokenizer, [BLANKS[0]], ["hippopotamus"])


def test_errors(model, masked_tokenizer, make, causal_tokenizer):
    with pytest.raises(CourseError, match="has no blank: write <mask>"):
        cloze(model, masked_tokenizer, [BLANKS[0], "Nothing missing here."])
    with pytest.raises(CourseError, match="must have exactly one <mask>"):
        cloze_accuracy(model, masked_tokenizer, [BLANKS[1]], ["cat"])
    with pytest.raises(ValueError, match="1 texts and 2 answers"):
        cloze_accuracy(model, masked_tokenizer, [BLANKS[0]], ["cat", "dog"])
    with pytest.raises(ValueError, match="0 texts"):
        cloze_accuracy(model, masked_tokenizer, [], [])
    with pytest.raises(ValueError, match="give a list of texts"):
        cloze(model, masked_tokenizer, BLANKS[0])
    with pytest.raises(CourseError, match="the model reads 40: shorten it"):
        cloze(model, masked_tokenizer, ["x " * 50 + "<mask>"])
    with pytest.raises(CourseError, match="cloze needs a masked model; GPT2LMHeadModel"):
        cloze(make("gpt2", causal_tokenizer), causal_tokenizer, ["a"])


def test_the_longest_text_that_fits_is_read(model, masked_tokenizer):
    words = 36
    text = "<mask>" + " the" * words
    while len(masked_tokenizer(text)["input_ids"]) < 40:
        text += " the"
    assert len(cloze(model, masked_tokenizer, [text], k=1)) == 1
