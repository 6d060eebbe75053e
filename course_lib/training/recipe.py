"""A training run as one value: everything that decides the result, and nothing else.

A recipe has a table for each thing that is decided: the data, the model, where training starts, the
objective, the optimization, and perhaps an adapter. So it can say every training of the course:
pre-training on one corpus or a mixture, continuing, tuning on pairs, a new head, an adapter.
"""

import difflib
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from course_lib.models.families import FAMILIES, require_trainable
from course_lib.runtime.checks import (
    BadArgumentError,
    Count,
    Positive,
    Rate,
    Share,
    Text,
)
from course_lib.runtime.errors import CourseError
from course_lib.training.tables import LAYOUT, Adapter, Optimization, RecipeError, Table

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


HEADED = ("classification", "tagging")
STARTS = ("fresh", "base:NAME", "run:FOLDER", "real:NAME", "hub:ID")


class Recipe(Table):
    """One training run.

    `start` is "fresh" (random weights, of the shape in `model`), or where trained ones come from:
    "base:NAME" (`data/checkpoints`), "run:FOLDER" (a saved run), "real:NAME" (a real model of the
    set-up), "hub:ID" (pinned in `data/hub.toml`). A model that is not fresh has its own shape, so
    `model` is then left out.
    """

    name: Text
    data: Data
    model: Model | None = None
    start: Text = "fresh"
    objective: Objective = Objective()
    optimization: Optimization = Optimization()
    adapter: Adapter | None = None

    @model_validator(mode="before")
    @classmethod
    def _objective_by_name(cls, fields: dict[str, Any]) -> dict[str, Any]:
        name = fields.get("objective")
        return fields | {"objective": {"name": name}} if isinstance(name, str) else fields

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self._require_corpora()
        if self.data.packed and self.objective.name not in ("auto", "supervised"):
            self.refuse("data.packed", f"it is for supervised; {self.objective.name} has full rows")
        if self.data.packed and self.objective.mean_over == "examples":
            self.refuse("data.packed", "its rows are no examples: leave out objective.mean_over")
        kind, colon, name = self.start.partition(":")
        if self.start != "fresh" and not (f"{kind}:" in " ".join(STARTS) and colon and name):
            self.refuse("start", f"it must be one of {', '.join(STARTS)}")
        if self.start == "fresh":
            self._require_fresh()
        elif self.model is not None:
            self.refuse("model", f'leave [model] out: start = "{self.start}" has its own shape')
        return self

    def _require_corpora(self) -> None:
        """Names alone: whether a file or a package is there shows when it is read."""
        from course_lib.corpora.examples import require_examples
        from course_lib.corpora.loading import require_corpus

        on_examples = self.objective.name in ("supervised", *HEADED)
        require = require_examples if on_examples else require_corpus
        named = [("data.corpus", require, source.corpus) for source in self.data.sources]
        own = ("auto", "corpus", "start")
        if self.data.tokenizer not in own and not self.data.tokenizer.startswith(PUBLISHED):
            named.append(("data.tokenizer", require_corpus, self.data.tokenizer))
        for field, check, name in named:
            try:
                check(name)
            except BadArgumentError as error:
                raise RecipeError(f"{field}: {error}") from None

    def _require_fresh(self) -> None:
        if self.model is None:
            self.refuse("model", "a fresh model needs a [model] table: family, width, layers, ...")
        if self.adapter is not None:
            self.refuse("adapter", "it adapts a trained model: set start")
        if self.data.tokenizer == "start":
            self.refuse("data.tokenizer", "there is no start to take it from: set start")
        positions = self.model.positions
        if positions is not None and positions < self.data.length:
            self.refuse("model.positions", f"it must be at least data.length, {self.data.length}")
        require_trainable(self.model.family, self.objective_name, self.model.attention)

    @property
    def objective_name(self) -> str:
        """The objective by name, the family's own where the recipe says "auto".

        A model that is not fresh is trained on as it was: the run that it comes from decides.
        """
        if self.objective.name == "auto" and self.model is not None:
            return FAMILIES[self.model.family].objective
        return self.objective.name

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.optimization.seed

    def replace(self, **changes: Any) -> Self:
        """The same recipe with some fields changed, each found in the table that has it.

        `recipe.replace(steps=300, width=32)`. Where two tables have a field of that name, name it
        in full: `recipe.replace(**{"model.dropout": 0.1})`.

        Raises:
            RecipeError: no table has the field, or several have; or a value that cannot be.
        """
        fields = self.to_dict()
        for field, value in changes.items():
            if field == "objective" and isinstance(value, str):
                field = "objective.name"  # its rate stays
            table, name = self._place(field)
            owner = fields.setdefault(table, {}) if table else fields
            if isinstance(value, Table):
                value = value.model_dump(exclude_none=True)
            owner[name] = value
        if fields["data"].get("mixture"):
            fields["data"].pop("corpus", None)
        return type(self).from_dict(fields)

    def __getitem__(self, field: str) -> Any:
        """A field by its name, from the table that has it: `recipe["width"]`."""
        table, name = self._place(field)
        value = getattr(getattr(self, table) if table else self, name)
        return value.name if isinstance(value, Objective) else value

    @classmethod
    def _place(cls, field: str) -> tuple[str, str]:
        """The table that has a field, "" for the recipe itself, and the field's own name."""
        table, dot, name = field.partition(".")
        if dot and table in TABLES and name in TABLES[table].model_fields:
            return table, name
        if field in cls.model_fields:
            return "", field
        found = [table for table, kind in TABLES.items() if field in kind.model_fields]
        # An adapter has a dropout, too; who says no more means the model's.
        found = [table for table in found if table != "adapter"] or found
        if len(found) != 1:
            raise RecipeError(_unknown(field))
        return found[0], field

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, table by table; what is None is left out."""
        return self.model_dump(mode="json", exclude_none=True)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """The recipe with these fields.

        Raises:
            RecipeError: a field that recipes do not have, or a value that is out of range.
        """
        try:
            return cls(**fields)
        except RecipeError as error:
            raise RecipeError(f"Recipe {fields.get('name', '?')!r}: {error}") from None

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a recipe from a TOML file.

        Raises:
            CourseError: the file is missing or not TOML in UTF-8, or the recipe is not valid.
        """
        try:
            fields = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
        except UnicodeDecodeError as error:
            raise CourseError(f"{path} is not in UTF-8: save it again in that encoding.") from error
        except (FileNotFoundError, IsADirectoryError) as error:
            raise CourseError(f"No recipe at {path}: see data/recipes/ for examples.") from error
        except OSError as error:
            raise CourseError(f"Cannot read {path} ({error.strerror}).") from error
        except tomllib.TOMLDecodeError as error:
            raise CourseError(f"{path} is not valid TOML: {error}.") from error
        return cls.from_dict(fields)

    def digest(self) -> str:
        """Twelve hexadecimal digits that name what this recipe computes.

        The name, how often to checkpoint and where the parts lie do not count; how often to log
        and evaluate does, since the history is part of the result. A field at its default does not
        count, so that recipes keep their digest when a field is added.
        """
        left_out = {"name": True, "optimization": LAYOUT}
        fields = self.model_dump(mode="json", exclude_defaults=True, exclude=left_out)
        fields = {name: value for name, value in fields.items() if value != {}}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]


TABLES: dict[str, type[Table]] = {
    "data": Data,
    "model": Model,
    "objective": Objective,
    "optimization": Optimization,
    "adapter": Adapter,
}


def _unknown(field: str) -> str:
    fields = {name: table for table, kind in TABLES.items() for name in kind.model_fields}
    close = difflib.get_close_matches(field.rpartition(".")[2], fields, n=1)
    if close:
        return f"Unknown recipe field {field}: did you mean {fields[close[0]]}.{close[0]}?"
    tables = ", ".join(f"[{name}]" for name in TABLES)
    return (
        f"Unknown recipe field {field}: the fields are those of {tables}; data/recipes/ has "
        "examples, and help(course_lib.training.Recipe) leads to all of them."
    )
