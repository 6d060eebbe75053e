"""Fill the blank: what a masked model puts where a text has its mask token."""

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

from course_lib.models import context_length, evaluation_mode, require_kind
from course_lib.runtime.errors import CourseError

_BATCH = 64


def cloze(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], k: int = 5
) -> pd.DataFrame:
    """The k likeliest tokens for every blank.

    Returns a row a candidate: `text` and `blank` (both counted from 0), `rank` (from 1), `token`
    without the space around it, `probability`. Blanks of one text are filled independently.

    Raises:
        CourseError: the model is not a masked one, or a text has no mask token or is too long.
    """
    rows = []
    for text, blank, probabilities in _blanks(model, tokenizer, texts):
        best = probabilities.topk(k)
        for rank, (value, token) in enumerate(zip(*map(Tensor.tolist, best), strict=True), 1):
            rows.append((text, blank, rank, tokenizer.decode([token]).strip(), value))
    return pd.DataFrame(rows, columns=["text", "blank", "rank", "token", "probability"])


def cloze_accuracy(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    answers: Sequence[str],
    k: int = 1,
) -> float:
    """The share of texts, one blank each, whose answer is among the k likeliest tokens.

    An answer must be one token where it stands. One of several tokens is refused, not scored: as
    many blanks as it has tokens would tell the model its length. `is_one_token` leaves those out.

    Raises:
        CourseError: as `cloze`; or a text without exactly one blank; or an answer that is not one
            token.
        ValueError: no texts, or not as many answers as texts.
    """
    if not len(texts) or len(texts) != len(answers):
        raise ValueError(f"{len(texts)} texts and {len(answers)} answers: give one answer a text.")
    wanted = [_answer_id(tokenizer, *pair) for pair in zip(texts, answers, strict=True)]
    for text, answer, token in zip(texts, answers, wanted, strict=True):
        if token is None:
            raise CourseError(
                f"{answer!r} is not one token in {text!r}: leave it out (see is_one_token)."
            )
    hits = [
        wanted[text] in probabilities.topk(k).indices.tolist()
        for text, _, probabilities in _blanks(model, tokenizer, texts)
    ]
    return sum(hits) / len(hits)


def is_one_token(tokenizer: PreTrainedTokenizerBase, text: str, answer: str) -> bool:
    """Whether an answer is a single token of the vocabulary in the one blank of a text."""
    return _answer_id(tokenizer, text, answer) is not None


def _answer_id(tokenizer: PreTrainedTokenizerBase, text: str, answer: str) -> int | None:
    """The token an answer becomes in its place, where subwords and spaces are as they would be."""
    if text.count(tokenizer.mask_token or "\0") != 1:
        raise CourseError(f"{text!r} must have exactly one {tokenizer.mask_token}.")
    if not answer.strip():
        return None
    blank = tokenizer(text)["input_ids"]
    place = blank.index(tokenizer.mask_token_id)
    filled = tokenizer(text.replace(tokenizer.mask_token, answer))["input_ids"]
    same = filled[:place] == blank[:place] and filled[place + 1 :] == blank[place + 1 :]
    if not same or len(filled) != len(blank) or filled[place] == tokenizer.unk_token_id:
        return None
    return filled[place]


def _blanks(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> list[tuple[int, int, Tensor]]:
    """(text, blank, probabilities [vocabulary]) of every blank, in reading order."""
    require_kind(model, "masked", "cloze")
    if isinstance(texts, str):
        raise ValueError("texts: give a list of texts.")
    blanks = []
    for start in range(0, len(texts), _BATCH):
        batch = tokenizer(list(texts[start : start + _BATCH]), padding=True, return_tensors="pt")
        masked = batch["input_ids"] == tokenizer.mask_token_id
        _check(model, tokenizer, texts[start : start + _BATCH], masked, batch)
        with evaluation_mode(model) as device:
            logits = model(
                input_ids=batch["input_ids"].to(device),
                attention_mask=batch["attention_mask"].to(device),
            ).logits
        probabilities = logits[masked.to(device)].float().softmax(dim=-1).cpu()
        number = masked.cumsum(dim=1)[masked] - 1
        text = masked.nonzero()[:, 0] + start
        blanks += zip(text.tolist(), number.tolist(), probabilities, strict=True)
    return blanks


def _check(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    masked: Tensor,
    batch: BatchEncoding,
) -> None:
    for text, row in zip(texts, masked, strict=True):
        if not row.any():
            raise CourseError(f"{text!r} has no blank: write {tokenizer.mask_token} where one is.")
    lengths = torch.as_tensor(batch["attention_mask"]).sum(dim=1)
    limit, longest = context_length(model), int(lengths.max())
    if limit is not None and longest > limit:
        text = texts[int(lengths.argmax())]
        raise CourseError(
            f"{text[:40]!r}... has {longest} tokens and the model reads {limit}: shorten it."
        )
