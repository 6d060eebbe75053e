"""Letting an encoder-decoder write: greedy and beam search.

The encoder reads the source once. The decoder then writes one token after the other, each given
those before it. Greedy search takes the likeliest token each time; beam search keeps the few
likeliest beginnings, because the likeliest text may begin with a token that is not.
"""

from typing import Annotated, Any

import torch
from pydantic import BeforeValidator
from torch import LongTensor, Tensor, nn
from transformers import PreTrainedTokenizerBase

from course_lib.corpora.pairs import encode_sources
from course_lib.models import context_length, evaluation_mode, require_kind
from course_lib.runtime.checks import Count, Number, SomeTexts, checked


def _as_sources(value: Any) -> dict[str, Tensor]:
    names = ("input_ids", "attention_mask")
    if not hasattr(value, "keys") or not set(names) <= set(value.keys()):
        raise ValueError("give input_ids and attention_mask, as encode_sources makes them")
    found = {name: value[name] for name in names}
    shapes = {getattr(part, "shape", None) for part in found.values()}
    if len(shapes) > 1 or None in shapes or found["input_ids"].ndim != 2:
        raise ValueError("give two tensors of one shape [rows, positions]")
    return found


Sources = Annotated[dict[str, Tensor], BeforeValidator(_as_sources)]


@checked
def generate_targets(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    sources: SomeTexts,
    *,
    beams: Count = 1,
    length_penalty: Number = 1.0,
    max_new_tokens: Count = 64,
    batch_size: Count = 64,
) -> list[str]:
    """The text that the model writes for each source: greedy search, or with `beams` beam search.

    Special tokens are left out, T5's sentinels too; `greedy_search` and `beam_search` give them.

    Raises:
        BadArgumentError: no sources, or fewer than 1 beam or new token.
        CourseError: the model is no encoder-decoder, the tokenizer another model's, or a source has
            more tokens than the model can read.
    """
    require_kind(model, "seq2seq", "generate_targets", tokenizer)
    encoded = encode_sources(tokenizer, sources, max_length=context_length(model))
    lengths = encoded["attention_mask"].sum(dim=1)
    written = [""] * len(sources)
    for rows in lengths.argsort().split(batch_size):  # like lengths together: little padding
        batch = {name: value[rows, : lengths[rows].max()] for name, value in encoded.items()}
        if beams == 1:
            ids = greedy_search(model, batch, max_new_tokens)
        else:
            ids = beam_search(model, batch, beams, max_new_tokens, length_penalty)
        texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
        for row, text in zip(rows.tolist(), texts, strict=True):
            written[row] = text
    return written


@checked
def greedy_search(model: nn.Module, batch: Sources, max_new_tokens: Count = 64) -> LongTensor:
    """The likeliest next token, again and again, until the end token.

    Args:
        model: an encoder-decoder.
        batch: `input_ids` and `attention_mask` [rows, positions].
        max_new_tokens: how long a text may get.

    Returns:
        Token ids [rows, longest text], without the start token, with padding after the end token.

    Raises:
        BadArgumentError: another batch, or no new token allowed.
        CourseError: the model is no encoder-decoder.
    """
    require_kind(model, "seq2seq", "greedy_search")
    limit = _limit(model, max_new_tokens)
    with evaluation_mode(model):
        decoder = _Decoder(model, batch)
        token = decoder.start
        going_on = torch.ones_like(token, dtype=torch.bool)
        written: list[Tensor] = []
        while going_on.any() and len(written) < limit:
            token = decoder.log_probs(token).argmax(dim=-1)
            token = token.where(going_on, model.config.pad_token_id)
            written.append(token)
            going_on = going_on & (token != model.config.eos_token_id)
    return torch.stack(written, dim=1).cpu()


