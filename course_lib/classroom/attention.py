"""Who may look at whom: the attention patterns of the three architectures, read off real models.

Nothing here is a schematic. A model runs on a sentence, and a cell is filled where some head of
some layer gave more than zero attention. A mask that is wrong in the model is wrong in the picture.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, NamedTuple

import matplotlib.pyplot as plt
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from pydantic import Field
from torch import BoolTensor, Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_lib.classroom.cards import Card
from course_lib.classroom.plots import color_of, picture
from course_lib.classroom.token_display import visible
from course_lib.models import evaluation_mode, unfuse_attention
from course_lib.objectives.loss import kind_of
from course_lib.runtime.checks import BadArgumentError, NotNegativeCount, Text, checked

COLUMNS = 3
NAMES = {"bert": "BERT", "roberta": "RoBERTa", "gpt2": "GPT-2", "bloom": "BLOOM", "t5": "T5"}
OFF = "#eceff1"


class AttentionPattern(NamedTuple):
    """Where attention is possible: `allowed[i, j]` says whether `rows[i]` looks at `columns[j]`."""

    title: str
    rows: list[str]
    columns: list[str]
    allowed: BoolTensor
    color: str

    def __str__(self) -> str:
        return f"{self.title}: {_in_words(self.allowed)}"


@checked
def attention_patterns(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    text: Text,
    *,
    target: Text | None = None,
    prefix: NotNegativeCount = 0,
) -> list[AttentionPattern]:
    """Run a model on a text and read off where its attention is not zero, in any head or layer.

    One pattern for an encoder or a decoder. Three for an encoder-decoder, which also needs a
    `target` to write: the encoder among itself, the decoder's look into the encoder (cross
    attention), and the decoder among itself. With `prefix`, the first so many tokens of a causal
    model may see each other, as in a prefix language model (Raffel et al. 2020, section 3.2.1).

    Raises:
        BadArgumentError: a target where the model writes none, or none where it does; a prefix for
            a model that is not causal.
    """
    kind = kind_of(model)
    if (target is not None) != (kind == "seq2seq"):
        wanted = "a target for" if kind == "seq2seq" else "no target for"
        raise BadArgumentError(
            f"attention_patterns: target={target!r}: give {wanted} a {kind} model"
        )
    if prefix and kind != "causal":
        raise BadArgumentError(f"prefix={prefix}: it is for a causal model, not a {kind} one")
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    inputs = {"input_ids": ids}
    if prefix:
        inputs["attention_mask"] = _prefix_mask(ids.shape[1], prefix)
    if target is not None:
        inputs["labels"] = tokenizer(target, return_tensors="pt")["input_ids"]
    with _attention_shown(model), evaluation_mode(model) as device:
        inputs = {name: value.to(device) for name, value in inputs.items()}
        output = model(**inputs, output_attentions=True, use_cache=False)

    name = NAMES.get(model.config.model_type, model.config.model_type.upper())
    read = _names(tokenizer, ids[0])
    if kind != "seq2seq":
        what = f"prefix of {prefix}" if prefix else {"masked": "encoder", "causal": "decoder"}[kind]
        return [AttentionPattern(f"{name} {what}", read, read, _allowed(output.attentions), kind)]
    start = torch.tensor([model.config.decoder_start_token_id])
    written = _names(tokenizer, torch.cat([start, inputs["labels"][0, :-1].cpu()]))
    color = "infilling" if name == "BART" else "span"
    return [
        AttentionPattern(f"{name} {what}", rows, columns, _allowed(attentions), color)
        for what, rows, columns, attentions in (
            ("encoder", read, read, output.encoder_attentions),
            ("cross attention", written, read, output.cross_attentions),
            ("decoder", written, written, output.decoder_attentions),
        )
    ]


@checked
def attention_picture(
    patterns: Annotated[Sequence[AttentionPattern], Field(min_length=1)],
) -> Card:
    """Small multiples: a row is a token that looks, and a filled cell what it may look at."""
    across = min(COLUMNS, len(patterns))
    down = math.ceil(len(patterns) / across)
    figure, axes = plt.subplots(down, across, figsize=(3.2 * across, 3.2 * down), squeeze=False)
    for ax in axes.flat[len(patterns) :]:
        ax.set_visible(False)
    for ax, pattern in zip(axes.flat, patterns, strict=False):
        _draw(ax, pattern)
    return picture(figure, "Which token may look at which. " + " ".join(f"{p}." for p in patterns))


def _draw(ax: Axes, pattern: AttentionPattern) -> None:
    sns.heatmap(
        pattern.allowed.numpy(),
        cmap=ListedColormap([OFF, color_of(pattern.color)]),
        vmin=0,
        vmax=1,
        cbar=False,
        square=True,
        linewidths=1.5,
        xticklabels=pattern.columns,
        yticklabels=pattern.rows,
        ax=ax,
    )
    ax.set(title=pattern.title, xlabel="is looked at (key)", ylabel="looks (query)")
    ax.tick_params(length=0, labelsize=8)


def _in_words(allowed: BoolTensor) -> str:
    """What a pattern looks like, for those who cannot see it; true of any pattern."""
    rows, columns = allowed.shape
    lower = torch.ones_like(allowed).tril()
    if allowed.all():
        return f"each of {rows} tokens looks at all {columns}"
    if rows == columns and torch.equal(allowed, lower):
        return f"each of {rows} tokens looks at itself and those before it"
    seen = int(allowed[0].sum())
    block = lower.clone()
    block[:seen, :seen] = True
    if rows == columns and torch.equal(allowed, block):
        return (
            f"the first {seen} of {rows} tokens look at each other, "
            "every later one at itself and those before it"
        )
    return f"{int(allowed.sum())} of {allowed.numel()} pairs, in no simple pattern"


def _allowed(attentions: Sequence[Tensor]) -> BoolTensor:
    """Where any layer and head of [1, heads, rows, columns] is above zero: [rows, columns]."""
    return (torch.stack(list(attentions)) > 0).any(dim=0)[0].any(dim=0).cpu()


def _prefix_mask(length: int, prefix: int) -> Tensor:
    """Added to the scores, [1, 1, length, length]: 0 where attention is allowed."""
    allowed = torch.ones(length, length, dtype=torch.bool).tril()
    allowed[:prefix, :prefix] = True
    return torch.zeros(length, length).masked_fill(~allowed, torch.finfo(torch.float32).min)[
        None, None
    ]


def _names(tokenizer: PreTrainedTokenizerBase, ids: Tensor) -> list[str]:
    return [visible(token) for token in tokenizer.convert_ids_to_tokens(ids.tolist())]


@contextmanager
def _attention_shown(model: PreTrainedModel) -> Iterator[None]:
    """Within, attention is computed step by step: the fused kernels do not return its weights."""
    parts = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    before = [part.config._attn_implementation for part in parts]
    unfuse_attention(model)
    try:
        yield
    finally:
        for part, implementation in zip(parts, before, strict=True):
            part.set_attn_implementation(implementation)
