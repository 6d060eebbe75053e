"""A name for code: what it says, not how it is laid out or commented."""

import ast
import hashlib
import tomllib
from pathlib import Path


def digest_of(folders: list[Path]) -> str:
    """Twelve hexadecimal digits for the code (and TOML tables) in some folders."""
    hasher = hashlib.sha256()
    for folder in folders:
        for file in sorted(f for f in folder.rglob("*") if f.suffix in (".py", ".toml")):
            text = file.read_text(encoding="utf-8")
            content = tomllib.loads(text) if file.suffix == ".toml" else _plain(ast.parse(text))
            hasher.update(f"{file.relative_to(folder.parent).as_posix()}\n{content}\n".encode())
    return hasher.hexdigest()[:12]


def _plain(node: object) -> object:
    """A syntax tree as nested tuples, without docstrings.

    Empty fields are left out: which ones a node has depends on the version of Python.
    """
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, ast.AST):
        return node
    fields = dict(ast.iter_fields(node))
    body = fields.get("body")
    if isinstance(body, list) and body and _is_text(body[0]):
        fields["body"] = body[1:]
    kept = [(name, _plain(value)) for name, value in fields.items() if value not in (None, [])]
    return (type(node).__name__, *kept)


def _is_text(node: ast.AST) -> bool:
    value = getattr(node, "value", None)
    return isinstance(node, ast.Expr) and isinstance(getattr(value, "value", None), str)
