"""`train(recipe)`: a recipe in, a run out, the second time at once."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

from torch import nn

from course_lib.models import evaluation_mode
from course_lib.objectives.by_example import count_examples, loss_by_example
from course_lib.objectives.inside import loss_inside
from course_lib.objectives.labels import count_labels, label_loss
from course_lib.objectives.loss import count_targets, summed_loss, to_device, unwrap
from course_lib.runtime import (
    cache_path,
    choose_device,
    choose_precision,
    describe_machine,
    processes,
)
from course_lib.runtime.errors import CourseError
from course_lib.runtime.folders import one_at_a_time, require_writable
from course_lib.training.checkpoint import differences, newest
from course_lib.training.data import Batch, Prepared, prepare, tokenizer_of
from course_lib.training.loop import fit
from course_lib.training.recipe import Recipe
from course_lib.training.run import ABOUT, Run, code_digest, refuse_foreign
from course_lib.training.side_log import SideLog
from course_lib.training.start import load_start, model_to_train, start_digest
from course_lib.training.tables import HEADED, LAYOUT

LOGITS = 2**30  # at a time in an evaluation: 4 GB in fp32


def train(
    recipe: Recipe,
    *,
    folder: str | Path | None = None,
    callback: Callable[[dict[str, float]], None] | None = None,
) -> Run:
    """Train what the recipe says, or load it if this recipe and code have been trained before.

    A run that was interrupted goes on from its last checkpoint. `folder` is where the run lies
    (by default in the cache, named by recipe and code), with a table of speed and memory beside it
    (`course_lib.training.side_log`); `callback` gets each entry of the
    history, also of a run that is only loaded, so a live curve is drawn either way.

    Raises:
        CourseError: missing text or model, an unwritable folder or one with another run in it, a
            loss that is not finite.
        KeyboardInterrupt: after Ctrl-C; the message says where the run was saved.
    """
    place = Path(folder).expanduser().resolve() if folder else run_folder(recipe)
    processes.join_processes(choose_device())
    # Two notebooks, or workers of a sweep, may want the same run: one trains, the other waits.
    with one_at_a_time(place) if processes.world_size() == 1 else nullcontext():
        return _found_or_trained(recipe, place, callback)


def _found_or_trained(recipe: Recipe, place: Path, callback: Callable | None) -> Run:
    if run := processes.from_main(lambda: _found(place, recipe)):
        for entry in run.history if callback and processes.is_main() else ():
            callback(entry)
        return run

    started = time.perf_counter()
    start = load_start(recipe)
    if start:
        prepared = prepare(recipe, start.tokenizer, start.objective, start.kind)
    else:
        prepared = prepare(recipe, tokenizer_of(recipe))
    headed = (start.objective if start else recipe.objective_name) in HEADED
    labels = prepared.train.rows.labels if headed else None
    model = model_to_train(recipe, prepared.tokenizer, start, labels)
    plain = loss_inside if recipe.optimization.chunked_loss else summed_loss
    loss, count = (label_loss, count_labels) if headed else (plain, count_targets)
    by_example = recipe.objective.mean_over == "examples"
    heard = [callback] if callback else []
    if processes.is_main():
        goes_on = newest(_checkpoints(place)) is not None
        heard.append(SideLog(_beside(place, "-log.csv"), recipe, goes_on=goes_on))
    history = fit(
        model,
        prepared.train,
        recipe.optimization,
        folder=_checkpoints(place),
        evaluate=lambda m: validation_loss(m, prepared, loss, count),
        loss=loss_by_example if by_example else loss,
        count=count_examples if by_example else count,
        callback=lambda entry: [hear(entry) for hear in heard],
        identity=_identity(recipe),
    )
    info = describe_machine() | {
        "precision": _precision(recipe),
        "processes": processes.world_size(),
        "code": code_digest(),
        "seconds": round(time.perf_counter() - started, 1),
    }
    run = Run(model.eval(), prepared.tokenizer, recipe, history, info)
    processes.from_main(lambda: run.save(place))
    if processes.is_main():
        shutil.rmtree(_checkpoints(place), ignore_errors=True)
    processes.leave_processes()
    return run


def run_folder(recipe: Recipe) -> Path:
    """Where `train` keeps the run of a recipe."""
    name = "-".join(filter(None, (recipe.digest(), start_digest(recipe), code_digest())))
    return cache_path("runs", f"{recipe.name}-{name}")


def validation_loss(
    model: nn.Module,
    prepared: Prepared,
    loss: Callable = summed_loss,
    count: Callable = count_targets,
) -> float:
    """Mean loss per target on the held-out batches, in nats, in fp32."""
    total, targets = 0.0, 0
    with evaluation_mode(model) as device:
        for batch in _in_parts(prepared.validation, unwrap(model).config.vocab_size):
            here = to_device(model, batch, device)
            total, targets = total + float(loss(model, here)), targets + count(model, batch)
    return total / targets


def _in_parts(batches: list[Batch], vocabulary: int) -> Iterator[Batch]:
    """The batches, cut where the logits of one would fill the memory of a GPU."""
    for batch in batches:
        rows = max(1, LOGITS // (batch["input_ids"].shape[1] * vocabulary))
        for first in range(0, len(batch["labels"]), rows):
            yield {key: value[first : first + rows] for key, value in batch.items()}


def _found(place: Path, recipe: Recipe) -> Run | None:
    """The run that lies there, or None where one can be written."""
    if not os.path.isfile(place / ABOUT):  # Path.is_file raises where one may not look
        refuse_foreign(place)
        require_writable(place.parent)
        return None
    run = Run.load(place)
    if run.recipe.digest() != recipe.digest():
        what = "; ".join(differences(run.recipe.to_dict(), recipe.to_dict())[:4])
        raise CourseError(
            f"{place} holds another run ({what}): choose another folder, or delete it."
        )
    shutil.rmtree(_checkpoints(place), ignore_errors=True)  # of one killed before it could
    return run


def _checkpoints(place: Path) -> Path:
    return _beside(place, "-checkpoints")


def _beside(place: Path, ending: str) -> Path:
    return place.with_name(f"{place.name}{ending}")


def _identity(recipe: Recipe) -> dict:
    """What a checkpoint must be of, to be gone on from."""
    left_out = {"name": True, "optimization": LAYOUT}
    fields = recipe.model_dump(mode="json", exclude_none=True, exclude=left_out)
    return fields | {"start_digest": start_digest(recipe)}


def _precision(recipe: Recipe) -> str:
    precision = choose_precision(choose_device(), recipe.optimization.precision)
    return {"no": "fp32"}.get(precision, precision)
