"""Guards what measurements stand on: evaluation mode, lengths, marks; and heads and adapters.

pytest tests/models/test_inspection.py
"""

import pytest
import torch
from tiny import closing_tokenizer, packed_rows, tiny_model, word_tokenizer

from course_lib.models import build, context_length, evaluation_mode
from course_lib.models.adapters import add_lora, merged
from course_lib.models.heads import with_head
from course_lib.models.inspection import document_marks
from course_lib.objectives import kind_of, summed_loss, target_losses


def test_evaluation_mode_leaves_each_part_as_it_was():
    """A part that is frozen in evaluation mode must not wake up with the rest."""
    model = tiny_model("gpt2", dropout=0.5).train()
    frozen = model.transformer.h[0].eval()
    modes = [part.training for part in model.modules()]
    with evaluation_mode(model) as device:
        assert device == next(model.parameters()).device
        assert not any(part.training for part in model.modules())
        assert not torch.is_grad_enabled()
    assert [part.training for part in model.modules()] == modes
    assert not frozen.training
    assert torch.is_grad_enabled()


def test_evaluation_mode_ends_with_an_error_too_and_may_be_nested():
    model = tiny_model("gpt2").train()
    with pytest.raises(RuntimeError, match="inside"), evaluation_mode(model):
        raise RuntimeError("inside")
    assert all(part.training for part in model.modules())
    with evaluation_mode(model):
        with evaluation_mode(model):
            pass
        assert not model.training
    assert model.training


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "gpt3", "bart"])
@pytest.mark.parametrize("length", [5, 24])
def test_the_context_is_as_long_as_it_was_built(family, length):
    tokenizer = word_tokenizer("gpt2" if family == "gpt3" else family)
    model = build(family, tokenizer, width=8, layers=1, heads=2, length=length)
    assert context_length(model) == length
    ids = torch.full((1, length), 7)
    assert summed_loss(model, {"input_ids": ids, "labels": ids}).isfinite()


@pytest.mark.parametrize("family", ["bloom", "t5"])
def test_relative_positions_have_no_length(family):
    tokenizer = word_tokenizer("gpt2" if family == "bloom" else family)
    assert context_length(build(family, tokenizer, width=8, layers=1, heads=2, length=5)) is None


def test_a_document_is_opened_and_closed_by_whatever_the_tokenizer_calls_its_marks():
    bert, bart, gpt2 = map(word_tokenizer, ("bert", "bart", "gpt2"))
    assert document_marks(bert) == (bert.cls_token_id, bert.sep_token_id)
    assert document_marks(bart) == (bart.bos_token_id, bart.eos_token_id)
    assert document_marks(gpt2) == (gpt2.eos_token_id, gpt2.eos_token_id)


def test_a_bert_held_to_the_left_may_predict_the_next_token():
    """Its labels are then a causal model's: column t is the token at t, from those before."""
    torch.manual_seed(0)
    shape = {"width": 16, "layers": 2, "heads": 2, "length": 12}
    model = build("bert", word_tokenizer("bert"), **shape, attention="left", objective="causal")
    assert kind_of(model) == "causal"
    rows = packed_rows("bert", 2, 12, "left")
    found = target_losses(model.eval(), {"input_ids": rows, "labels": rows})
    for t in range(1, 12):
        with torch.no_grad():
            logits = model(input_ids=rows[:, :t]).logits[:, -1].log_softmax(-1)
        expected = -logits.gather(1, rows[:, t : t + 1]).squeeze(1)
        torch.testing.assert_close(found[:, t].detach(), expected, rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------- adapters and heads


def adapted(family="gpt2"):
    torch.manual_seed(0)
    return add_lora(tiny_model(family), rank=2, alpha=4, dropout=0.0)


def stirred(model):
    """B is zero in a fresh adapter, which would hide it."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.5)
    return model.eval()


@pytest.mark.parametrize("family", ["gpt2", "bert", "t5"])
def test_a_fresh_adapter_changes_nothing_and_is_all_that_is_trained(family):
    rows = packed_rows("gpt2", 2, 12, "adapter")
    batch = {"input_ids": rows, "labels": rows}
    plain, model = tiny_model(family).eval(), adapted(family).eval()
    assert kind_of(model) == kind_of(plain)
    torch.testing.assert_close(summed_loss(model, batch), summed_loss(plain, batch))
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    loss = summed_loss(stirred(model), batch)
    assert (loss - summed_loss(plain, batch)).abs() > 1e-3, "the loss must see the adapter"


def test_a_merged_model_computes_the_same_and_the_adapter_stays_apart():
    model, rows = stirred(adapted()), packed_rows("gpt2", 2, 12, "merged")
    with torch.no_grad():
        expected = model(input_ids=rows).logits
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        whole = merged(model).eval()
        torch.testing.assert_close(whole(input_ids=rows).logits, expected, rtol=1e-4, atol=1e-5)
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
        assert not any("lora" in name for name in whole.state_dict())
    assert merged(tiny_model("gpt2")).config.model_type == "gpt2"


def test_a_head_has_as_many_labels_as_asked_for_and_the_body_is_a_copy():
    body = tiny_model("bert")
    model = with_head(body, labels=7, seed=0)
    ids = torch.tensor([closing_tokenizer("bert")("the cat sat")["input_ids"]])
    assert model(ids).logits.shape == (1, ids.shape[1], 7)
    ours = dict(body.base_model.named_parameters())
    for name, parameter in model.base_model.named_parameters():
        assert parameter.data_ptr() != ours[name].data_ptr()
