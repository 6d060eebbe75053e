"""Guards reading a Llama from GGUF: every weight in its place, on a tiny one written here.

pytest tests/models/test_smollm2.py
"""

import pytest
import torch
from gguf import MODEL_ARCH, GGUFReader, GGUFWriter, get_tensor_name_map
from refusals import assert_refused
from transformers import LlamaConfig, LlamaForCausalLM

from course_lib.models.smollm2 import model_from, write_tokenizer

TOKENS = ["<unk>", "<|im_start|>", "<|im_end|>", "a", "b", "ab"]
HEADS = {"q_proj": 4, "k_proj": 2}


@pytest.fixture
def written(tmp_path):
    """A random Llama, and the reader of a GGUF file that holds it."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(TOKENS),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=HEADS["q_proj"],
        num_key_value_heads=HEADS["k_proj"],
        max_position_embeddings=64,
        rope_parameters={"rope_type": "default", "rope_theta": 5000.0},
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    file = GGUFWriter(tmp_path / "tiny.gguf", "llama")
    file.add_vocab_size(len(TOKENS))
    file.add_embedding_length(32)
    file.add_feed_forward_length(48)
    file.add_block_count(2)
    file.add_head_count(HEADS["q_proj"])
    file.add_head_count_kv(HEADS["k_proj"])
    file.add_context_length(64)
    file.add_layer_norm_rms_eps(config.rms_norm_eps)
    file.add_rope_freq_base(5000.0)
    file.add_token_list(TOKENS)
    file.add_token_types([2, 3, 3, 1, 1, 1])
    file.add_token_merges(["a b"])
    file.add_chat_template("{{ messages }}")
    for number, add in enumerate((file.add_unk_token_id, file.add_bos_token_id)):
        add(number)
    file.add_eos_token_id(2)
    file.add_pad_token_id(2)
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, 2)
    for name, weight in model.named_parameters():
        torch.nn.init.normal_(weight)
        rows = weight.detach()
        if heads := HEADS.get(name.split(".")[-2]):
            # As llama.cpp writes them: in each head, a row of the first half, one of the second.
            halves = [head.chunk(2) for head in rows.chunk(heads)]
            rows = torch.cat([torch.stack(pair, 1).flatten(0, 1) for pair in halves])
        file.add_tensor(names.get_name(name, try_suffixes=(".weight",)), rows.numpy().copy())
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return model, GGUFReader(tmp_path / "tiny.gguf")


def test_every_weight_comes_back_and_so_do_the_logits(written):
    model, reader = written
    read = model_from(reader)
    for (name, one), other in zip(
        model.state_dict().items(), read.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name
    ids = torch.tensor([[1, 3, 4, 5, 2]])
    with torch.no_grad():
        assert torch.equal(model.eval()(ids).logits, read.eval()(ids).logits)
    assert read.config.eos_token_id == read.config.pad_token_id == 2


def test_a_tokenizer_that_is_not_the_published_one_is_refused(written, tmp_path):
    _, reader = written
    assert_refused(lambda: write_tokenizer(reader, tmp_path), "not the published one")
    assert not (tmp_path / "tokenizer.json").exists()
