"""Arguments checked where they come in, once: what is wrong and what would be right, in one line.

`@checked` holds a public function, or a dataclass, to its type hints (pydantic does the checking)
and turns what does not fit into a `BadArgumentError`. The types below say what hints alone cannot:
a count is at least 1, a share lies between 0 and 1, texts are a list and not one string.
"""

import functools
import inspect
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, validate_call
from pydantic_core import ErrorDetails

from course_lib.runtime.errors import CourseError

T = TypeVar("T", bound=Callable)


class BadArgumentError(CourseError, ValueError):
    """An argument that cannot be used; the message names it, its value, and what would be right."""


def checked(target: T) -> T:
    """Check the arguments of a function, or the fields of a dataclass, against their type hints.

    Types are taken at their word (no "3" for 3, no True for 1); NumPy's numbers become Python's
    where a type of this module is the hint.

    Raises:
        BadArgumentError: at the call, where an argument does not fit.
    """
    if inspect.isclass(target):
        target.__init__ = _checked(target.__init__, target.__name__)
        return target
    return _checked(target, target.__name__)


def _checked(function: Callable, name: str) -> Callable:
    signature, validated = inspect.signature(function), None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal validated
        signature.bind(*args, **kwargs)  # too few or unknown arguments: Python says it best
        if validated is None:  # at the first call: building the checks imports what hints name
            validated = validate_call(config=_CONFIG)(arguments)
        try:
            given, named = validated(*args, **kwargs)
        except ValidationError as error:
            raise BadArgumentError(f"{name}: {explain(error, signature)}") from None
        return function(*given, **named)

    def arguments(*args: Any, **kwargs: Any) -> tuple[tuple, dict]:
        return args, kwargs

    # Only the arguments are pydantic's business, so that an error from inside stays what it is.
    functools.update_wrapper(arguments, function)
    # So is what they return: its hint may name what is imported for type checkers alone.
    hints = {name: hint for name, hint in function.__annotations__.items() if name != "return"}
    arguments.__annotations__ = hints
    arguments.__signature__ = signature.replace(return_annotation=signature.empty)
    return call


def explain(error: ValidationError, signature: inspect.Signature | None = None) -> str:
    """The first thing that is wrong, in one line: `batch=-1: it must be at least 1`."""
    first = error.errors(include_url=False, include_context=True)[0]
    place = list(first["loc"])
    if signature is not None and place and isinstance(place[0], int):
        place[0] = list(signature.parameters)[place[0]]
    return f"{place[0]}={_short(first['input'])}: {remedy(first)}".replace("\n", " ")


def remedy(error: ErrorDetails) -> str:
    """What would be right, for an error as pydantic gives it: `it must be at least 1`."""
    context = error.get("ctx", {})
    if "error" in context:
        return str(context["error"])
    if error["type"] in _WORDS:
        return f"it must be {_WORDS[error['type']].format(**context)}"
    words = error["msg"].replace("Input should be", "it must be")
    return words.replace("Input should", "it must")


_WORDS = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "above {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "below {lt}",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a text",
    "literal_error": "one of {expected}",
}


def _short(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None and getattr(value, "ndim", 0):
        return f"<{type(value).__name__} {tuple(shape)}>"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's own; a bool is no number here."""
    if isinstance(value, bool) or type(value) in (int, float):
        return value
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value


def _as_texts(value: Any) -> list[str]:
    if isinstance(value, str | bytes):
        raise ValueError("give a list of texts, not one text (write [text])")
    if not isinstance(value, Iterable):
        raise ValueError("give a list of texts")
    texts = list(value)
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"entry {place} is {_short(text)}, not a text: leave it out or fill it"
            )
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise ValueError(
                f"entry {place} has half a character (a lone surrogate): decode its file as UTF-8 "
                'with errors="replace"'
            )
    return texts


def _as_some_texts(value: Any) -> list[str]:
    if not (texts := _as_texts(value)):
        raise ValueError("give at least one text")
    return texts


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("give a text")
    return _as_texts([value])[0]


_CONFIG = ConfigDict(strict=True, arbitrary_types_allowed=True)
_NUMBER = {"allow_inf_nan": False}

Whole = Annotated[int, BeforeValidator(_plain)]
Count = Annotated[int, BeforeValidator(_plain), Field(ge=1)]
NotNegativeCount = Annotated[int, BeforeValidator(_plain), Field(ge=0)]
Number = Annotated[float, BeforeValidator(_plain), Field(**_NUMBER)]
Positive = Annotated[float, BeforeValidator(_plain), Field(gt=0, **_NUMBER)]
NotNegative = Annotated[float, BeforeValidator(_plain), Field(ge=0, **_NUMBER)]
Share = Annotated[float, BeforeValidator(_plain), Field(gt=0, lt=1, **_NUMBER)]
Rate = Annotated[float, BeforeValidator(_plain), Field(ge=0, lt=1, **_NUMBER)]
Probability = Annotated[float, BeforeValidator(_plain), Field(ge=0, le=1, **_NUMBER)]
Text = Annotated[str, BeforeValidator(_as_text)]
Texts = Annotated[list[str], BeforeValidator(_as_texts)]
SomeTexts = Annotated[list[str], BeforeValidator(_as_some_texts)]
