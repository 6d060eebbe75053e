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
