"""Guards the one-way order of course_lib's folders: text to evidence, never back.

pytest tests/setup/test_import_order.py
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "course_lib"

# Folders on one line do not know each other.
LAYERS = [
    ["runtime"],
    ["compute"],
    ["corpora"],
    ["objectives"],
    ["models"],
    ["training"],
    ["generation"],
    ["evaluation"],
    ["finetuning", "scaling"],
    ["studies"],
    ["classroom"],
]
RANK = {folder: rank for rank, folders in enumerate(LAYERS) for folder in folders}


def imported_folders(source: str) -> list[tuple[int, str]]:
    """(line, folder of course_lib) of each import, also inside functions and TYPE_CHECKING."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write course_lib imports in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        parts = [name.split(".") for name in names]
        found += [(node.lineno, p[1]) for p in parts if p[0] == "course_lib" and len(p) > 1]
    return found


def violations(folder: str, source: str) -> list[str]:
    """What a module of `folder` imports and must not."""
    return [
        f"line {line}: {folder} imports {other}"
        for line, other in imported_folders(source)
        if other in RANK and other != folder and RANK[other] >= RANK[folder]
    ]


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_folder_imports_only_folders_before_it(path):
    folder = path.relative_to(ROOT).parts[0]
    assert folder in RANK, f"{folder} has no place in the order: give it one in LAYERS"
    assert violations(folder, path.read_text(encoding="utf-8")) == []


def test_modules_were_found():
    assert {path.relative_to(ROOT).parts[0] for path in modules()} >= {"runtime", "training"}


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("objectives", "from course_lib.models import build"),
        ("runtime", "def f():\n    import course_lib.corpora.world"),
        ("finetuning", "from course_lib import scaling"),
        ("scaling", "if TYPE_CHECKING:\n    from course_lib.finetuning.loss import x"),
    ],
)
def test_a_planted_violation_is_found(folder, source):
    assert len(violations(folder, source)) == 1


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("models", "from course_lib._lazy import lazy_exports\nimport torch"),
        ("models", "from course_lib.models.families import FAMILIES"),
        ("classroom", "from course_lib import evaluation, runtime"),
    ],
)
def test_what_is_allowed_passes(folder, source):
    assert violations(folder, source) == []
