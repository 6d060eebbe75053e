"""Guards modules that can be read in one sitting: under 350 lines, with a docstring.

pytest tests/setup/test_module_shape.py
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "course_lib"
MODULES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_is_short_and_says_what_it_is(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) < 350
    assert ast.get_docstring(ast.parse(source)), "a module opens with a docstring"
