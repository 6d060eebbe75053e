"""A table of a recipe: fields that are checked when it is made, and named when they are wrong."""

from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, ValidationError

from course_lib.runtime.checks import BadArgumentError, remedy


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
