"""One text under any objective: what the model reads, and what it has to answer."""

from typing import Literal

import torch
from torch import LongTensor
from transformers import PreTrainedTokenizerFast

from course_lib.classroom.cards import Card
from course_lib.classroom.token_display import NO_TARGET, token_strip
from course_lib.corpora import tokenizer_for
from course_lib.corpora.tokenizers import SENTINELS
from course_lib.objectives import CausalLM, MaskedLM, SpanCorruption, TextInfilling
from course_lib.objectives.registry import Objective
from course_lib.runtime import CourseError, generator
from course_lib.runtime.checks import Count, Positive, Share, Text, Whole, checked

READERS = {
    "masked": ("bert", "BERT"),
    "causal": ("gpt2", "GPT-2"),
    "span": ("t5", "T5"),
    "infilling": ("bart", "BART"),
}
GAPS = {"<mask>", *SENTINELS}


@checked
def corruption_card(
    text: Text = "The cat sat on the mat. It says meow when it is hungry.",
    objective: Literal["masked", "causal", "span", "infilling"] = "span",
    rate: Share = 0.3,
    mean_span: Positive = 2,
    seed: Whole = 0,
    corpus: Text = "world",
    vocab_size: Count = 1024,
) -> Card:
    """Corrupt a text as an objective does and show both sides as token strips.

    The tokenizer is that of the family which the objective is known from, made for `corpus`. Made
    for `explore`:

        explore(corruption_card, text="", objective=["masked", "causal", "span", "infilling"],
                rate=(0.05, 0.9, 0.05), mean_span=(1, 6, 1), seed=(0, 20, 1))

    Raises:
        CourseError: an unknown objective, no text; or as the objective itself.
    """
    if not text.strip():
        raise CourseError("There is no text to corrupt: write a sentence.")
    family, reader = READERS[objective]
    tokenizer = tokenizer_for(family, corpus, vocab_size)
    # T5's objective closes both sides with the end token itself.
    ids = tokenizer(text, add_special_tokens=objective != "span", return_tensors="pt")["input_ids"]
    batch = _objective(objective, tokenizer, rate, mean_span)(ids, generator(seed, "corruption"))
    read, labels = batch["input_ids"][0], batch["labels"][0]
    if objective == "causal":  # the model shifts, so that a token's target is the one after it
        labels = torch.cat([labels[1:], torch.tensor([NO_TARGET])])
    targets = int((labels != NO_TARGET).sum())
    if objective in ("masked", "causal"):
        heading = f"{reader} reads {len(read)} tokens, and {targets} have an answer to give:"
        note = {
            "masked": "Spans play no part: each token is chosen by itself.",
            "causal": "Nothing is corrupted: rate, spans and seed play no part.",
        }[objective]
        answers = _names(tokenizer, labels)
        strip = token_strip(_names(tokenizer, read), labels=answers, color=objective)
        return _column(heading, strip, note)
    return _column(
        f"{reader} reads {len(read)} tokens (the text has {ids.shape[1]}):",
        token_strip(_names(tokenizer, read), color=objective, framed=GAPS),
        f"and writes {targets}:",
        token_strip(_names(tokenizer, labels[labels != NO_TARGET]), color=objective, framed=GAPS),
    )


def _objective(
    name: str, tokenizer: PreTrainedTokenizerFast, rate: float, mean_span: float
) -> Objective:
    match name:
        case "masked":
            return MaskedLM.from_tokenizer(tokenizer, rate=rate)
        case "causal":
            return CausalLM.from_tokenizer(tokenizer)
        case "span":
            return SpanCorruption.from_tokenizer(tokenizer, rate=rate, mean_span=mean_span)
    return TextInfilling.from_tokenizer(tokenizer, rate=rate, mean_span=mean_span)


def _names(tokenizer: PreTrainedTokenizerFast, ids: LongTensor) -> list[str | None]:
    return [tokenizer.convert_ids_to_tokens(i) if i >= 0 else None for i in ids.tolist()]


def _column(*parts: Card | str) -> Card:
    """Words and cards below one another."""
    html = "".join(p.html if isinstance(p, Card) else f"<div>{p}</div>" for p in parts)
    return Card(html, "\n".join(p.text if isinstance(p, Card) else p for p in parts))
