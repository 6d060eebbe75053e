"""Tables of a recipe: fields that are checked when it is made, and named when they are wrong."""

from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from course_lib.runtime.checks import (
    BadArgumentError,
    Count,
    NotNegative,
    NotNegativeCount,
    Positive,
    Rate,
    Share,
    Text,
    Whole,
    remedy,
)


class RecipeError(BadArgumentError):
    """A recipe that cannot be; the message names the field, its value, and what would be right."""


class Table(BaseModel):
    """Frozen and compared by value; unknown fields and values of another type are refused.

    Raises:
        RecipeError: when it is made with a field or value that cannot be.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise RecipeError(self._explain(error)) from None

    def refuse(self, field: str, why: str) -> NoReturn:
        """Refuse a combination of fields, in the same words as a wrong value."""
        value: Any = self
        for part in field.split("."):
            value = getattr(value, part, None)
        shown = "" if value is None or isinstance(value, BaseModel) else f" = {value!r}"
        raise RecipeError(f"{field}{shown}: {why}")

    @classmethod
    def _explain(cls, error: ValidationError) -> str:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, BadArgumentError):  # of a table within: it names the field itself
            unknown = str(cause).replace("Unknown field ", f"Unknown field {place}.")
            return unknown if unknown != str(cause) else ".".join(filter(None, (place, unknown)))
        if first["type"] == "extra_forbidden":
            return f"Unknown field {place}: the fields are {', '.join(cls.model_fields)}."
        if first["type"] == "missing":
            return f"{place} is missing: add it."
        value = repr(first["input"])
        return f"{place} = {value[:60]}: {remedy(first)}"


Objectives = Literal[
    "auto",
    "masked",
    "masked-static",
    "causal",
    "span",
    "infilling",
    "supervised",
    "classification",
    "tagging",
]
Families = Literal["bert", "roberta", "gpt2", "gpt3", "bloom", "t5", "bart"]

HEADED = ("classification", "tagging")  # objectives with a head of their own
PUBLISHED = "published:"


class Source(Table):
    """One corpus of a mixture; its rows are seen in proportion to `weight`."""

    corpus: Text
    weight: Positive = 1.0
    documents: Count | None = None


class Data(Table):
    """What is read: one corpus, or a mixture of several.

    `documents` limits the training text, None takes all. `length` is that of a row, in tokens.
    `tokenizer` is "corpus" (trained on the corpus, or on the first of a mixture), "start" (that of
    the model that training starts from), the name of another corpus, on which it is trained, or
    "published:NAME" (pinned in `data/hub.toml`; `vocab_size` is then its own);
    "auto" is "start" where there is one. `template` says how a prompt and its completion become a
    text, for the supervised objective; `packed` puts several such texts into a row of `length`,
    where none sees another (`course_lib.corpora.packed_examples`), so a batch counts full rows.
    """

    corpus: Text | None = None
    mixture: Annotated[tuple[Source, ...], Field(strict=False)] = ()
    documents: Count | None = None
    tokenizer: Text = "auto"
    vocab_size: Count = 1024
    length: Count = 64
    template: Literal["plain", "alpaca", "chat"] = "plain"
    packed: bool = False

    @model_validator(mode="after")
    def _one_or_several(self) -> Self:
        if (self.corpus is None) == (not self.mixture):
            self.refuse("corpus", "name one corpus, or several under [[data.mixture]], not both")
        if self.mixture and self.documents is not None:
            self.refuse("documents", "for a mixture, give each corpus its own")
        return self

    @property
    def sources(self) -> tuple[Source, ...]:
        """The corpora with their weights; one corpus is a mixture of one."""
        return self.mixture or (Source(corpus=self.corpus, documents=self.documents),)


class Model(Table):
    """A fresh model: a family and a size, or a published size by its name.

    `positions` is the length of the table of positions, None for that of a row. (BERT saw rows of
    128 tokens for nine tenths of its training, with a table for 512: Devlin et al. 2019, A.2.)
    """

    family: Families
    published: Text | None = None
    width: Count = 64
    layers: Count = 2
    heads: Count = 2
    positions: Count | None = None
    dropout: Rate = 0.0
    attention: Literal["both", "left"] = "both"

    @model_validator(mode="after")
    def _shape(self) -> Self:
        if self.width % self.heads:
            self.refuse("heads", f"it must be a divisor of width, {self.width}")
        if self.published is not None:
            from course_lib.models import published_sizes

            names = [size.name for size in published_sizes(self.family)]
            if self.published not in names:
                self.refuse("published", f"it must be one of {', '.join(names)}")
        return self


class Objective(Table):
    """What is predicted; "auto" is the family's own. `rate` is how much is corrupted.

    A loss is a mean over targets; `mean_over` "examples" averages each of them first, so that a
    short answer counts as much as a long one (supervised alone).
    """

    name: Objectives = "auto"
    rate: Share | None = None
    mean_over: Literal["targets", "examples"] = "targets"

    @model_validator(mode="after")
    def _rate(self) -> Self:
        if self.rate is not None and self.name in ("causal", "supervised", *HEADED):
            self.refuse("rate", f"leave it out, {self.name} corrupts nothing")
        if self.mean_over == "examples" and self.name != "supervised":
            self.refuse("mean_over", f"it is for supervised, not for {self.name}")
        return self


# Fields of `Optimization` that decide where and when, and not what is computed.
LAYOUT = {"checkpoint_every", "sharded", "activation_checkpointing", "keep"}


class Optimization(Table):
    """How to descend: what the training loop needs to know, whatever the model and the data.

    `batch` counts rows in one optimizer step, over all micro-batches and processes. `steps` is
    also the length of the learning rate schedule, so a run stopped early and resumed follows the
    curve it set out on. `checkpoint_every` counts steps; None saves every five minutes. `sharded`
    cuts weights, gradients and moments into a part for each process (FSDP2), where otherwise each
    has all of them (DDP). Two more spare memory for time: `chunked_loss` never has all logits of a
    causal model at once; `activation_checkpointing` keeps of each block only what goes into it, and
    computes the rest again on the way back. `patience` ends training after so many evaluations in a
    row without a new lowest validation loss; `keep` is how many checkpoints there are at a time;
    with `keep_best` the model ends with the weights of the lowest validation loss.
    """

    steps: Count = 500
    batch: Count = 32
    micro_batches: Count = 1
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: Positive = 3e-3
    schedule: Literal["cosine", "wsd", "constant"] = "cosine"
    warmup: NotNegativeCount = 50
    weight_decay: NotNegative = 0.1
    clip: Positive = 1.0
    precision: Literal["auto", "no", "tf32", "fp16", "bf16"] = "auto"
    compile: bool = False
    seed: Whole = 0
    log_every: Count = 10
    evaluate_every: NotNegativeCount = 0
    checkpoint_every: Count | None = None
    sharded: bool = False
    chunked_loss: bool = False
    activation_checkpointing: bool = False
    patience: Count | None = None
    keep: Count = 2
    keep_best: bool = False

    @model_validator(mode="after")
    def _divide(self) -> Self:
        if self.batch % self.micro_batches:
            self.refuse("micro_batches", f"it must be a divisor of batch, {self.batch}")
        if (self.patience or self.keep_best) and not self.evaluate_every:
            self.refuse("evaluate_every", "patience and keep_best look at evaluations: set it")
        if self.warmup > self.steps:
            self.refuse("warmup", f"it must be at most steps, {self.steps}")
        return self

    def replace(self, **changes: Any) -> Self:
        """The same with some fields changed."""
        return type(self)(**self.model_dump() | changes)


class Adapter(Table):
    """LoRA (Hu et al. 2021): the weights stay as they are; a product of rank `rank` is added.

    `alpha / rank` scales it. `targets` are endings of the names of the layers that get one, empty
    for the queries and values of attention.
    """

    kind: Literal["lora"] = "lora"
    rank: Count = 8
    alpha: Positive = 16.0
    dropout: Rate = 0.0
    targets: Annotated[tuple[Text, ...], Field(strict=False)] = ()
