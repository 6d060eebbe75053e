"""The seven families, at any size, with fresh weights.

Each is the `transformers` class of that name, so a model built here saves, loads and runs like a
downloaded one. What the families share is fixed: feed-forward layers four times as wide as the
model, input and output embeddings tied, one dropout rate wherever the family has dropout.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import transformers
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from course_lib.models.near import start_near

Attention = Literal["both", "left"]


@dataclass(frozen=True)
class Family:
    """One family of models.

    `objective` is the name of its own training objective; `positions` says how it knows the order
    of tokens; `paper` is where it was introduced.
    """

    name: str
    model: str
    config: str
    objective: str
    positions: str
    paper: str

    @property
    def model_class(self) -> type[PreTrainedModel]:
        """The `transformers` model class."""
        return getattr(transformers, self.model)

    @property
    def config_class(self) -> type[PreTrainedConfig]:
        """The `transformers` configuration class."""
        return getattr(transformers, self.config)


_ALL = (
    Family(
        "bert",
        "BertForMaskedLM",
        "BertConfig",
        "masked",
        "learned",
        "Devlin et al. 2019, BERT, arXiv:1810.04805",
    ),
    Family(
        "roberta",
        "RobertaForMaskedLM",
        "RobertaConfig",
        "masked",
        "learned",
        "Liu et al. 2019, RoBERTa, arXiv:1907.11692",
    ),
    Family(
        "gpt2",
        "GPT2LMHeadModel",
        "GPT2Config",
        "causal",
        "learned",
        "Radford et al. 2019, Language Models are Unsupervised Multitask Learners",
    ),
    Family(
        "gpt3",
        "GPT2LMHeadModel",
        "GPT2Config",
        "causal",
        "learned",
        "Brown et al. 2020, Language Models are Few-Shot Learners, arXiv:2005.14165",
    ),
    Family(
        "bloom",
        "BloomForCausalLM",
        "BloomConfig",
        "causal",
        "ALiBi",
        "BigScience Workshop 2022, BLOOM, arXiv:2211.05100",
    ),
    Family(
        "t5",
        "T5ForConditionalGeneration",
        "T5Config",
        "span",
        "relative",
        "Raffel et al. 2020, Exploring the Limits of Transfer Learning, arXiv:1910.10683",
    ),
    Family(
        "bart",
        "BartForConditionalGeneration",
        "BartConfig",
        "infilling",
        "learned",
        "Lewis et al. 2020, BART, arXiv:1910.13461",
    ),
)
FAMILIES = MappingProxyType({family.name: family for family in _ALL})


def build(
    family: str,
    tokenizer: PreTrainedTokenizerBase,
    *,
    width: int,
    layers: int,
    heads: int,
    length: int,
    dropout: float = 0.0,
    attention: Attention = "both",
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

    Raises:
        ValueError: an unknown family, or a shape that cannot be.
    """
    _validate(family, tokenizer, width, layers, heads, length, dropout, attention)
    shape = _shape(family, tokenizer, width, layers, heads, length) | _dropout(family, dropout)
    if attention == "left":
        shape["is_decoder"] = True
    config = FAMILIES[family].config_class(**shape, **_token_ids(family, tokenizer))
    with _quiet_about_decoder(attention):
        model = FAMILIES[family].model_class(config)
    start_near(model)
    return model


def _validate(
    family: str,
    tokenizer: PreTrainedTokenizerBase,
    width: int,
    layers: int,
    heads: int,
    length: int,
    dropout: float,
    attention: str,
) -> None:
    if family not in FAMILIES:
        raise ValueError(f"family={family!r}: choose one of {', '.join(FAMILIES)}.")
    for name, value in {"width": width, "layers": layers, "heads": heads, "length": length}.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}={value!r}: give a whole number of 1 or more.")
    if width % heads:
        raise ValueError(f"width={width} does not divide into heads={heads}: make it a multiple.")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout}: give a rate from 0 up to, not including, 1.")
    if attention not in ("both", "left"):
        raise ValueError(f'attention={attention!r}: choose "both" or "left".')
    if attention == "left" and family != "bert":
        raise ValueError(f'attention="left" is for bert; {family} decides its own attention.')
    if tokenizer.pad_token_id is None:
        raise ValueError("The tokenizer has no padding token: set tokenizer.pad_token.")


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
