"""From a recipe to batches: the batch of step t is a pure function of the seed and t."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import LongTensor, Tensor
from transformers import PreTrainedTokenizerBase

from course_lib.corpora import load_examples, tokenizer_for
from course_lib.corpora.blocks import blocks
from course_lib.corpora.examples import Examples
from course_lib.corpora.packed_examples import pack_examples
from course_lib.corpora.permutation import Permutation
from course_lib.corpora.pinned import published_tokenizer
from course_lib.corpora.streaming import PREFIX, StreamedRows, held_out_rows
from course_lib.objectives import make_objective
from course_lib.runtime import CourseError, generator
from course_lib.training.recipe import Recipe
from course_lib.training.tables import HEADED, PUBLISHED, Source

VALIDATION_ROWS = 256
VALIDATION_BATCH = 64
CYCLE = 1000  # rows after which every corpus of a mixture has had exactly its share

Batch = dict[str, Tensor]


class Rows(Protocol):
    """Rows of a corpus by their places: token ids `[n, length]`, or examples, a list of n."""

    def __len__(self) -> int: ...

    def __getitem__(self, places: LongTensor) -> LongTensor | list[Any]: ...


@dataclass(frozen=True, eq=False)
class Batches:
    """Rows of one corpus or several, and the objective that turns them into batches.

    Calling it with a step gives the whole batch of that step. Each epoch of a corpus is a new
    permutation of its rows, keyed by the epoch, so nothing has to be remembered between steps or
    saved for a resume. (GPT-style "sampling with replacement" would be simpler and would see some
    rows twice before others once.) Several corpora take turns in an order that is keyed, too; in
    each thousand rows each has exactly its share, rounded to whole rows.
    """

    sources: Sequence[Rows]
    objective: Any
    batch: int
    seed: int
    weights: Sequence[float] = (1.0,)
    _cached: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __call__(self, step: int) -> Batch:
        """The batch of a step, corrupted: a dict of tensors `[batch, ...]`."""
        return self.objective(self.raw(step), generator(self.seed, "corruption", step))

    @property
    def rows(self) -> Rows:
        """The rows of the only corpus, or of the first."""
        return self.sources[0]

    def raw(self, step: int) -> LongTensor | list[Any]:
        """The rows of a step before corruption."""
        places = torch.arange(step * self.batch, (step + 1) * self.batch)
        if len(self.sources) == 1:
            return self._take(0, places)
        owner, turn = self._turns(places)
        rows: list[Any] = [None] * self.batch
        for number in owner.unique().tolist():
            mine = (owner == number).nonzero().squeeze(1)
            for place, row in zip(mine.tolist(), self._take(number, turn[mine]), strict=True):
                rows[place] = row
        return torch.stack(rows) if isinstance(rows[0], Tensor) else rows

    def _turns(self, places: LongTensor) -> tuple[LongTensor, LongTensor]:
        """For each place of the mixed stream: which corpus, and which row of that corpus's own."""
        counts = torch.tensor(shares(self.weights))
        owners, turns = [], []
        for place in places.tolist():
            cycle, within = divmod(place, CYCLE)
            order, before = self._cycle(cycle, counts)
            owners.append(order[within])
            turns.append(cycle * counts[order[within]] + before[within])
        return torch.stack(owners), torch.stack(turns)

    def _cycle(self, cycle: int, counts: LongTensor) -> tuple[LongTensor, LongTensor]:
        if self._cached.get("cycle") != cycle:
            order = torch.arange(len(counts)).repeat_interleave(counts)
            shuffled = torch.randperm(CYCLE, generator=generator(self.seed, "mixture", cycle))
            order = order[shuffled]
            own = torch.nn.functional.one_hot(order, len(counts)).cumsum(dim=0)
            before = own.gather(1, order[:, None]).squeeze(1) - 1
            self._cached.update(cycle=cycle, turns=(order, before))
        return self._cached["turns"]

    def _take(self, number: int, turn: LongTensor) -> LongTensor | list[Any]:
        """Rows of a corpus by their place in its own endless stream of epochs."""
        if isinstance(self.sources[number], StreamedRows):
            return self.sources[number][turn]
        count = len(self.sources[number])
        epoch, place = turn // count, turn % count
        parts = [self._order(number, e)[place[epoch == e]] for e in epoch.unique().tolist()]
        return self.sources[number][torch.cat(parts)]

    def _order(self, number: int, epoch: int) -> Permutation:
        if self._cached.get(number, (None,))[0] != epoch:
            # The first corpus has the key that it would have alone.
            key = ("order", epoch) if number == 0 else ("order", epoch, number)
            order = Permutation(len(self.sources[number]), self.seed, *key)
            self._cached[number] = (epoch, order)
        return self._cached[number][1]


