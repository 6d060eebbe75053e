"""A finished run: model, tokenizer, recipe and history, in files that any tool can read."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from course_lib.corpora.tokenizers import read_tokenizer
from course_lib.models.adapters import merged
from course_lib.runtime import data_path
from course_lib.runtime.digest import digest_of, file_of, modules_behind
from course_lib.runtime.errors import CourseError
from course_lib.runtime.folders import verify_folder, whole_folder
from course_lib.training.recipe import Recipe

# They say what is wrong, show how far it is, or keep what is computed; they decide no number.
WITHOUT_EFFECT = frozenset(
    f"course_lib.{name}"
    for name in (
        "_lazy",
        "runtime.budget",
        "runtime.checks",
        "runtime.digest",
        "runtime.errors",
        "runtime.folders",
        "runtime.hub_errors",
        "runtime.packaged",
        "runtime.paths",
        "runtime.progress_bar",
        "runtime.signals",
        "training.checkpoint",
        "training.fitting",
        "training.plan",
        "training.shards",
        "training.side_log",
    )
)
TABLES_OF = {"course_lib.corpora.world.lexicon": "world"}
ABOUT = "run.json"
ADAPTER = "adapter"


@dataclass(eq=False)
class Run:
    """What training left behind.

    `history` holds what `fit` returns, `info` what the result depends on besides the recipe:
    versions, device, precision, seconds, and the digest of the code.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    recipe: Recipe
    history: list[dict[str, float]]
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def validation_loss(self) -> float:
        """Loss of these weights on held-out text, in nats per target."""
        if self.recipe.optimization.keep_best:
            return min(e["validation_loss"] for e in self.history if "validation_loss" in e)
        return self.history[-1]["validation_loss"]

    def save(self, folder: str | Path) -> Path:
        """Write the folder in the `transformers` format, with `run.json` and a manifest beside it.

        A model with an adapter is saved twice: merged, as any tool reads it, and the adapter alone
        in the `peft` format, in a folder of that name. All is written under another name first,
        flushed, and then renamed: a folder of this name is whole. A run that was there is
        replaced; any other content is left alone.

        Raises:
            CourseError: the folder cannot be written, holds something else, or the disk is full.
        """
        folder = Path(folder).expanduser().resolve()
        refuse_foreign(folder)
        about = {"recipe": self.recipe.to_dict(), "history": self.history, "info": self.info}
        with whole_folder(folder) as partial, _without_bars():
            if hasattr(self.model, "peft_config"):
                self.model.save_pretrained(partial / ADAPTER)
                (partial / ADAPTER / "README.md").unlink(missing_ok=True)
            merged(self.model).save_pretrained(partial)
            self.tokenizer.save_pretrained(partial)
            (partial / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a saved run, in fp32.

        Raises:
            CourseError: there is no run in the folder, or its files are not what was saved.
        """
        folder = Path(folder).expanduser()
        about = _about(folder)
        recipe = Recipe.from_dict(about["recipe"])
        try:
            verify_folder(folder)
            model, tokenizer = load_pretrained(folder)
        except (CourseError, OSError, ValueError, RuntimeError, SafetensorError) as error:
            cause = str(error).splitlines()[0]
            raise CourseError(
                f"The run in {folder} is damaged ({cause}): delete the folder and train it again."
            ) from error
        return cls(model, tokenizer, recipe, about["history"], about["info"])


def load_pretrained(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model, of the class that saved it, and its tokenizer, from a `transformers` folder.

    Raises:
        CourseError: the folder lacks weights of the model, or has some that are not finite.
    """
    with _without_bars():
        config = AutoConfig.from_pretrained(folder)
        model_class = getattr(transformers, config.architectures[0])
        model, report = model_class.from_pretrained(
            folder, dtype="float32", output_loading_info=True, use_safetensors=True
        )
        tokenizer = read_tokenizer(folder)
    if missing := sorted(report["missing_keys"]):
        raise CourseError(f"{folder} has no weights for {missing[0]}.")
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise CourseError(f"{folder}: the weights of {name} are not finite.")
    return model, tokenizer


def _about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CourseError(f"No run in {folder}: it has no readable {ABOUT}.") from error
    for key in ("recipe", "history", "info"):
        if not isinstance(about, dict) or key not in about:
            raise CourseError(
                f"The run in {folder} is damaged ({ABOUT} has no {key!r}): delete the folder and "
                "train it again."
            )
    return about


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
    if os.path.exists(folder) and not (folder / ABOUT).is_file():
        if folder.is_dir() and not any(folder.iterdir()):
            return
        raise CourseError(f"{folder} holds something that is not a run: choose another folder.")


@cache
def code_digest() -> str:
    """Twelve hexadecimal digits that change when the code changes what training computes.

    The lexicon of the generated world counts as code; comments and docstrings do not, nor do
    modules that move no number (bars, paths, checks of arguments).
    """
    return digest_of(files_behind(training_modules()))


def training_modules() -> set[str]:
    """The modules of the library that decide what a training run computes."""
    rooms = ("loop", "data", "start", "optimizer")
    names = [f"course_lib.training.{room}" for room in rooms]
    return modules_behind(*names, without=WITHOUT_EFFECT)


def files_behind(modules: set[str]) -> list[Path]:
    """The files of modules, and the tables that they read."""
    files = [file_of(module) for module in modules]
    for module, folder in TABLES_OF.items():
        if module in modules:
            files += data_path(folder).glob("*.toml")
    return files
