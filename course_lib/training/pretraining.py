"""`train(recipe)`: a recipe in, a run out, the second time at once."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_lib.models import build
from course_lib.models.likelihood import loss_sum
from course_lib.runtime import cache_path, describe_machine, seed_of
from course_lib.training.data import Prepared, prepare
from course_lib.training.loop import fit
from course_lib.training.recipe import Recipe
from course_lib.training.run import Run, code_digest, refuse_foreign


def train(
    recipe: Recipe,
    *,
    folder: str | Path | None = None,
    callback: Callable[[dict[str, float]], None] | None = None,
) -> Run:
    """Train what the recipe says, or load it if this recipe and code have been trained before.

    A run that was interrupted goes on from its last checkpoint. `folder` is where the run lies
    (by default in the cache, named by recipe and code); `callback` gets each entry of the
    history, also of a run that is only loaded, so a live curve is drawn either way.

    Raises:
        CourseError: missing text, an unwritable folder, a loss that is not finite.
        KeyboardInterrupt: after Ctrl-C; the message says where the run was saved.
    """
    place = Path(folder) if folder else run_folder(recipe)
    if (place / "run.json").is_file():
        run = Run.load(place)
        for entry in run.history if callback else ():
            callback(entry)
        return run

    refuse_foreign(place)
    started = time.perf_counter()
    prepared = prepare(recipe)
    model = fresh_model(recipe, prepared.tokenizer)
    checkpoints = place.with_name(f"{place.name}-checkpoints")
    history = fit(
        model,
        prepared.train,
        recipe,
        folder=checkpoints,
        evaluate=lambda m: validation_loss(m, prepared),
        callback=callback,
    )
    seconds = round(time.perf_counter() - started, 1)
    info = describe_machine() | {"code": code_digest(), "seconds": seconds}
    run = Run(model.eval(), prepared.tokenizer, recipe, history, info)
    if _is_main_process():
        run.save(place)
        shutil.rmtree(checkpoints, ignore_errors=True)
    return run


def run_folder(recipe: Recipe) -> Path:
    """Where `train` keeps the run of a recipe."""
    return cache_path("runs", f"{recipe.name}-{recipe.digest()}-{code_digest()}")


def fresh_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The recipe's model before training; its weights are a function of the seed."""
    torch.manual_seed(seed_of(recipe.seed, "weights"))
    return build(
        recipe.family,
        tokenizer,
        width=recipe.width,
        layers=recipe.layers,
        heads=recipe.heads,
        length=recipe.positions or recipe.length,
        dropout=recipe.dropout,
        attention=recipe.attention,
    )


@torch.no_grad()
def validation_loss(model: nn.Module, prepared: Prepared) -> float:
    """Mean loss per target on the held-out batches, in nats."""
    model.eval()
    device = next(model.parameters()).device
    total, targets = 0.0, 0
    for batch in prepared.validation:
        loss, count = loss_sum(model, {key: value.to(device) for key, value in batch.items()})
        total, targets = total + float(loss), targets + count
    return total / targets


def _is_main_process() -> bool:
    from accelerate import PartialState

    return PartialState().is_main_process
