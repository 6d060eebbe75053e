"""A name for code: what it says, not how it is laid out or commented, and what it rests on."""

import ast
import hashlib
import tomllib
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def digest_of(files: Iterable[Path]) -> str:
    """Twelve hexadecimal digits for modules of Python and TOML tables, by content and place."""
    hasher = hashlib.sha256()
    for file in sorted(files):
        text = file.read_text(encoding="utf-8")
        content = tomllib.loads(text) if file.suffix == ".toml" else _plain(ast.parse(text))
        hasher.update(f"{file.relative_to(PACKAGE.parent).as_posix()}\n{content}\n".encode())
    return hasher.hexdigest()[:12]


def modules_behind(*names: str, without: Collection[str] = ()) -> set[str]:
    """Modules of the library, and those that they import, and so on: all that decides a number.

    A name that a package exports lazily leads to the module that defines it, not to all of the
    package. `without` names modules to leave out, with what only they import.
    """
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found and name not in without:
            found.add(name)
            waiting += _imported_by(name)
    return found


def file_of(module: str) -> Path:
    """Where a module of the library lies."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _imported_by(module: str) -> tuple[str, ...]:
    tree = ast.parse(file_of(module).read_text(encoding="utf-8"))
    only_hints = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in only_hints:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE.name):
            found += [_defined_in(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.startswith(f"{PACKAGE.name}.")]
    return tuple(found)


def _defined_in(module: str, name: str) -> str:
    """The module that `from module import name` reads."""
    while file_of(module).name == "__init__.py":
        exported = _exports(module).get(name)
        if exported is None:
            inner = f"{module}.{name}"
            return inner if file_of(inner).is_file() else module
        module = f"{module}.{exported}"
    return module


@cache
def _exports(package: str) -> dict[str, str]:
    """What a package exports lazily (`course_lib._lazy`), and from which of its modules."""
    for node in ast.walk(ast.parse(file_of(package).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "lazy_exports":
            return ast.literal_eval(node.args[1])
    return {}


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
