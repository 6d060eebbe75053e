"""A finished run: model, tokenizer, recipe and history, in files that any tool can read."""

import ast
import hashlib
import json
import os
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self

from safetensors import SafetensorError
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from course_lib.models import FAMILIES
from course_lib.runtime import data_path
from course_lib.runtime.errors import CourseError
from course_lib.training.recipe import Recipe

CODE = ("runtime", "corpora", "objectives", "models", "training")


@dataclass(eq=False)
class Run:
    """What training left behind.

    `history` holds what `fit` returns, `info` what the result depends on besides the recipe:
    versions, device, seconds, and the digest of the code.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    recipe: Recipe
    history: list[dict[str, float]]
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def validation_loss(self) -> float:
        """Loss on held-out text at the end, in nats per target."""
        return self.history[-1]["validation_loss"]

    def save(self, folder: str | Path) -> Path:
        """Write the folder in the `transformers` format, with `run.json` beside it.

        It is written under another name first and then renamed: a folder of this name is whole.
        A run that was there is replaced; any other content is left alone.

        Raises:
            CourseError: the folder cannot be written, holds something else, or the disk is full.
        """
        folder = Path(folder).resolve()
        refuse_foreign(folder)
        partial = folder.with_name(f".{folder.name}-partial-{os.getpid()}")
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            with _without_bars():
                self.model.save_pretrained(partial)
                self.tokenizer.save_pretrained(partial)
            about = {"recipe": self.recipe.to_dict(), "history": self.history, "info": self.info}
            (partial / "run.json").write_text(json.dumps(about, indent=1))
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise CourseError(
                f"Could not save the run to {folder} ({error}): free some space or choose a "
                "folder you can write."
            ) from error
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a saved run.

        Raises:
            CourseError: there is no run in the folder, or its files are damaged.
        """
        folder = Path(folder)
        try:
            about = json.loads((folder / "run.json").read_text())
        except (OSError, ValueError) as error:
            raise CourseError(f"No run in {folder}: it has no readable run.json.") from error
        recipe = Recipe.from_dict(about["recipe"])
        try:
            with _without_bars():
                model = FAMILIES[recipe.family].model_class.from_pretrained(folder, dtype="float32")
                tokenizer = AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise CourseError(
                f"The run in {folder} is damaged ({error}): delete the folder and train it again."
            ) from error
        return cls(model, tokenizer, recipe, about["history"], about["info"])


@contextmanager
def _without_bars() -> Iterator[None]:
    """transformers shows a bar for each file that it writes or reads."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def refuse_foreign(folder: Path) -> None:
    """Nothing but an earlier run is ever overwritten.

    Raises:
        CourseError: the folder holds files and no run.
    """
    if folder.exists() and not (folder / "run.json").is_file():
        if folder.is_dir() and not any(folder.iterdir()):
            return
        raise CourseError(f"{folder} holds something that is not a run: choose another folder.")


@cache
def code_digest() -> str:
    """Twelve hexadecimal digits that change when the training code changes what it computes.

    The lexicon of the generated world counts as code; comments and docstrings do not.
    """
    root = Path(__file__).resolve().parents[1]
    return digest_of([root / folder for folder in CODE] + [data_path("world")])


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
