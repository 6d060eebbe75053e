"""From a recipe to batches: the batch of step t is a pure function of the seed and t."""

from dataclasses import dataclass

import torch
from torch import LongTensor, Tensor
from transformers import PreTrainedTokenizerFast

from course_lib.corpora import load, pack, tokenizer_for
from course_lib.models import FAMILIES
from course_lib.objectives import make_objective
from course_lib.runtime import generator
from course_lib.training.recipe import Recipe

VALIDATION_ROWS = 256

Batch = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Batches:
    """Rows of token ids and the objective that turns them into batches.

    Calling it with a step gives the whole batch of that step. Each epoch is a new permutation of
    the rows, keyed by the epoch, so nothing has to be remembered between steps or saved for a
    resume. (GPT-style "sampling with replacement" would be simpler and would see some rows twice
    before others once.)
    """

    rows: LongTensor
    objective: object
    batch: int
    seed: int

    def __call__(self, step: int) -> Batch:
        """The batch of a step, corrupted: a dict of tensors `[batch, ...]`."""
        return self.objective(self.raw(step), generator(self.seed, "corruption", step))

    def raw(self, step: int) -> LongTensor:
        """The rows of a step before corruption: `[batch, length]`."""
        first, count = step * self.batch, len(self.rows)
        places = torch.arange(first, first + self.batch)
        epochs = range(first // count, (first + self.batch - 1) // count + 1)
        order = torch.cat([self._order(epoch) for epoch in epochs])
        return self.rows[order[places - epochs[0] * count]]

    def _order(self, epoch: int) -> LongTensor:
        if self._cached.get("epoch") != epoch:
            order = torch.randperm(len(self.rows), generator=generator(self.seed, "order", epoch))
            self._cached.update(epoch=epoch, order=order)
        return self._cached["order"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_cached", {})


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a recipe's text becomes: a tokenizer, training batches and fixed validation batches."""

    tokenizer: PreTrainedTokenizerFast
    train: Batches
    validation: list[Batch]


def prepare(recipe: Recipe) -> Prepared:
    """Load, tokenize and pack a recipe's text.

    The training text depends on the corpus and its size but not on the recipe's seed: seeds differ
    in weights, order, corruption and dropout, on the same text. Validation rows are corrupted once,
    the same way for every seed, so that runs are compared on the same questions.
    """
    tokenizer = tokenizer_for(recipe.family, recipe.corpus, recipe.vocab_size)
    name = FAMILIES[recipe.family].objective if recipe.objective == "auto" else recipe.objective
    objective = make_objective(name, tokenizer, rate=recipe.rate)
    training = load(recipe.corpus, "train", documents=recipe.documents)
    rows = pack(training["text"], tokenizer, recipe.length)
    held_out = pack(load(recipe.corpus, "validation")["text"], tokenizer, recipe.length)
    # Evenly over the corpus and not its first rows, which may all be of one kind.
    chosen = torch.linspace(0, len(held_out) - 1, min(VALIDATION_ROWS, len(held_out))).long()
    validation = [
        objective(part, generator("validation", number))
        for number, part in enumerate(held_out[chosen].split(64))
    ]
    return Prepared(tokenizer, Batches(rows, objective, recipe.batch, recipe.seed), validation)
