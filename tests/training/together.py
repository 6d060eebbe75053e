"""What each of several processes does in a test; `rank` tells them apart, a folder brings it back.

Each writes `NAME-RANK.json`, since an assertion in a child would only be an exit status.
"""

import json
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small_runs import StoppedError, batches, model_for, small, stopping_at

from course_lib.objectives import summed_loss
from course_lib.runtime import CourseError, processes
from course_lib.training import Recipe, fit, train

LONG = {"steps": 20, "warmup": 4, "log_every": 1, "checkpoint_every": 10}


def tell(folder: Path, name: str, value: object) -> None:
    """Leave something for the test to read."""
    (folder / f"{name}-{processes.rank()}.json").write_text(json.dumps(value), encoding="utf-8")


def told(folder: Path, name: str, rank: int = 0) -> object:
    return json.loads((folder / f"{name}-{rank}.json").read_text(encoding="utf-8"))


def losses(
    objective: str, folder: Path | None, stop: int | None = None, **changes: object
) -> list[float]:
    """Twenty steps at dropout 0 in fp32, perhaps gone on with, or stopped before a step."""
    source = batches(objective)
    batch_at = source if stop is None else stopping_at(stop, source)
    model = model_for(objective, dropout=0.0)
    history = fit(model, batch_at, small(**LONG | changes), folder=folder)
    return [entry["loss"] for entry in history]


def as_one_would(objective: str, folder: Path, sharded: bool) -> None:
    """Train unbroken; go on from what one process has left; leave something to go on from."""
    changes = {"sharded": sharded, "micro_batches": 2}
    tell(folder, "unbroken", losses(objective, None, **changes))
    changes.pop("micro_batches")
    tell(folder, "taken over", losses(objective, folder / "of one", **changes))
    with pytest.raises(StoppedError):
        losses(objective, folder / "of two", stop=11, **changes)


def in_parts(folder: Path) -> None:
    """What a process holds of a sharded model, and the weights that it ends with."""
    held = {}

    def evaluate(model: torch.nn.Module) -> float:
        for name, parameter in model.named_parameters():
            held[name] = [parameter.to_local().numel(), parameter.numel()]
        return 0.0

    model = model_for("causal", dropout=0.0)
    settings = small(sharded=True, evaluate_every=4)
    fit(model, batches("causal"), settings, folder=folder / "run", evaluate=evaluate)
    tell(folder, "held", held)
    save_file({n: p.detach() for n, p in model.named_parameters()}, folder / f"{processes.rank()}")


def sparing(folder: Path) -> None:
    """All that spares memory at once."""
    changes = {"sharded": True, "chunked_loss": True, "activation_checkpointing": True}
    tell(folder, "spared", losses("causal", None, **changes))


def apart(folder: Path) -> None:
    """Go on where only the main process sees the checkpoints."""
    mine = folder / str(processes.rank())
    with pytest.raises(StoppedError):
        losses("causal", mine, stop=11)
    asked, source = [], batches("causal")

    def noting(step: int) -> dict:
        asked.append(step)
        return source(step)

    model = model_for("causal", dropout=0.0)
    history = fit(model, noting, small(**LONG), folder=mine)
    weights = {n: p.double().sum().item() for n, p in model.named_parameters()}
    tell(folder, "end", [asked, history, weights])


def dropped(folder: Path) -> None:
    """The same row over and over, hardly a step: only dropout tells losses apart."""
    row, mine = batches("causal")(0), []
    batch = {key: value[:1].repeat(8, *[1] * (value.ndim - 1)) for key, value in row.items()}

    def noting(model: torch.nn.Module, part: dict) -> torch.Tensor:
        loss = summed_loss(model, part)
        mine.append(float(loss.detach()))
        return loss

    settings = small(steps=4, warmup=0, learning_rate=1e-12, checkpoint_every=None)
    fit(model_for("causal", dropout=0.5), lambda step: batch, settings, loss=noting)
    tell(folder, "losses", mine)


def slowly(folder: Path, go: str) -> None:
    """Train until somebody stops it; `go` appears when it has begun."""
    source = batches("masked")

    def batch_at(step: int) -> dict:
        time.sleep(0.02)
        if step == 3:
            (folder / f"{go}-{processes.rank()}").touch()
        return source(step)

    settings = small(steps=60, warmup=4, checkpoint_every=None)
    fit(model_for("masked", dropout=0.0), batch_at, settings, folder=folder / "run")


def failing(folder: Path) -> None:
    """What goes wrong in one process stops all of them, with the same words."""
    (folder / "file").write_text("in the way", encoding="utf-8")
    model, source, said = model_for("masked", dropout=0.0), batches("masked"), []

    def fails(what: str, call: object) -> None:
        with pytest.raises(CourseError) as caught:
            call()
        said.append([what, str(caught.value)])

    fails("disk", lambda: fit(model, source, small(), folder=folder / "file" / "run"))

    def one_sided(model: torch.nn.Module, part: dict) -> torch.Tensor:
        return summed_loss(model, part) * (float("nan") if processes.rank() == 1 else 1.0)

    fails("loss", lambda: fit(model, source, small(), loss=one_sided))
    fit(model, source, small(), folder=folder / "run")
    fails("seed", lambda: fit(model, source, small(seed=4), folder=folder / "run"))
    tell(folder, "said", said)


def recipes(folder: Path, recipe: Recipe) -> None:
    """One recipe after another; the second time, only the main process sees the finished run."""
    heard = []
    place = folder / str(processes.rank())
    first = train(recipe, folder=place, callback=heard.append)
    again = train(recipe, folder=place, callback=heard.append)
    sharded = recipe.replace(seed=5, sharded=True)
    other = train(sharded, folder=folder / f"other-{processes.rank()}")
    same = all(
        torch.equal(weight, again.model.state_dict()[name])
        for name, weight in first.model.state_dict().items()
    )
    tell(folder, "runs", [heard, first.history, again.history, other.history, same, first.info])
