"""SmolLM2-135M-Instruct from the four-bit GGUF file of a package to what `transformers` loads.

`transformers` reads GGUF too; the weights that come of it are the same, bit for bit. But it takes
twice as long, and the tokenizer it makes divides some texts otherwise (SmolLM2's own splits off
each digit first) and ends them, in some releases, with another token.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_lib.runtime import CourseError, progress

if TYPE_CHECKING:
    from gguf import GGUFReader
    from transformers import LlamaConfig, LlamaForCausalLM

CONTROL = 3  # what GGUF calls a token that is no text, such as <|im_end|>
# SHA-256 of tokenizer.json as the makers of the model publish it.
TOKENIZER = "9ca9acddb6525a194ec8ac7a87f24fbba7232a9a15ffa1af0c1224fcd888e47c"


def model_from(reader: "GGUFReader") -> "LlamaForCausalLM":
    """The model in fp32, every weight from the file.

    There the two halves of each head's rotated queries and keys are interleaved: they are put back.

    Raises:
        KeyError: a weight that the file does not hold.
    """
    import torch
    from gguf import MODEL_ARCH, dequantize, get_tensor_name_map
    from transformers import LlamaForCausalLM

    config = _config(_facts(reader))
    model = LlamaForCausalLM(config)
    stored = {tensor.name: tensor for tensor in reader.tensors}
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    with torch.no_grad():
        for name, weight in progress(list(model.named_parameters()), desc="De-quantising"):
            tensor = stored[names.get_name(name, try_suffixes=(".weight",))]
            values = torch.tensor(dequantize(tensor.data, tensor.tensor_type))
            if count := heads.get(name.split(".")[-2]):
                values = values.view(count, -1, 2, values.shape[-1]).transpose(1, 2)
            weight.copy_(values.reshape(weight.shape))
    return model


def write_tokenizer(reader: "GGUFReader", folder: Path) -> None:
    """The tokenizer, made of the file's vocabulary, to the byte as the model's makers publish it.

    Raises:
        CourseError: other bytes came of it.
    """
    facts = _facts(reader)
    text = json.dumps(_tokenizer(facts), indent=2, ensure_ascii=False)
    if hashlib.sha256(text.encode()).hexdigest() != TOKENIZER:
        raise CourseError(
            "The tokenizer read from SmolLM2's file is not the published one: install gguf in the "
            "version of requirements.lock."
        )
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    tokens, names = facts["tokenizer.ggml.tokens"], ("bos", "eos", "unknown", "padding")
    bos, eos, unknown, padding = (
        tokens[facts[f"tokenizer.ggml.{name}_token_id"]] for name in names
    )
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": bos,
        "eos_token": eos,
        "unk_token": unknown,
        "pad_token": padding,
        "model_max_length": facts["llama.context_length"],
        "clean_up_tokenization_spaces": False,
        "chat_template": facts["tokenizer.chat_template"],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")


def _facts(reader: "GGUFReader") -> dict[str, Any]:
    return {name: field.contents() for name, field in reader.fields.items()}


def _config(facts: dict[str, Any]) -> "LlamaConfig":
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=facts["llama.vocab_size"],
        hidden_size=facts["llama.embedding_length"],
        intermediate_size=facts["llama.feed_forward_length"],
        num_hidden_layers=facts["llama.block_count"],
        num_attention_heads=facts["llama.attention.head_count"],
        num_key_value_heads=facts["llama.attention.head_count_kv"],
        max_position_embeddings=facts["llama.context_length"],
        rms_norm_eps=facts["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": facts["llama.rope.freq_base"]},
        tie_word_embeddings=True,
        initializer_range=1 / 24,  # of its makers' configuration: for the same model fresh
        bos_token_id=facts["tokenizer.ggml.bos_token_id"],
        eos_token_id=facts["tokenizer.ggml.eos_token_id"],
        pad_token_id=facts["tokenizer.ggml.padding_token_id"],
    )


def _tokenizer(facts: dict[str, Any]) -> dict[str, Any]:
    """A byte-level BPE that splits off each digit before anything else, in `tokenizers`' form."""
    tokens, kinds = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"]
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": True,
    }
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": token, **plain, "special": True}
            for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
            if kind == CONTROL
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": facts["tokenizer.ggml.merges"],
        },
    }
