"""Fill the gap: what a masked model finds likely where a text has its mask token."""

import pandas as pd
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from course_lib.corpora import encode, encode_cloze
from course_lib.corpora.padding import pad_rows
from course_lib.corpora.pairs import require_length
from course_lib.models import context_length, evaluation_mode, require_kind
from course_lib.runtime.checks import BadArgumentError, Count, SomeTexts, Text, checked
from course_lib.runtime.errors import CourseError

_BATCH = 64


@checked
def cloze(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, texts: SomeTexts, k: Count = 5
) -> pd.DataFrame:
    """The k likeliest tokens for every gap, which a text marks by the tokenizer's mask token.

    Returns a row a candidate: `text` and `gap` (both counted from 0), `rank` (from 1), `token`
    without the space around it, `probability`. Gaps of one text are filled independently.

    Raises:
        BadArgumentError: no list of texts, or `k` below 1.
        CourseError: the model is not a masked one, the tokenizer another model's, or a text has no
            mask token or is too long.
    """
    rows = []
    for text, gap, probabilities in _gaps(model, tokenizer, texts):
        best = probabilities.topk(min(k, len(probabilities)))
        for rank, (value, token) in enumerate(zip(*map(Tensor.tolist, best), strict=True), 1):
            rows.append((text, gap, rank, tokenizer.decode([token]).strip(), value))
    return pd.DataFrame(rows, columns=["text", "gap", "rank", "token", "probability"])


@checked
def cloze_accuracy(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    texts: SomeTexts,
    answers: SomeTexts,
    k: Count = 1,
) -> float:
    """The share of texts, one gap each, whose answer is among the k likeliest tokens.

    An answer must be one token where it stands. One of several tokens is refused, not scored: as
    many gaps as it has tokens would tell the model its length. `is_one_token` leaves those out.

    Raises:
        BadArgumentError: no texts, or not as many answers as texts.
        CourseError: as `cloze`; or a text without exactly one gap; or an answer that is not one
            token.
    """
    if len(texts) != len(answers):
        raise BadArgumentError(
            f"{len(texts)} texts and {len(answers)} answers: give one answer a text."
        )
    wanted = [_answer_id(tokenizer, *pair) for pair in zip(texts, answers, strict=True)]
    for text, answer, token in zip(texts, answers, wanted, strict=True):
        if token is None:
            raise CourseError(
                f"{answer!r} is not one token in {text[:40]!r}: leave it out (see is_one_token)."
            )
    hits = [
        wanted[text] in probabilities.topk(min(k, len(probabilities))).indices.tolist()
        for text, _, probabilities in _gaps(model, tokenizer, texts)
    ]
    return sum(hits) / len(hits)


@checked
def is_one_token(tokenizer: PreTrainedTokenizerBase, text: Text, answer: Text) -> bool:
    """Whether an answer is a single token of the vocabulary in the one gap of a text.

    Raises:
        BadArgumentError: no texts.
        CourseError: the text has not exactly one mask token, or the tokenizer none at all.
    """
    return _answer_id(tokenizer, text, answer) is not None


def _answer_id(tokenizer: PreTrainedTokenizerBase, text: str, answer: str) -> int | None:
    """The token an answer becomes in its place, where subwords and spaces are as they would be."""
    [asked] = encode_cloze([text], tokenizer)
    if text.count(tokenizer.mask_token) != 1:
        raise CourseError(f"{text[:40]!r} must have exactly one {tokenizer.mask_token}.")
    if not answer.strip():
        return None
    place = asked.index(tokenizer.mask_token_id)
    [filled] = encode([text.replace(tokenizer.mask_token, answer)], tokenizer)
    same = filled[:place] == asked[:place] and filled[place + 1 :] == asked[place + 1 :]
    if not same or len(filled) != len(asked) or filled[place] == tokenizer.unk_token_id:
        return None
    return filled[place]


def _gaps(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, texts: list[str]
) -> list[tuple[int, int, Tensor]]:
    """(text, gap, probabilities [vocabulary]) of every gap, in reading order."""
    require_kind(model, "masked", "cloze", tokenizer)
    encoded = encode_cloze(texts, tokenizer)
    for text, ids in zip(texts, encoded, strict=True):
        if tokenizer.mask_token_id not in ids:
            raise CourseError(
                f"{text[:40]!r} has no gap: write {tokenizer.mask_token} where one is."
            )
    require_length(texts, encoded, context_length(model))
    gaps = []
    for start in range(0, len(texts), _BATCH):
        batch = pad_rows(encoded[start : start + _BATCH], tokenizer)
        masked = batch["input_ids"] == tokenizer.mask_token_id
        places = masked.flatten().nonzero().squeeze(1)
        with evaluation_mode(model) as device:
            logits = model(**{key: value.to(device) for key, value in batch.items()}).logits
        probabilities = logits.flatten(0, 1)[places.to(device)].float().softmax(dim=-1).cpu()
        number = masked.cumsum(dim=1)[masked] - 1
        text = torch.div(places, masked.shape[1], rounding_mode="floor") + start
        gaps += zip(text.tolist(), number.tolist(), probabilities, strict=True)
    return gaps
