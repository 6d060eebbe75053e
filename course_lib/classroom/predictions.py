"""Bars of what a model expects next, whatever its kind: the next token, a mask, a span's first."""

from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import LongTensor, Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_lib.classroom.plots import color_of
from course_lib.classroom.token_display import visible
from course_lib.generation import filter_logits
from course_lib.models import context_length, evaluation_mode
from course_lib.objectives.loss import kind_of
from course_lib.runtime import CourseError
from course_lib.runtime.checks import Count, NotNegative, Share, Text, checked

ASKED = {"causal": "next token after", "masked": "first mask of", "seq2seq": "first gap of"}
LONGEST = 60  # characters of a prompt that a title shows


@checked
def next_token_bars(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: Text,
    *,
    k: Count = 10,
    temperature: NotNegative = 1.0,
    top_k: Count | None = None,
    top_p: Share | Literal[1] = 1.0,
) -> Figure:
    """The k likeliest tokens as bars: as trained, and as drawn from (`filter_logits`).

    A causal model is asked what follows the prompt; a masked one for the prompt's first mask; T5
    for the first token behind the first sentinel of the prompt; BART, which writes the whole text
    again, for the token in the place of the first mask. The second set of bars appears only if
    temperature, top-k or top-p changes something. The figure's label is its alternative text.

    Raises:
        CourseError: the prompt has no mask or sentinel for a model that needs one, or is longer
            than it reads (for a causal model the oldest tokens drop out).
        BadArgumentError: a number that is out of range.
    """
    kind = kind_of(model)
    raw = _logits(model, tokenizer, prompt)
    trained = raw.softmax(dim=-1)
    drawn = filter_logits(raw, temperature=temperature, top_k=top_k, top_p=top_p).softmax(dim=-1)
    best = trained.topk(min(k, len(trained))).indices
    before, after = trained[best].tolist(), drawn[best].tolist()
    names = [visible(token) for token in tokenizer.convert_ids_to_tokens(best.tolist())]
    question = f'{ASKED[kind]} "{prompt if len(prompt) <= LONGEST else "…" + prompt[-LONGEST:]}"'
    kept = f"top-p {top_p:g}" if top_k is None else f"top-k {top_k}, top-p {top_p:g}"
    left = int((drawn > 0).sum())
    settings = f"temperature {temperature:g}, {kept}: {left:,} of {len(drawn):,} tokens left"

    figure, ax = plt.subplots()
    places, color = np.arange(len(names)), color_of({"seq2seq": "span"}.get(kind, kind))
    if temperature == 1 and top_p == 1 and top_k is None:
        ax.bar(places, before, width=0.7, color=color)
    else:
        hollow = {"color": "white", "edgecolor": color_of("baseline"), "linewidth": 1.2}
        ax.bar(places - 0.2, before, 0.4, label="as trained", **hollow)
        ax.bar(places + 0.2, after, 0.4, color=color, label=settings)
        ax.legend()
    ax.set_xticks(places, names, rotation=45, parse_math=False)
    ax.set_ylabel("probability")
    ax.set_title(question, parse_math=False)
    ax.grid(axis="x", visible=False)
    odds = ", ".join(f"{name} {p:.2f}" for name, p in zip(names, after, strict=True) if p >= 0.005)
    figure.set_label(f"Probability of the {question} at {settings}. Likeliest: {odds}.")
    return figure


def _logits(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: str) -> Tensor:
    """fp32 logits [vocabulary] of the token that is asked for, on the CPU."""
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    kind, limit = kind_of(model), context_length(model) or ids.shape[1]
    if kind == "causal":
        ids = ids[:, -limit:]
    elif ids.shape[1] > limit:
        raise CourseError(
            f"The prompt has {ids.shape[1]} tokens and the model reads {limit}: shorten it."
        )
    inputs, place = {"input_ids": ids}, -1
    match kind:
        case "masked":
            place = _first(ids, tokenizer.mask_token_id, str(tokenizer.mask_token))
        case "seq2seq":
            inputs["decoder_input_ids"] = _written_before_gap(model, tokenizer, ids)
    with evaluation_mode(model) as device:
        inputs = {name: value.to(device) for name, value in inputs.items()}
        return model(**inputs, use_cache=False).logits[0, place].float().cpu()


def _written_before_gap(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, ids: LongTensor
) -> LongTensor:
    """What the decoder has read when it comes to the first gap: [1, positions]."""
    start = torch.tensor([[model.config.decoder_start_token_id]])
    if model.config.model_type == "t5":
        sentinel = tokenizer.convert_tokens_to_ids("<extra_id_0>")
        place = _first(ids, sentinel, "<extra_id_0>")
        return torch.cat([start, ids[:, place : place + 1]], dim=1)
    place = _first(ids, tokenizer.mask_token_id, str(tokenizer.mask_token))
    return torch.cat([start, ids[:, :place]], dim=1)


def _first(ids: LongTensor, token: int | None, name: str) -> int:
    found = (ids[0] == token).nonzero() if token is not None else torch.empty(0)
    if not len(found):
        raise CourseError(f"The prompt has no {name}: write {name} where something is missing.")
    return int(found[0])
