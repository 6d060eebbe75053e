"""What the arms of notebook 04 write, and whether the world could have: part of the experiment."""

import re
from functools import cache

import torch
from transformers import PreTrainedModel

from course_lib.corpora import world_of
from course_lib.corpora.packing import encode
from course_lib.objectives.loss import kind_of
from course_lib.runtime import generator
from course_lib.studies.one_body import CORPUS, LENGTH, Text
from course_lib.studies.writing import Proofreader, finished

STRANGE = 1  # seed of the documents whose lengths a masked arm is told
ROUNDS = 3  # through a text: once to fill it, twice to think again
_BETWEEN = re.compile(r"(?<=[.!?]) (?!Answer:)")


@torch.no_grad()
def write(model: PreTrainedModel, text: Text, count: int = 32, seed: int = 0) -> list[str]:
    """Texts that the model writes from nothing, drawn from its own distribution.

    A causal model goes from left to right. A masked one is told how long the text is, fills a row
    of masks in random order, then goes through it twice more (Wang and Cho 2019).
    """
    model.eval()
    by_kind = {"causal": _from_the_left, "masked": _gap_by_gap}
    ids = by_kind[kind_of(model)](model, text, count, seed)
    return [finished(t) for t in text.tokenizer.batch_decode(ids, skip_special_tokens=True)]


def _from_the_left(model: PreTrainedModel, text: Text, count: int, seed: int) -> torch.Tensor:
    tokenizer, draws = text.tokenizer, generator("arms", "write", seed)
    closing, nothing = tokenizer.sep_token_id, tokenizer.pad_token_id
    never = sorted(set(tokenizer.all_special_ids) - {closing})
    ids = torch.full((count, 1), tokenizer.cls_token_id)
    over = torch.zeros(count, dtype=torch.bool)
    while ids.shape[1] < LENGTH and not over.all():
        logits = model(input_ids=ids, use_cache=False).logits[:, -1]
        drawn = _drawn(logits, never, draws).masked_fill(over, nothing)
        ids, over = torch.cat([ids, drawn[:, None]], dim=1), over | (drawn == closing)
    return ids


def _gap_by_gap(model: PreTrainedModel, text: Text, count: int, seed: int) -> torch.Tensor:
    tokenizer, draws = text.tokenizer, generator("arms", "write", seed)
    real = encode(world_of(CORPUS).documents(count, seed=STRANGE + seed), tokenizer)
    ends = torch.tensor([min(len(row), LENGTH) - 1 for row in real])
    places, rows = torch.arange(LENGTH), torch.arange(count)
    inside, seen = (places > 0) & (places < ends[:, None]), (places <= ends[:, None]).long()
    ids = torch.full((count, LENGTH), tokenizer.pad_token_id)
    ids = torch.where(inside, tokenizer.mask_token_id, ids)
    ids[:, 0], ids[rows, ends] = tokenizer.cls_token_id, tokenizer.sep_token_id
    for _ in range(ROUNDS):
        order = torch.rand(ids.shape, generator=draws).masked_fill(~inside, 2.0).argsort(dim=1)
        for number in range(int(inside.sum(dim=1).max())):
            place = order[:, number]
            asked, before = inside[rows, place], ids[rows, place]
            ids[rows, place] = before.masked_fill(asked, tokenizer.mask_token_id)
            states = model.base_model(input_ids=ids, attention_mask=seen, use_cache=False)
            logits = model.lm_head(states.last_hidden_state[rows, place])
            drawn = _drawn(logits, tokenizer.all_special_ids, draws)
            ids[rows, place] = torch.where(asked, drawn, before)
    return ids


def _drawn(logits: torch.Tensor, never: list[int], draws: torch.Generator) -> torch.Tensor:
    """One token a row of logits `[rows, vocabulary]`."""
    logits[:, never] = -torch.inf
    return torch.multinomial(logits.softmax(dim=-1), 1, generator=draws).squeeze(1)


@cache
def _proofreader() -> Proofreader:
    return Proofreader(world_of(CORPUS))


def well_formed(texts: list[str]) -> list[tuple[str, bool]]:
    """Each sentence, and whether the world could have written it of somebody."""
    sentences = [part for text in texts for part in _BETWEEN.split(text) if part]
    return [(sentence, _proofreader().well_formed(sentence)) for sentence in sentences]
