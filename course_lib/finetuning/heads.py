"""What encoders are for: a new head on a pre-trained body, trained on a few labelled examples.

Devlin et al. 2019, section 3.2: one linear layer on top, and all weights are trained. For tagging
it looks at every token. For a label of the whole text BERT looks at the first token, which its
second objective, next sentence prediction, had taught to sum up the text. A model trained by
masking alone has no such token, so the tokens vote: the label's logits are the mean over the text
(mean pooling: Reimers and Gurevych 2019, section 3).
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from datasets import Dataset
from torch import LongTensor, Tensor
from transformers import (
    AutoModelForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from course_lib.evaluation import f1
from course_lib.runtime import generator, seed_of
from course_lib.training import Optimization, fit

NO_TARGET = -100


@dataclass(frozen=True)
class SentimentTask:
    """One label for a text: rows have `text` and `label`."""

    labels: int = 2

    def encode(self, examples: Dataset, tokenizer: PreTrainedTokenizerBase) -> dict[str, Tensor]:
        """Padded `input_ids`, `attention_mask` `[rows, length]` and `labels` `[rows]`."""
        encoded = tokenizer(list(examples["text"]), padding=True, return_tensors="pt")
        return dict(encoded) | {"labels": torch.tensor(examples["label"])}


@dataclass(frozen=True)
class EntityTask:
    """One tag for each word: rows have `tokens` (words) and `tags` (integers)."""

    labels: int

    def encode(self, examples: Dataset, tokenizer: PreTrainedTokenizerBase) -> dict[str, Tensor]:
        """Padded `input_ids`, `attention_mask` and `labels`, each `[rows, length]`.

        A word's tag stands at its first piece; the other pieces and the padding have no target.
        """
        words = list(examples["tokens"])
        encoded = tokenizer(words, is_split_into_words=True, padding=True, return_tensors="pt")
        labels = torch.full_like(encoded["input_ids"], NO_TARGET)
        for row, tags in enumerate(examples["tags"]):
            before = None
            for position, word in enumerate(encoded.word_ids(row)):
                if word is not None and word != before:
                    labels[row, position] = tags[word]
                before = word
        return dict(encoded) | {"labels": labels}


Task = SentimentTask | EntityTask


def fine_tune(
    body: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    train: Dataset,
    test: Dataset,
    settings: Optimization,
) -> float:
    """Put the task's head on a copy of `body`, train all of it, return macro F1 on `test`.

    `body` is a masked language model, pre-trained or with fresh weights; its own head is left
    out, and it is not changed. Everything random (head, order, dropout) follows
    `settings.seed`.

    Raises:
        ValueError: no training or test examples.
    """
    if not len(train) or not len(test):
        raise ValueError("fine-tuning needs at least one training and one test example")
    model = _with_head(body, task, settings.seed)
    examples = task.encode(train, tokenizer)
    fit(model, _batches(examples, settings), settings, loss=_label_loss, count=_count_labels)
    return _macro_f1(model.eval(), task.encode(test, tokenizer))


def _with_head(body: PreTrainedModel, task: Task, seed: int) -> PreTrainedModel:
    torch.manual_seed(seed_of(seed, "head"))
    config = copy.deepcopy(body.config)
    config.num_labels = task.labels
    model = AutoModelForTokenClassification.from_config(config)
    model.base_model.load_state_dict(body.base_model.state_dict())
    return model


def _batches(
    examples: dict[str, Tensor], settings: Optimization
) -> Callable[[int], dict[str, Tensor]]:
    rows = len(examples["labels"])

    def batch_at(step: int) -> dict[str, Tensor]:
        chosen: LongTensor = torch.randint(
            rows, (settings.batch,), generator=generator(settings.seed, "fine-tuning", step)
        )
        return {key: value[chosen] for key, value in examples.items()}

    return batch_at


def _logits(model: PreTrainedModel, batch: dict[str, Tensor]) -> Tensor:
    """Logits that match the labels: one row a text, or one a token."""
    inputs = {key: value for key, value in batch.items() if key != "labels"}
    logits = model(**inputs).logits
    if batch["labels"].ndim == 2:
        return logits.flatten(0, 1)
    seen = batch["attention_mask"].unsqueeze(2)
    return (logits * seen).sum(dim=1) / seen.sum(dim=1)


def _label_loss(model: PreTrainedModel, batch: dict[str, Tensor]) -> Tensor:
    """Summed cross-entropy of the labels, in nats; the loop divides by their number."""
    return torch.nn.functional.cross_entropy(
        _logits(model, batch), batch["labels"].flatten(), ignore_index=NO_TARGET, reduction="sum"
    )


def _count_labels(model: PreTrainedModel, batch: dict[str, Tensor]) -> int:
    return int((batch["labels"] != NO_TARGET).sum())


@torch.no_grad()
def _macro_f1(model: PreTrainedModel, examples: dict[str, Tensor]) -> float:
    device = next(model.parameters()).device
    labels = examples["labels"].flatten()
    predicted = _logits(model, {k: v.to(device) for k, v in examples.items()}).argmax(dim=1).cpu()
    scored = labels != NO_TARGET
    return f1(predicted[scored].tolist(), labels[scored].tolist(), average="macro")
