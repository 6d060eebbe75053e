"""The prose in the documentation of scientific Python packages, as installed.

A real technical register that costs no download: the sources are parsed, never imported, and of
each docstring only whole paragraphs of sentences are kept. The packages carry permissive
(BSD-like) licences. Other versions of the packages give slightly different text.
"""

import ast
import hashlib
import inspect
import json
import os
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from course_lib.corpora.cleaning import unique
from course_lib.corpora.prose import paragraphs
from course_lib.runtime import CourseError, cache_path, progress

PACKAGES = {  # package: the distribution that brings it
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "pandas": "pandas",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "torch": "torch",
}
SKIPPED_FOLDERS = {"tests", "test", "testing", "_vendor", "vendored", "externals", "third_party"}
ATTACHING_CALLS = {"add_docstr", "_add_docstr", "add_newdoc", "_add_newdoc"}
SHORTEST = 80  # characters: a shorter docstring is a label, not prose


def read_docstrings() -> list[dict[str, str]]:
    """All documents as rows of id, title, unit (the module's path) and text, no paragraph twice.

    Read from the cache where the same versions of the packages were read before; else parsed,
    which takes some 20 seconds.

    Raises:
        CourseError: one of the packages is not installed.
    """
    for package in PACKAGES:
        _root(package)
    cache = cache_path("corpora", f"docstrings-{_fingerprint()}.jsonl")
    try:
        return [json.loads(line) for line in cache.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        pass  # not there, or damaged: parse again
    rows: list[dict[str, str]] = []
    for module, path in progress(sources(), desc="Reading docstrings"):
        rows += _documents(module, path.read_text(encoding="utf-8", errors="replace"))
    rows = unique(_without_repeated_paragraphs(rows))
    draft = cache.with_suffix(f".{os.getpid()}")
    draft.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    os.replace(draft, cache)
    return rows


def sources() -> list[tuple[str, Path]]:
    """Each module of the packages, as a name like "numpy/lib/scimath", and its file."""
    found = []
    for package in PACKAGES:
        root = _root(package)
        for path in sorted(root.rglob("*.py")):
            place = path.relative_to(root)
            if not SKIPPED_FOLDERS & set(place.parts):
                found.append((Path(package, place).with_suffix("").as_posix(), path))
    return found


def _root(package: str) -> Path:
    spec = find_spec(package)  # finds a top-level package without importing it
    if spec is None or not spec.submodule_search_locations:
        raise CourseError(
            f"The docstrings need a package that is not here: `pip install {PACKAGES[package]}`."
        )
    return Path(spec.submodule_search_locations[0])


def _fingerprint() -> str:
    versions = [version(distribution).split("+")[0] for distribution in PACKAGES.values()]
    code = Path(__file__).read_bytes()
    return hashlib.sha256(repr(versions).encode() + code).hexdigest()[:16]


def _documents(module: str, source: str) -> list[dict[str, str]]:
    if '"""' not in source:
        return []  # parsing is what takes the time
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    rows = []
    for number, docstring in enumerate(_docstrings(tree)):
        text = "\n\n".join(paragraphs(docstring))
        if len(text) >= SHORTEST:
            rows.append({"id": f"{module}#{number}", "title": module, "unit": module, "text": text})
    return rows


def _docstrings(tree: ast.Module) -> Iterator[str]:
    """Docstrings in their place, and those that a call attaches to compiled functions.

    Only statements are visited: walking every expression would take three times as long.
    """
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield docstring
        elif isinstance(node, ast.Expr):
            yield from _attached(node.value)
        for field in ("finalbody", "orelse", "handlers", "body"):  # popped in reading order
            inner = getattr(node, field, None)
            waiting += reversed(inner) if isinstance(inner, list) else []


def _attached(call: ast.expr) -> Iterator[str]:
    if isinstance(call, ast.Call) and _name(call.func) in ATTACHING_CALLS:
        for part in ast.walk(call):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield inspect.cleandoc(part.value)


def _name(function: ast.expr) -> str:
    return getattr(function, "attr", None) or getattr(function, "id", "")


def _without_repeated_paragraphs(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Each paragraph only where it stands first: shared remarks would leak between the splits."""
    seen: set[str] = set()
    kept = []
    for row in rows:
        fresh = []
        for paragraph in row["text"].split("\n\n"):
            if paragraph not in seen:
                seen.add(paragraph)
                fresh.append(paragraph)
        text = "\n\n".join(fresh)
        if len(text) >= SHORTEST:
            kept.append({**row, "text": text})
    return kept
