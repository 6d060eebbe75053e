"""Which word belongs in the gap: one question that models of every kind can be asked.

Each kind answers in its own way:

- masked: one look at the text with a mask in the gap; the mask is a distribution over words.
- seq2seq: one look with a sentinel in the gap, then log p(word | text) by the decoder.
- causal: it reads from left to right, so it cannot be asked about a gap. But p(word | rest) is
  proportional to p(whole text with the word in it), so it can rank words by that, a look for each
  of them. With `context="left"` it guesses from the left side alone, as it would write.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from torch import LongTensor, Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_lib.corpora import NO_TARGET
from course_lib.corpora.padding import pad_rows
from course_lib.evaluation.likelihood.losses import token_losses
from course_lib.models import context_length, evaluation_mode
from course_lib.models.inspection import document_marks, require_tokenizer
from course_lib.objectives.loss import kind_of
from course_lib.runtime.checks import BadArgumentError, SomeTexts, checked
from course_lib.runtime.errors import CourseError

GAP = "{}"
SENTINEL = "<extra_id_0>"
_BATCH = 256


class _Filled(NamedTuple):
    """A text with a candidate in its gap: the tokens, and from where to where the candidate is."""

    ids: list[int]
    first: int
    end: int


@checked
def candidate_log_probs(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    texts: SomeTexts,
    candidates: SomeTexts,
    context: Literal["both", "left"] = "both",
) -> Tensor:
    """Log-probabilities `[texts, candidates]` of each candidate in the gap of each text.

    The gap of a text is written `{}`. Probabilities are shared out among the candidates, so each
    row sums to one, and the nats of the right candidate can be compared between models, whatever
    their tokenizers and objectives are.

    Args:
        context: "left" lets a causal model see only what comes before the gap.

    Raises:
        BadArgumentError: no texts or candidates, a text without exactly one gap, a candidate that
            is empty or comes twice, another `context`, or "left" for a model that is not causal.
        CourseError: a masked model and a candidate that is not one token; an encoder-decoder
            without sentinels; another model's tokenizer; a text that is longer than the context.
    """
    _check(texts, candidates)
    kind = kind_of(model)
    require_tokenizer(model, tokenizer)
    if context == "left" and kind != "causal":
        raise BadArgumentError(f'context="left" is for a causal model; this is a {kind} one.')
    filled = [_fill(tokenizer, text, candidates) for text in texts]
    if kind == "masked":
        scores = _by_mask(model, tokenizer, filled, candidates)
    elif kind == "seq2seq":
        scores = _by_sentinel(model, tokenizer, filled)
    else:
        scores = _by_whole_text(model, tokenizer, filled, context)
    return scores.double().log_softmax(dim=1)


def _check(texts: Sequence[str], candidates: Sequence[str]) -> None:
    for text in texts:
        if text.count(GAP) != 1:
            raise BadArgumentError(f"{text[:40]!r} must have exactly one gap, written {GAP}.")
    for candidate in candidates:
        if not candidate.strip():
            raise BadArgumentError(f"candidates has {candidate!r}: give words, not empty ones.")
        if candidates.count(candidate) > 1:
            raise BadArgumentError(f"candidates has {candidate!r} twice: give each once.")


def _fill(
    tokenizer: PreTrainedTokenizerBase, text: str, candidates: Sequence[str]
) -> list[_Filled]:
    start = text.index(GAP)
    encoded = tokenizer(
        [text.replace(GAP, candidate) for candidate in candidates],
        return_offsets_mapping=True,
        split_special_tokens=True,
        verbose=False,
    )
    rows = []
    for candidate, ids, offsets in zip(
        candidates, encoded["input_ids"], encoded["offset_mapping"], strict=True
    ):
        # A piece belongs to the gap if its last character does; the space before it may, too.
        end = start + len(candidate)
        inside = [i for i, (_, last) in enumerate(offsets) if start < last <= end]
        if not inside:
            raise CourseError(f"{candidate!r} gives no token of this tokenizer: leave it out.")
        rows.append(_Filled(ids, inside[0], inside[-1] + 1))
    return rows


def _by_mask(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    filled: list[list[_Filled]],
    candidates: Sequence[str],
) -> Tensor:
    tokens = []
    for rows in filled:
        for row, candidate in zip(rows, candidates, strict=True):
            if row.end - row.first > 1 or row.ids[row.first] == tokenizer.unk_token_id:
                raise CourseError(f"{candidate!r} is not one token: leave it out (is_one_token).")
        tokens.append([row.ids[row.first] for row in rows])
    if tokenizer.mask_token_id is None:
        raise CourseError("The tokenizer has no mask token: use the one of the masked model.")
    questions = [
        [*rows[0].ids[: rows[0].first], tokenizer.mask_token_id, *rows[0].ids[rows[0].end :]]
        for rows in filled
    ]
    scores = []
    for start, batch, mask in _batches(model, tokenizer, questions):
        with evaluation_mode(model) as device:
            logits = model(input_ids=batch.to(device), attention_mask=mask.to(device)).logits
        at = logits[(batch == tokenizer.mask_token_id).to(device)].float().cpu()
        scores.append(at.gather(1, torch.tensor(tokens[start : start + len(batch)])))
    return torch.cat(scores)


def _by_sentinel(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, filled: list[list[_Filled]]
) -> Tensor:
    sentinel = tokenizer.get_vocab().get(SENTINEL)
    if sentinel is None:
        raise CourseError(f"The tokenizer has no {SENTINEL}: candidates need a T5.")
    scores = []
    for rows in filled:
        # Made from ids: a tokenizer would cut the text otherwise beside a sentinel.
        before, after = rows[0].ids[: rows[0].first], rows[0].ids[rows[0].end :]
        answers = [[sentinel, *row.ids[row.first : row.end]] for row in rows]
        question = torch.tensor([[*before, sentinel, *after]])
        with evaluation_mode(model) as device:
            seen = model.get_encoder()(input_ids=question.to(device)).last_hidden_state
        losses = []
        for _, batch, mask in _batches(model, tokenizer, answers):
            states = (seen.expand(len(batch), -1, -1).contiguous(),)
            labels = batch.masked_fill(mask == 0, NO_TARGET)
            given = {"decoder_input_ids": model.prepare_decoder_input_ids_from_labels(labels)}
            losses.append(_decoder_losses(model, states, given, labels))
        scores.append(-torch.cat(losses))
    return torch.stack(scores)


def _decoder_losses(
    model: PreTrainedModel, states: tuple[Tensor], given: dict[str, Tensor], labels: LongTensor
) -> Tensor:
    with evaluation_mode(model) as device:
        inputs = {key: value.to(device) for key, value in given.items()}
        logits = model(encoder_outputs=states, **inputs, use_cache=False).logits.float().cpu()
    flat = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=NO_TARGET, reduction="none"
    )
    return flat.view(labels.shape).double().sum(dim=1)


def _by_whole_text(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    filled: list[list[_Filled]],
    context: str,
) -> Tensor:
    """What a candidate adds: the text up to its end, or the whole text and that it ends there."""
    marks = document_marks(tokenizer)
    texts = [
        _document(row.ids[: row.end] if context == "left" else row.ids, *marks, context == "both")
        for rows in filled
        for row in rows
    ]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # like lengths, little padding
    scores = torch.zeros(len(texts), dtype=torch.float64)
    for start, batch, mask in _batches(model, tokenizer, [texts[i] for i in order]):
        labels = batch.masked_fill(mask == 0, NO_TARGET)
        losses = token_losses(model, {"input_ids": batch, "attention_mask": mask, "labels": labels})
        places = torch.tensor(order[start : start + len(batch)])
        scores[places] = -losses.cpu().double().nansum(dim=1)
    return scores.view(len(filled), -1)


def _document(ids: list[int], opening: int, closing: int, closed: bool) -> list[int]:
    """The tokens behind the mark that opens a document and, if it is `closed`, before its end.

    Some tokenizers write the marks themselves. Without the first, the first word has no score.
    """
    if ids[0] != opening:
        ids = [opening, *ids]
    return [*ids, closing] if closed and (len(ids) < 2 or ids[-1] != closing) else ids


def _batches(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, rows: Sequence[list[int]]
) -> Iterator[tuple[int, LongTensor, LongTensor]]:
    """Batches: number of the first row, ids and attention mask."""
    limit, longest = context_length(model), max(map(len, rows))
    if limit is not None and longest > limit:
        raise CourseError(
            f"A text with its gap filled has {longest} tokens and the model reads {limit}: "
            "shorten it."
        )
    for start in range(0, len(rows), _BATCH):
        batch = pad_rows(rows[start : start + _BATCH], tokenizer)
        yield start, batch["input_ids"], batch["attention_mask"]
