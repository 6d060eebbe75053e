"""What encoders are for: a new head on a pre-trained body, trained on a few labelled examples.

Devlin et al. 2019, section 3.2: one linear layer on top, and all weights are trained. For tagging
it looks at every token. For a label of the whole text BERT looks at the first token, which its
second objective, next sentence prediction, had taught to sum up the text. A model trained by
masking alone has no such token, so the tokens vote: the label's logits are the mean over the text
(mean pooling: Reimers and Gurevych 2019, section 3).
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from datasets import Dataset
from torch import Tensor
from transformers import (
    AutoModelForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from course_lib.evaluation import f1
from course_lib.finetuning.batches import NO_TARGET, random_batches
from course_lib.runtime import seed_of
from course_lib.training import Optimization, fit

CLOSING = frozenset(".,:;!?)")  # marks that stand without a space before them


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
    """One tag for each word: rows have `tokens` (words) and `tags` (integers).

    `piece` says where in a word its tag stands: at its first piece, as BERT has it (Devlin et al.
    2019, section 5.3), or at its last, which a model that sees the left side only must be given,
    because before that it has not read the whole word.
    """

    labels: int
    piece: Literal["first", "last"] = "first"

    def __post_init__(self) -> None:
        if self.piece not in ("first", "last"):
            raise ValueError(f'piece={self.piece!r}: choose "first" or "last".')

    def encode(self, examples: Dataset, tokenizer: PreTrainedTokenizerBase) -> dict[str, Tensor]:
        """Padded `input_ids`, `attention_mask` and `labels`, each `[rows, length]`.

        The words are read as one text, so that spaces stand where pre-training had them. A word's
        tag stands at one of its pieces; its other pieces and the padding have no target.
        """
        texts = [_joined(words) for words in examples["tokens"]]
        options = {"padding": True, "return_tensors": "pt", "return_offsets_mapping": True}
        encoded = dict(tokenizer([text for text, _ in texts], **options))
        offsets = encoded.pop("offset_mapping").tolist()
        labels = torch.full_like(encoded["input_ids"], NO_TARGET)
        for row, tags in enumerate(examples["tags"]):
            word_at, place = texts[row][1], {}
            for position, (start, end) in enumerate(offsets[row]):
                # The last character tells the word: some pieces begin with the space before it.
                word = word_at[end - 1] if end > start else None
                if word is not None and (self.piece == "last" or word not in place):
                    place[word] = position
            for word, position in place.items():
                labels[row, position] = tags[word]
        return encoded | {"labels": labels}


def _joined(words: Sequence[str]) -> tuple[str, list[int | None]]:
    """Words and punctuation marks as one text; and for each character, the word it belongs to."""
    text, word_at = "", []
    for number, word in enumerate(words):
        if text and word not in CLOSING:
            text, word_at = f"{text} ", [*word_at, None]
        text, word_at = text + word, word_at + [number] * len(word)
    return text, word_at


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

    `body` is a language model, pre-trained or with fresh weights; its own head is left out, and it
    is not changed. Of an encoder-decoder, the encoder alone is used. Everything random (head,
    order, dropout) follows `settings.seed`.

    Raises:
        ValueError: no training or test examples.
    """
    if not len(train) or not len(test):
        raise ValueError("fine-tuning needs at least one training and one test example")
    model = _with_head(body, task, settings.seed)
    examples = task.encode(train, tokenizer)
    fit(model, random_batches(examples, settings), settings, loss=_label_loss, count=_count_labels)
    return _macro_f1(model.eval(), task.encode(test, tokenizer))


def _with_head(body: PreTrainedModel, task: Task, seed: int) -> PreTrainedModel:
    torch.manual_seed(seed_of(seed, "head"))
    config = copy.deepcopy(body.config)
    config.num_labels = task.labels
    model = AutoModelForTokenClassification.from_config(config)
    trained = body.base_model.state_dict()
    model.base_model.load_state_dict(
        {name: trained[name] for name in model.base_model.state_dict()}
    )
    return model


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
