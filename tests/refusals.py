"""What a refusal looks like: a `CourseError` of one line that says what would be right."""

from collections.abc import Callable
from typing import Any

import pytest

from course_lib.runtime.errors import CourseError


def assert_refused(call: Callable[[], Any], *words: str) -> None:
    """`call` raises a `CourseError` of one line that a screen holds, with these words in it."""
    with pytest.raises(CourseError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message, f"more than one line: {message}"
    assert 10 < len(message) < 400, f"{len(message)} characters: {message}"
    for word in words:
        assert word in message, f"{word!r} is not in: {message}"
