"""Asking a tuned model: what it writes after a prompt, and which of several answers it prefers.

Prompts of one length are read together, so no row is padded, and what a model says does not depend
on the company in which it was asked (but for rounding).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch import LongTensor, Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_lib.corpora.pairs import NO_TARGET
from course_lib.corpora.templates import Template, encode_completions, encode_prompts
from course_lib.models import context_length, evaluation_mode, require_kind
from course_lib.runtime.checks import BadArgumentError, Count, SomeTexts, checked
from course_lib.runtime.errors import CourseError

_BATCH = 32


@checked
def answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: SomeTexts,
    *,
    template: Template = "chat",
    new_tokens: Count = 32,
) -> list[str]:
    """What a causal model writes after each prompt: the likeliest token, again and again.

    An answer ends at the end token, after `new_tokens`, or where the model's positions do. Special
    tokens are left out.

    Raises:
        BadArgumentError: an argument of another type.
        CourseError: the model is not causal, the tokenizer lacks what the template needs, or a
            prompt is so long that there is no room for an answer.
    """
    require_kind(model, "causal", "answers", tokenizer)
    written = [""] * len(prompts)
    for places, ids in _by_length(encode_prompts(prompts, tokenizer, template)):
        room = (context_length(model) or ids.shape[1] + new_tokens) - ids.shape[1]
        if room < 1:
            raise CourseError(
                f"{prompts[places[0]][:40]!r}... has {ids.shape[1]} tokens in its template, and the"
                f" model reads {context_length(model)}: shorten it."
            )
        with evaluation_mode(model) as device:
            rows = model.generate(
                input_ids=ids.to(device),
                attention_mask=torch.ones_like(ids).to(device),
                max_new_tokens=min(new_tokens, room),
                do_sample=False,
                num_beams=1,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.eos_token_id,
            )
        for place, row in zip(places, rows[:, ids.shape[1] :].tolist(), strict=True):
            end = tokenizer.eos_token_id
            row = row[: row.index(end)] if end in row else row
            written[place] = tokenizer.decode(row, skip_special_tokens=True).strip()
    return written


@checked
def choice_log_probs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: SomeTexts,
    choices: Sequence[Sequence[str]],
    *,
    template: Template = "chat",
) -> list[Tensor]:
    """log p(choice | prompt) in nats for each choice of each prompt, its end not counted.

    The model reads a prompt once; the choices go on from there. A longer choice has more to lose.

    Returns:
        A tensor [choices] for each prompt, in fp64, on the CPU.

    Raises:
        BadArgumentError: an argument of another type, or not a list of choices for each prompt.
        CourseError: as `answers`.
    """
    require_kind(model, "causal", "choice_log_probs", tokenizer)
    if len(choices) != len(prompts) or not all(choices):
        raise BadArgumentError(
            f"{len(prompts)} prompts and {len(choices)} lists of choices: give each prompt a list "
            "of at least one."
        )
    found: list[Tensor] = [torch.empty(0)] * len(prompts)
    for places, ids in _by_length(encode_prompts(prompts, tokenizer, template)):
        rows, owner = [], []
        for row, place in enumerate(places):
            for ended in encode_completions(list(choices[place]), tokenizer, template):
                rows.append(ended[:-1])
                owner.append(row)
        scores = _after(model, ids, rows, torch.tensor(owner))
        for row, place in enumerate(places):
            found[place] = scores[torch.tensor(owner) == row]
    return found


def _after(
    model: PreTrainedModel, prompts: LongTensor, rows: list[list[int]], owner: LongTensor
) -> Tensor:
    """Summed log-probability of each row behind the prompt that it belongs to."""
    labels = torch.nn.utils.rnn.pad_sequence([torch.tensor(r) for r in rows], True, NO_TARGET)
    with evaluation_mode(model) as device:
        read = model(input_ids=prompts.to(device), use_cache=True, logits_to_keep=1)
        first = read.logits[:, -1:][owner.to(device)]
        logits = first
        if labels.shape[1] > 1:
            cache = read.past_key_values
            cache.batch_select_indices(owner.to(device))
            # Padding stands behind what is scored, where nothing scored can see it.
            inputs = labels[:, :-1].clamp(min=0).to(device)
            rest = model(input_ids=inputs, past_key_values=cache, use_cache=True).logits
            logits = torch.cat([first, rest], dim=1)
    log_probs = logits.float().log_softmax(dim=-1).cpu()
    picked = log_probs.gather(2, labels.clamp(min=0)[:, :, None]).squeeze(2).double()
    return picked.masked_fill(labels == NO_TARGET, 0).sum(dim=1)


def _by_length(rows: Sequence[list[int]]) -> Iterator[tuple[list[int], LongTensor]]:
    """Batches of rows of one length: their places, and their ids `[rows, length]`."""
    groups = defaultdict(list)
    for place, row in enumerate(rows):
        groups[len(row)].append(place)
    for _, places in sorted(groups.items()):
        for start in range(0, len(places), _BATCH):
            part = places[start : start + _BATCH]
            yield part, torch.tensor([rows[place] for place in part])
