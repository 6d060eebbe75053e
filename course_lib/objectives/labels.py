"""The loss of a new head: cross-entropy of labels, for whole texts or for each word."""

import torch
from torch import Tensor, nn

from course_lib.corpora import NO_TARGET


def label_logits(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Logits that match the labels: one row a text `[batch, labels]`, or one a token.

    For a label of the whole text BERT looks at the first token, which its second objective, next
    sentence prediction, had taught to sum up the text. A model trained by masking alone has no such
    token, so the tokens vote: the text's logits are the mean over its tokens (mean pooling: Reimers
    and Gurevych 2019, section 3).
    """
    inputs = {key: value for key, value in batch.items() if key != "labels"}
    logits = model(**inputs).logits.float()
    if batch["labels"].ndim == 2:
        return logits.flatten(0, 1)
    seen = batch["attention_mask"].unsqueeze(2)
    return (logits * seen).sum(dim=1) / seen.sum(dim=1)


def label_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Summed cross-entropy of the labels, in nats; the loop divides by their number."""
    return torch.nn.functional.cross_entropy(
        label_logits(model, batch),
        batch["labels"].flatten(),
        ignore_index=NO_TARGET,
        reduction="sum",
    )


def count_labels(model: nn.Module, batch: dict[str, Tensor]) -> int:
    """The number of labels that `label_loss` sums over."""
    return int((batch["labels"] != NO_TARGET).sum())
