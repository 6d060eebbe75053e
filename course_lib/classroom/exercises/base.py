"""What an exercise is: a prompt, a hint, a solution, and a check that teaches.

A subclass sets `name`, `notebook`, `prompt`, `hint` and `solution`, and writes `properties`, which
asks the learner's function questions drawn from a fresh seed and states what must be true of the
answers. It never has to think about broken answers: those are caught here and put into words.
"""

import inspect
import math
import secrets
import textwrap
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import torch

from course_lib.classroom.cards import Card, Words, box
from course_lib.runtime import generator

# Blue and orange of the course's palette; the words carry the meaning.
STATUS = {
    "passed": ("✓ Passed", "#0072B2"),
    "not yet": ("… Not yet", "#767676"),
    "try again": ("✗ Not right yet", "#D55E00"),
}


class NotYetError(Exception):
    """The learner has not written an answer."""


class WrongError(Exception):
    """The answer breaks a property; the message says which, and what to look at."""


class Result:
    """What a check found. True if passed; `seed` repeats the same check."""

    def __init__(self, name: str, status: str, message: str, seed: int):
        self.name = name
        self.status = status
        self.message = message
        self.seed = seed

    def __bool__(self) -> bool:
        return self.status == "passed"

    def _card(self) -> Card:
        words, color = STATUS[self.status]
        return box(f"{words}: {self.name}", self.message.splitlines(), color)

    def _repr_html_(self) -> str:
        return self._card().html

    def __repr__(self) -> str:
        return self._card().text


class Exercise:
    """One exercise. As a cell's last line it shows its prompt."""

    name: str
    notebook: str
    function: str  # what the prompt tells the learner to call the function
    prompt: str
    hint: str
    praise: str = "Every property holds."
    solution: Callable[..., Any]  # a staticmethod whose source is what `show_solution` shows

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Ask `answer` questions drawn from `draw`; `require(...)` what must be true."""
        raise NotImplementedError

    def check(self, answer: Any, seed: int | None = None) -> Result:
        """Check an answer with a fresh seed. Never raises: the result says what is wrong."""
        seed = secrets.randbits(32) if seed is None else seed
        if answer is None or answer is ...:
            return self._result("not yet", "Write your answer above, then run this cell.", seed)
        if not callable(answer):
            message = f"Pass your function itself, not {type(answer).__name__}: no brackets."
            return self._result("try again", message, seed)
        try:
            self.properties(_guarded(answer), generator(seed, self.name))
        except NotYetError as unanswered:
            return self._result("not yet", str(unanswered), seed)
        except WrongError as wrong:
            return self._result("try again", str(wrong), seed)
        except Exception as error:
            # A value of a kind that no check foresaw, such as a string where a tensor belongs.
            message = (
                f"Your function ran, but its answer cannot be read ({type(error).__name__}: "
                f"{error}).\nCompare what it returns with what the exercise asks for."
            )
            return self._result("try again", message, seed)
        return self._result("passed", self.praise, seed)

    def _result(self, status: str, message: str, seed: int) -> Result:
        return Result(self.name, status, message, seed)

    def show_hint(self) -> Words:
        """The hint, folded."""
        return _folded("Hint", textwrap.dedent(self.hint).strip())

    def show_solution(self) -> Words:
        """A solution, folded."""
        source = textwrap.dedent(inspect.getsource(type(self).solution))
        source = source.replace("@staticmethod\ndef solution(", f"def {self.function}(", 1).strip()
        return _folded("A solution", f"```python\n{source}\n```")

    def _repr_markdown_(self) -> str:
        return f"**Exercise `{self.name}`.** {textwrap.dedent(self.prompt).strip()}"

    def __repr__(self) -> str:
        return self._repr_markdown_()


def require(condition: Any, message: str) -> None:
    """State a property: raise `WrongError(message)` unless it is true."""
    if not bool(condition):
        raise WrongError(message)


def require_tensor(value: Any, shape: Sequence[int], what: str) -> torch.Tensor:
    """The value, if it is a tensor of that shape."""
    require(
        isinstance(value, torch.Tensor),
        f"{what} should be a tensor, yours is {type(value).__name__}.",
    )
    require(
        tuple(value.shape) == tuple(shape),
        f"{what} should have shape {list(shape)}, yours has {list(value.shape)}.",
    )
    return value


def require_number(value: Any, what: str) -> float:
    """The value as a float, if it is a number or a tensor with one element."""
    try:
        return float(value if not isinstance(value, str) else None)
    except (TypeError, ValueError, RuntimeError):
        kind = type(value).__name__
        shape = f" of shape {list(value.shape)}" if hasattr(value, "shape") else ""
        raise WrongError(f"{what} should be one number, yours is a {kind}{shape}.") from None


def whole_number(draw: torch.Generator, low: int, high: int) -> int:
    """From `low` to `high - 1`."""
    return int(torch.randint(low, high, (), generator=draw))


def number_between(draw: torch.Generator, low: float, high: float) -> float:
    """Uniform, from `low` to `high`."""
    return low + (high - low) * float(torch.rand((), generator=draw, dtype=torch.float64))


def near(got: float, want: float) -> bool:
    """Equal up to the rounding of float32."""
    return math.isclose(got, want, rel_tol=1e-4, abs_tol=1e-6)


def _guarded(answer: Callable[..., Any]) -> Callable[..., Any]:
    """The learner's function, its failures put into words."""

    def ask(*arguments: Any) -> Any:
        try:
            value = answer(*arguments)
        except NotImplementedError as error:
            raise NotYetError("Replace the placeholder by your answer, then run this.") from error
        except Exception as error:
            raise WrongError(_story(answer, error)) from error
        if value is None or value is ...:
            raise NotYetError(
                "Your function returns nothing so far: write it, and end it with `return`."
            )
        return value

    return ask


def _story(answer: Callable[..., Any], error: Exception) -> str:
    """What stopped the learner's code, and in which of its lines."""
    code = getattr(answer, "__code__", None)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if code is not None
              and f.filename == code.co_filename and f.name == code.co_name]  # fmt: skip
    where = f"\nThe line: {frames[-1].line}" if frames and frames[-1].line else ""
    return f"Your code stopped with {type(error).__name__}: {error}.{where}"


def _folded(summary: str, markdown: str) -> Words:
    # The blank lines let the text inside the HTML block be read as Markdown.
    return Words(f"<details><summary>{summary}</summary>\n\n{markdown}\n\n</details>")
