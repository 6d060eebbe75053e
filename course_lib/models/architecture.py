"""The seven families, at any size, with fresh weights.

Each is the `transformers` class of that name, so a model built here saves, loads and runs like a
downloaded one. What the families share is fixed: feed-forward layers four times as wide as the
model, input and output embeddings tied, one dropout rate wherever the family has dropout.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import BertLMHeadModel, PreTrainedModel, PreTrainedTokenizerBase

from course_lib.models.families import FAMILIES, Attention, require_family
from course_lib.models.initialization import initialize_local_attention
from course_lib.models.published import published_sizes
from course_lib.runtime.checks import BadArgumentError, Count, Rate, Text, checked


@checked
def build(
    family: Text,
    tokenizer: PreTrainedTokenizerBase,
    *,
    width: Count,
    layers: Count,
    heads: Count,
    length: Count,
    dropout: Rate = 0.0,
    attention: Attention = "both",
    objective: str | None = None,
) -> PreTrainedModel:
    """A model of a family with random weights, drawn from torch's global generator: seed it first.

    Args:
        family: a name in `FAMILIES`. gpt3 is built as GPT-2: what GPT-3 adds to that architecture
            (Brown et al. 2020, section 2.1) is attention that alternates between dense and
            locally banded sparse layers. `transformers` has no such class, and at lengths of a few
            hundred tokens the band would cover nearly everything.
        tokenizer: gives the vocabulary size, `len(tokenizer)`, and the ids of special tokens.
        width: of the residual stream, a multiple of `heads`.
        layers: number of blocks; t5 and bart have as many again in the decoder.
        heads: attention heads in each layer.
        length: the longest sequence in tokens. It sizes the table of learned positions. T5 and
            BLOOM see relative distance only, and take longer sequences than this.
        dropout: the rate everywhere the family has dropout.
        attention: "left" hides the right context from every position of a BERT (position t sees
            0 to t), with all else equal. Then what the right context is worth can be measured.
        objective: what it will be trained on, None for the family's own. A BERT under a causal
            mask takes "causal" too; the head, which is the same, then predicts the next token.

    Raises:
        BadArgumentError: an unknown family, or a shape that cannot be.
    """
    _validate(family, tokenizer, width, heads, attention)
    shape = _shape(family, tokenizer, width, layers, heads, length) | _dropout(family, dropout)
    if attention == "left":
        shape["is_decoder"] = True
    config = FAMILIES[family].config_class(**shape, **_token_ids(family, tokenizer))
    next_token = family == "bert" and objective == "causal"
    with _quiet_about_decoder(attention):
        model = (BertLMHeadModel if next_token else FAMILIES[family].model_class)(config)
    initialize_local_attention(model)
    return model


@checked
def build_published(
    family: Text, name: Text, tokenizer: PreTrainedTokenizerBase, dropout: Rate = 0.0
) -> PreTrainedModel:
    """A model of a published size (`published_sizes`) with random weights, for this tokenizer.

    The tokenizer decides how many rows the embedding has; all else is as published.

    Raises:
        BadArgumentError: no such family or size.
    """
    sizes = {size.name: size for size in published_sizes(family)}
    if name not in sizes:
        raise BadArgumentError(f"published={name!r}: the sizes of {family} are {', '.join(sizes)}.")
    size = sizes[name]
    shape = size.config | {"vocab_size": len(tokenizer)} | _dropout(family, dropout)
    config = FAMILIES[family].config_class(**shape, **_token_ids(family, tokenizer))
    model = FAMILIES[family].model_class(config)
    initialize_local_attention(model)
    return model


def _validate(
    family: str, tokenizer: PreTrainedTokenizerBase, width: int, heads: int, attention: str
) -> None:
    require_family(family)
    if width % heads:
        raise BadArgumentError(
            f"width={width} does not divide into heads={heads}: make it a multiple."
        )
    if attention == "left" and not FAMILIES[family].left_objectives:
        raise BadArgumentError(f'attention="left" is for bert; {family} decides its own attention.')
    if tokenizer.pad_token_id is None:
        raise BadArgumentError("The tokenizer has no padding token: set tokenizer.pad_token.")


def _shape(
    family: str,
    tokenizer: PreTrainedTokenizerBase,
    width: int,
    layers: int,
    heads: int,
    length: int,
) -> dict[str, Any]:
    """The sizes, in the words of each family's configuration."""
    vocabulary = {"vocab_size": len(tokenizer)}
    if family in ("bert", "roberta"):
        # RoBERTa counts positions from pad_token_id + 1 on, a habit of the code it came from:
        # with its own padding id, 1, the table needs two rows more than the sequence.
        offset = tokenizer.pad_token_id + 1 if family == "roberta" else 0
        return vocabulary | {
            "hidden_size": width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "intermediate_size": 4 * width,
            "max_position_embeddings": length + offset,
            # 0.02 suits the published widths; a narrow model needs larger weights to be heard.
            "initializer_range": 0.8 / width**0.5,
            # RoBERTa has no second segment (section 4.2 drops the next-sentence task).
            "type_vocab_size": 2 if family == "bert" else 1,
        }
    if family in ("gpt2", "gpt3"):
        return vocabulary | {
            "n_embd": width,
            "n_layer": layers,
            "n_head": heads,
            "n_positions": length,
            # The same function as the original "gelu_new", computed in one fused kernel.
            "activation_function": "gelu_pytorch_tanh",
        }
    if family == "bloom":
        return vocabulary | {"hidden_size": width, "n_layer": layers, "n_head": heads}
    if family == "t5":
        return vocabulary | {
            "d_model": width,
            "d_kv": width // heads,
            "d_ff": 4 * width,
            "num_layers": layers,
            "num_heads": heads,
        }
    sides = {
        f"{side}_{key}": value
        for side in ("encoder", "decoder")
        for key, value in {"layers": layers, "attention_heads": heads, "ffn_dim": 4 * width}.items()
    }
    # transformers adds BART's offset of two positions by itself.
    return vocabulary | sides | {"d_model": width, "max_position_embeddings": length}


def _dropout(family: str, rate: float) -> dict[str, float]:
    names = {
        "bert": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
        "roberta": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
        "gpt2": ("embd_pdrop", "attn_pdrop", "resid_pdrop"),
        "gpt3": ("embd_pdrop", "attn_pdrop", "resid_pdrop"),
        "bloom": ("hidden_dropout", "attention_dropout"),
        "t5": ("dropout_rate",),
        "bart": ("dropout", "attention_dropout", "activation_dropout"),
    }
    return dict.fromkeys(names[family], rate)


def _token_ids(family: str, tokenizer: PreTrainedTokenizerBase) -> dict[str, int | None]:
    ids = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if family == "t5":
        # T5 has no start token; its decoder begins with padding.
        ids["decoder_start_token_id"] = tokenizer.pad_token_id
    if family == "bart":
        # BART's decoder begins with the end token, as in fairseq.
        ids["decoder_start_token_id"] = ids["forced_eos_token_id"] = tokenizer.eos_token_id
    return ids


@contextmanager
def _quiet_about_decoder(attention: str) -> Iterator[None]:
    """Silence the warning that a masked model should not be a decoder: here that is the aim."""
    logger = logging.getLogger("transformers.models.bert.modeling_bert")
    level = logger.level
    if attention == "left":
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def unfuse_attention(model: PreTrainedModel) -> None:
    """Have attention computed step by step, so that its operations and weights can be seen.

    Each part by itself: not every release of transformers hands the setting on to T5's stacks.
    """
    for part in model.modules():
        if isinstance(part, PreTrainedModel):
            part.set_attn_implementation("eager")
