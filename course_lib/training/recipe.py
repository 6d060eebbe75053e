"""A training run as one value: everything that decides the result, and nothing else."""

import dataclasses
import hashlib
import json
import tomllib
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import Any, Literal, Self, get_args, get_origin

from course_lib.runtime.errors import CourseError


@dataclass(frozen=True, kw_only=True)
class Optimization:
    """How to descend: what the training loop needs to know, whatever the model and the data.

    `batch` counts rows in one optimizer step, over all micro-batches and processes. `steps` is
    also the length of the learning rate schedule, so a run stopped early and resumed follows the
    curve it set out on.
    """

    steps: int = 500
    batch: int = 32
    micro_batches: int = 1
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 3e-3
    schedule: Literal["cosine", "wsd", "constant"] = "cosine"
    warmup: int = 50
    weight_decay: float = 0.1
    clip: float = 1.0
    precision: Literal["auto", "no", "fp16", "bf16"] = "auto"
    compile: bool = False
    seed: int = 0
    log_every: int = 10
    evaluate_every: int = 0
    checkpoint_every: int = 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            self._check_type(field)
        for name in ("steps", "batch", "micro_batches", "log_every"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("warmup", "evaluate_every", "checkpoint_every", "weight_decay"):
            self._require(name, getattr(self, name) >= 0, "0 or more")
        self._require("micro_batches", self.batch % self.micro_batches == 0, "a divisor of batch")
        self._require("learning_rate", self.learning_rate > 0, "above 0")
        self._require("warmup", self.warmup <= self.steps, "at most steps")
        self._require("clip", self.clip > 0, "above 0 (a large number clips nothing)")
        for name, choices in _CHOICES.items():
            if hasattr(self, name):
                self._require(name, getattr(self, name) in choices, f"one of {', '.join(choices)}")

    def _check_type(self, field: dataclasses.Field) -> None:
        """Numbers become Python's own, so that 1, 1.0 and NumPy's 1.0 are the same recipe."""
        value = getattr(self, field.name)
        kinds = {str} if get_origin(field.type) is Literal else {field.type, *get_args(field.type)}
        if type(value) not in kinds and type(value) is not bool:
            for kind, numbers in ((int, Integral), (float, Real)):
                if kind in kinds and isinstance(value, numbers):
                    object.__setattr__(self, field.name, kind(value))
                    return
        right = " or ".join(_NAMES[kind] for kind in _NAMES if kind in kinds)
        self._require(field.name, type(value) in kinds, right)

    def _require(self, name: str, ok: bool, right: str) -> None:
        if not ok:
            raise ValueError(f"{name} = {getattr(self, name)!r}: it must be {right}")


_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text in quotes",
    NoneType: "left out",
}
_CHOICES = {
    "optimizer": ("adamw", "muon"),
    "schedule": ("cosine", "wsd", "constant"),
    "precision": ("auto", "no", "fp16", "bf16"),
    "attention": ("both", "left"),
    "family": ("bert", "roberta", "gpt2", "gpt3", "bloom", "t5", "bart"),
    "objective": ("auto", "masked", "masked-static", "causal", "span", "infilling"),
}


@dataclass(frozen=True, kw_only=True)
class Recipe(Optimization):
    """A pre-training run: text, tokenizer, model, objective, and how to descend.

    `documents` limits the training text, None takes all. `length` is that of a row, in tokens;
    `positions` that of the model's table of positions, None for the same. (BERT saw rows of 128
    tokens for nine tenths of its training, with a table for 512: Devlin et al. 2019, A.2.)
    `objective="auto"` is the family's own; `rate` its corruption rate, None the paper's.
    """

    name: str
    family: str
    corpus: str = "factbook"
    documents: int | None = None
    vocab_size: int = 1024
    width: int = 64
    layers: int = 2
    heads: int = 2
    length: int = 64
    positions: int | None = None
    dropout: float = 0.0
    attention: Literal["both", "left"] = "both"
    objective: str = "auto"
    rate: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("vocab_size", "width", "layers", "heads", "length"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("heads", self.width % self.heads == 0, "a divisor of width")
        self._require("dropout", 0 <= self.dropout < 1, "in [0, 1)")
        if self.documents is not None:
            self._require("documents", self.documents >= 1, "at least 1, or None for all")
        if self.positions is not None:
            self._require("positions", self.positions >= self.length, "at least length, or None")
        if self.rate is not None:
            self._require("rate", 0 < self.rate < 1, "in (0, 1)")

    def replace(self, **changes: Any) -> Self:
        """The same recipe with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values; None fields are left out."""
        return {k: v for k, v in dataclasses.asdict(self).items() if v is not None}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """The recipe with these fields.

        Raises:
            CourseError: a field that recipes do not have, or a value that is out of range.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := set(fields) - known:
            raise CourseError(
                f"Unknown recipe field {', '.join(sorted(unknown))}: the fields are "
                f"{', '.join(sorted(known))}."
            )
        try:
            return cls(**fields)
        except (TypeError, ValueError) as error:
            raise CourseError(f"Recipe {fields.get('name', '?')!r}: {error}.") from error

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a recipe from a TOML file.

        Raises:
            CourseError: the file is missing or not TOML, or the recipe is not valid.
        """
        try:
            return cls.from_dict(tomllib.loads(Path(path).read_text()))
        except FileNotFoundError as error:
            raise CourseError(f"No recipe at {path}: see data/recipes/ for examples.") from error
        except tomllib.TOMLDecodeError as error:
            raise CourseError(f"{path} is not valid TOML: {error}.") from error

    def digest(self) -> str:
        """Twelve hexadecimal digits that name what this recipe computes.

        The name and how often to checkpoint do not count; how often to log and evaluate does,
        since the history is part of the result.
        """
        fields = self.to_dict()
        for key in ("name", "checkpoint_every"):
            fields.pop(key)
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]
