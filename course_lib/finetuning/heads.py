"""What encoders are for: a new head on a pre-trained body, trained on a few labelled examples."""

from dataclasses import dataclass
from typing import Literal

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_lib.corpora import NO_TARGET
from course_lib.corpora.examples import Examples
from course_lib.corpora.labelled import encode_tags, encode_texts
from course_lib.evaluation import f1
from course_lib.finetuning.batches import random_batches
from course_lib.models import context_length, evaluation_mode
from course_lib.models.heads import with_head
from course_lib.models.inspection import require_tokenizer
from course_lib.objectives.labels import count_labels, label_logits, label_loss
from course_lib.objectives.supervised import Supervised
from course_lib.runtime.checks import Count, checked
from course_lib.runtime.errors import CourseError
from course_lib.training import Optimization, fit

_BATCH = 256


@checked
@dataclass(frozen=True)
class SentimentTask:
    """One label for a text: rows have `text` and `label`."""

    labels: Count = 2

    @checked
    def encode(self, examples: Dataset, tokenizer: PreTrainedTokenizerBase) -> Examples:
        """The examples with the label of each."""
        return Examples(encode_texts(examples, tokenizer), self.labels)


@checked
@dataclass(frozen=True)
class EntityTask:
    """One tag for each word: rows have `tokens` (words) and `tags` (integers).

    `piece` says where in a word its tag stands; see `course_lib.corpora.labelled.encode_tags`.
    """

    labels: Count
    piece: Literal["first", "last"] = "first"

    @checked
    def encode(self, examples: Dataset, tokenizer: PreTrainedTokenizerBase) -> Examples:
        """The examples with the tag of each word at one of its pieces."""
        return Examples(encode_tags(examples, tokenizer, self.piece), self.labels)


Task = SentimentTask | EntityTask


@checked
def fine_tune(
    body: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    train: Dataset,
    test: Dataset,
    settings: Optimization,
) -> float:
    """Put the task's head on a copy of `body`, train all of it, return macro F1 on `test`.

    `body` is a language model, pre-trained or with fresh weights; its own head is left out, and it
    is not changed. Of an encoder-decoder, the encoder alone is used. Everything random (head,
    order, dropout) follows `settings.seed`.

    Raises:
        BadArgumentError: an argument of another type.
        CourseError: no training or test examples, a label that the task does not have, a text that
            is empty or longer than the body reads, or another model's tokenizer.
    """
    if not len(train) or not len(test):
        raise CourseError("Fine-tuning needs at least one training and one test example.")
    require_tokenizer(body, tokenizer)
    pad = Supervised(tokenizer, text_labels=isinstance(task, SentimentTask))
    examples, held_out = task.encode(train, tokenizer), task.encode(test, tokenizer)
    for part in (examples, held_out):
        _require_labels(part)
        _require_readable(part, context_length(body))
    model = with_head(body, task.labels, settings.seed)
    draw = random_batches(len(examples), settings)
    fit(
        model, lambda step: pad(examples[draw(step)]), settings, loss=label_loss, count=count_labels
    )
    return _macro_f1(model, held_out, pad)


def _require_labels(examples: Examples) -> None:
    found = {label for example in examples.encoded for label in example["labels"]} - {NO_TARGET}
    if not found or not found <= set(range(examples.labels)):
        raise CourseError(
            f"Labels {sorted(found)[:5]}: they must be whole numbers from 0 to "
            f"{examples.labels - 1}."
        )


def _require_readable(examples: Examples, limit: int | None) -> None:
    for number, example in enumerate(examples.encoded):
        size = len(example["input_ids"])
        if not size:
            raise CourseError(f"Example {number} has no token: fill its text or leave it out.")
        if limit is not None and size > limit:
            raise CourseError(
                f"Example {number} has {size} tokens and the model reads {limit}: shorten it or "
                "leave it out."
            )


def _macro_f1(model: PreTrainedModel, examples: Examples, pad: Supervised) -> float:
    predicted, right = [], []
    with evaluation_mode(model) as device:
        for places in torch.arange(len(examples)).split(_BATCH):
            batch = pad(examples[places])
            here = {key: value.to(device) for key, value in batch.items()}
            labels = batch["labels"].flatten()
            scored = labels != NO_TARGET
            predicted += label_logits(model, here).argmax(dim=1).cpu()[scored].tolist()
            right += labels[scored].tolist()
    return f1(predicted, right, average="macro")