@checked
def beam_search(
    model: nn.Module,
    batch: Sources,
    beams: Count,
    max_new_tokens: Count = 64,
    length_penalty: Number = 1.0,
) -> LongTensor:
    """The best text that a search with `beams` unfinished beginnings at a time finds.

    A text's score is log p(text) / tokens ** length_penalty: each further token costs probability,
    so 0 prefers short texts, 1 is the mean per token. A search ends when it has `beams` finished
    texts and its best beginning, as long as it is now, scores no better than any of them.

    Args, returns and raises as `greedy_search`.
    """
    require_kind(model, "seq2seq", "beam_search")
    limit = _limit(model, max_new_tokens)
    with evaluation_mode(model):
        decoder = _Decoder(model, batch, copies=beams)
        token, rows = decoder.start, len(decoder.start) // beams
        # Unfinished beginnings, the best first. All are empty now, so only one of them counts.
        scores = token.new_full((rows, beams), -torch.inf, dtype=torch.float)
        scores[:, 0] = 0
        written = token.new_full((rows, beams, limit), model.config.pad_token_id)
        finished, final_scores = written, torch.full_like(scores, -torch.inf)
        searching = torch.ones_like(scores[:, :1], dtype=torch.bool)
        first_of_row = torch.arange(rows, device=token.device)[:, None] * beams
        for place in range(limit):
            log_probs = decoder.log_probs(token).view(rows, beams, -1) + scores[:, :, None]
            # Twice as many as needed: even if every beam could end here, as many go on.
            scores, index = log_probs.flatten(1).topk(2 * beams)
            beam, token = index // log_probs.shape[-1], index % log_probs.shape[-1]
            candidates = _pick(written, beam)
            candidates[:, :, place] = token
            ends = (token == model.config.eos_token_id) | (place + 1 == limit)

            # A text that ends counts if it is among the best `beams`.
            counts = ends & searching & (torch.arange(2 * beams, device=token.device) < beams)
            length = (place + 1) ** length_penalty
            ended_scores = (scores / length).where(counts, -torch.inf)
            final_scores, best = torch.cat([final_scores, ended_scores], dim=1).topk(beams)
            finished = _pick(torch.cat([finished, candidates], dim=1), best)

            scores, kept = scores.masked_fill(ends, -torch.inf).topk(beams)
            written, token = _pick(candidates, kept), token.gather(1, kept).flatten()
            searching = searching & (scores[:, :1] / length > final_scores[:, -1:])
            if not searching.any():
                break
            decoder.keep((first_of_row + beam.gather(1, kept)).flatten())
    longest = int((finished[:, 0] != model.config.pad_token_id).sum(dim=1).max())
    return finished[:, 0, :longest].cpu()


class _Decoder:
    """A decoder that remembers what it has read: its keys and values of earlier tokens."""

    def __init__(self, model: nn.Module, batch: dict[str, Tensor], copies: int = 1) -> None:
        batch = {name: value.to(model.device) for name, value in batch.items()}
        states = model.get_encoder()(**batch).last_hidden_state
        self.model, self.cache = model, None
        self.source = (states.repeat_interleave(copies, dim=0),)
        self.mask = batch["attention_mask"].repeat_interleave(copies, dim=0)
        self.start = self.mask.new_full((len(self.mask),), model.config.decoder_start_token_id)

    def log_probs(self, token: LongTensor) -> Tensor:
        """Read the tokens [rows] and return log-probabilities of the next [rows, vocabulary]."""
        output = self.model(
            encoder_outputs=self.source,
            attention_mask=self.mask,
            decoder_input_ids=token[:, None],
            past_key_values=self.cache,
            use_cache=True,
        )
        self.cache = output.past_key_values
        return output.logits[:, -1].float().log_softmax(dim=-1)

    def keep(self, rows: LongTensor) -> None:
        """Go on from these rows: a beginning may be continued twice, or not at all."""
        self.cache.reorder_cache(rows)


def _pick(texts: Tensor, index: LongTensor) -> Tensor:
    """`texts` [rows, n, length] at `index` [rows, k]: [rows, k, length]."""
    return texts.gather(1, index[:, :, None].expand(-1, -1, texts.shape[-1]))


def _limit(model: nn.Module, max_new_tokens: int) -> int:
    """What may be written; a table of positions, which has a place for the start token, ends it."""
    return min(max_new_tokens, context_length(model) or max_new_tokens)
