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
from typing import Any, Self

from pydantic import model_validator

from course_lib.models.families import FAMILIES, require_trainable
from course_lib.runtime.checks import (
    BadArgumentError,
    Text,
)
from course_lib.runtime.errors import CourseError
from course_lib.training.tables import (
    HEADED,
    LAYOUT,
    PUBLISHED,
    Adapter,
    Data,
    Model,
    Objective,
    Optimization,
    RecipeError,
    Table,
)

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
        # Where a trained model is gone on with, its own objective is not known before it is read.
        if self.data.packed and self.objective_name not in ("auto", "supervised"):
            self.refuse("data.packed", f"it is for supervised; {self.objective_name} has full rows")
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
