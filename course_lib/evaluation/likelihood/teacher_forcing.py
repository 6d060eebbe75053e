"""How well an encoder-decoder predicts given targets, each token from the true ones before it."""

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedTokenizerBase

from course_lib.corpora import NO_TARGET, encode_pairs, without_padding
from course_lib.models import context_length, evaluation_mode, require_kind
from course_lib.runtime.checks import Count, SomeTexts, checked


@checked
def teacher_forcing(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    sources: SomeTexts,
    targets: SomeTexts,
    batch_size: Count = 64,
) -> pd.DataFrame:
    """Score given targets: a row each, with `nats`, `tokens` and `right`.

    The model predicts each token of a target from the *true* tokens before it (Williams and Zipser
    1989), in one pass. `nats` is -log p(target | source), `right` the number of tokens that were
    the likeliest; `nats / tokens` is the loss and `right / tokens` the accuracy. Writing by itself
    is harder: see `generate_targets`.

    Raises:
        CourseError: the model is no encoder-decoder, the tokenizer another model's, or a text has
            more tokens than the model can read.
        BadArgumentError: no pairs, or not as many targets as sources.
    """
    require_kind(model, "seq2seq", "teacher_forcing", tokenizer)
    pairs = encode_pairs(tokenizer, sources, targets, max_length=context_length(model))
    order = pairs["attention_mask"].sum(dim=1).argsort()  # like lengths together: little padding
    nats = torch.zeros(len(order), dtype=torch.float64)
    right = torch.zeros(len(order), dtype=torch.long)
    for rows in order.split(batch_size):
        batch = without_padding({name: value[rows] for name, value in pairs.items()})
        with evaluation_mode(model) as device:
            batch = {name: value.to(device) for name, value in batch.items()}
            labels = batch.pop("labels")
            shifted = model.prepare_decoder_input_ids_from_labels(labels)
            logits = model(**batch, decoder_input_ids=shifted, use_cache=False).logits.float()
        losses = F.cross_entropy(logits.mT, labels, ignore_index=NO_TARGET, reduction="none")
        nats[rows] = losses.cpu().double().sum(dim=1)
        right[rows] = (logits.argmax(dim=-1) == labels).sum(dim=1).cpu()
    tokens = (pairs["labels"] != NO_TARGET).sum(dim=1)
    return pd.DataFrame({"nats": nats.numpy(), "tokens": tokens.numpy(), "right": right.numpy()})