def shares(weights: Sequence[float]) -> list[int]:
    """How many of `CYCLE` rows each corpus gets: in proportion, rounded, and all together."""
    exact = [CYCLE * weight / sum(weights) for weight in weights]
    counts = [int(value) for value in exact]
    for place in sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])[
        : CYCLE - sum(counts)
    ]:
        counts[place] += 1
    if 0 in counts:
        raise CourseError(
            f"data.mixture: a weight is less than one row in {CYCLE}: raise it, or leave it out."
        )
    return counts


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a recipe's text becomes: a tokenizer, training batches and fixed validation batches."""

    tokenizer: PreTrainedTokenizerBase
    train: Batches
    validation: list[Batch]


def prepare(
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerBase | None = None,
    objective: str | None = None,
    kind: str = "causal",
) -> Prepared:
    """Load, tokenize and pack a recipe's text.

    The training text depends on the corpus and its size but not on the recipe's seed: seeds differ
    in weights, order, corruption and dropout, on the same text. Validation rows are corrupted once,
    the same way for every seed, so that runs are compared on the same questions.

    `tokenizer`, `objective` and `kind` are those of the model that training starts from; a fresh
    one's follow from the recipe.
    """
    name = objective or recipe.objective_name
    tokenizer = tokenizer if tokenizer is not None else tokenizer_of(recipe)
    if recipe.model is not None:
        from course_lib.models import FAMILIES

        kind = FAMILIES[recipe.model.family].kind
    made = make_objective(name, tokenizer, rate=recipe.objective.rate)
    reader = _Reader(recipe, tokenizer, name, kind)
    sources = recipe.data.sources
    train = Batches(
        [reader.rows(source, "train") for source in sources],
        made,
        recipe.optimization.batch,
        recipe.seed,
        [source.weight for source in sources],
    )
    return Prepared(tokenizer, train, _validation(reader, sources, made))


def tokenizer_of(recipe: Recipe) -> PreTrainedTokenizerBase:
    """The tokenizer of a fresh model: trained on the recipe's corpus or another, or published."""
    named = recipe.data.tokenizer
    if named.startswith(PUBLISHED):
        found = published_tokenizer(named.removeprefix(PUBLISHED))
        if len(found) != recipe.data.vocab_size:
            raise CourseError(
                f"{named} has {len(found)} entries: set data.vocab_size to that, from which is "
                "counted what a run takes."
            )
        return found
    corpus = recipe.data.sources[0].corpus if named in ("auto", "corpus") else named
    return tokenizer_for(recipe.model.family, corpus, recipe.data.vocab_size)


@dataclass(frozen=True)
class _Reader:
    """Reads a corpus as the objective wants it: packed rows, or examples one by one."""

    recipe: Recipe
    tokenizer: PreTrainedTokenizerBase
    objective: str
    kind: str

    def rows(self, source: Source, split: str) -> Rows:
        limit = source.documents if split == "train" else None
        length = self.recipe.data.length
        if self.objective in ("supervised", *HEADED):
            found = load_examples(
                source.corpus,
                split,
                self.tokenizer,
                task=self.objective,
                documents=limit,
                length=length,
                template=self.recipe.data.template,
                kind=self.kind,
            )
            if self.recipe.data.packed and split == "train":  # held out, one by one for all
                return Examples(pack_examples(found.encoded, length))
            return found
        if self.recipe.data.packed:
            raise CourseError(f"data.packed is for supervised: leave it out of {self.objective}.")
        if source.corpus.startswith(PREFIX):
            what = (source.corpus, self.tokenizer, length)
            if split == "train":
                return StreamedRows(*what, self.recipe.seed, limit)
            return held_out_rows(*what, VALIDATION_ROWS)
        return blocks(source.corpus, split, self.tokenizer, length, documents=limit)


def _validation(reader: _Reader, sources: Sequence[Source], objective: Any) -> list[Batch]:
    """Up to 256 rows, of each corpus its share, corrupted once and for all."""
    batches: list[Batch] = []
    total = sum(source.weight for source in sources)
    for source in sources:
        held_out = reader.rows(source, "validation")
        count = min(len(held_out), max(1, round(VALIDATION_ROWS * source.weight / total)))
        # Evenly over the corpus and not its first rows, which may all be of one kind.
        chosen = torch.linspace(0, len(held_out) - 1, count).long()
        batches += [
            objective(held_out[part], generator("validation", number))
            for number, part in enumerate(chosen.split(VALIDATION_BATCH), start=len(batches))
        ]
    return batches
