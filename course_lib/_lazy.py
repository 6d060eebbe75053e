"""Lazy package exports, so that `import course_lib` does not cost the price of torch."""

from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy_exports(package: str, names: dict[str, str]) -> tuple[Callable, Callable, list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` that import each name on first use (PEP 562).

    `names` maps an exported name to the submodule that defines it. No name may be that of a
    submodule: importing the submodule would put the module in the name's place.
    """
    if clash := set(names) & set(names.values()):
        raise ImportError(f"{package}: rename the submodule {clash}, it hides what it exports")

    def __getattr__(name: str) -> Any:  # noqa: N807
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{names[name]}"), name)

    return __getattr__, lambda: sorted(names), sorted(names)
