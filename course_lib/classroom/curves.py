"""Curves of many runs, as the course draws them: mean and range over seeds, your run on top."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field

from course_lib.classroom.plots import COLORS, color_of
from course_lib.runtime.checks import BadArgumentError, Count, checked

History = Sequence[dict[str, float]]


@checked
def loss_curve(
    ax: Axes,
    histories: Sequence[History],
    label: str,
    color: str,
    live: History | None = None,
) -> None:
    """Draw recorded runs as mean and range over seeds, and the reader's own run on top.

    `histories` holds one history a seed, each a list of entries with `loss` (nats per token) and
    `tokens` (or `step`). Runs are compared at the entries they share. `color` is a method's name
    ("masked") or a colour.

    Raises:
        BadArgumentError: no run at all, runs that share no entry, or no colour.
    """
    if not histories and not live:
        raise BadArgumentError("loss_curve: there is no run: give histories, a live one, or both")
    color = color_of(color)
    key = _axis_key([*histories, *([live] if live else [])])
    if histories:
        xs, losses = _aligned(histories, key)
        name = f"{label}, {len(histories)} seeds" if len(histories) > 1 else label
        ax.plot(xs, losses.mean(axis=0), color=color, label=name)
        if len(histories) > 1:
            ax.fill_between(
                xs, losses.min(axis=0), losses.max(axis=0), color=color, alpha=0.2, lw=0
            )
    if live:
        xs, losses = _aligned([live], key)
        name = f"{label}, your run" if histories else label
        style = {"color": COLORS["live"], "ls": (0, (4, 2))} if histories else {"color": color}
        ax.plot(xs, losses[0], lw=1.5, label=name, **style)
    ax.set_xlabel("tokens seen" if key == "tokens" else "step")
    ax.set_ylabel("loss (nats per token)")
    ax.legend()


def held_out(history: History) -> list[dict[str, float]]:
    """The entries of a history with a validation loss, which becomes their `loss`."""
    return [
        {"step": entry["step"], "loss": entry["validation_loss"]}
        for entry in history
        if "validation_loss" in entry
    ]


@checked
def position_curve(
    ax: Axes,
    curves: Annotated[Sequence[Sequence[float]], Field(min_length=1)],
    label: str,
    color: str,
    live: Sequence[float] | None = None,
    average: Count = 1,
) -> None:
    """Loss at each position: mean and range over recorded seeds, and the reader's run.

    `curves` holds one list a seed; its first entry is the loss behind one token of context.
    `average` joins so many neighbouring positions, where single ones are too noisy to read.
    """
    places, losses = _joined(np.array(curves), average)
    color = color_of(color)
    ax.plot(places, losses.mean(axis=0), color=color, label=f"{label}, {len(losses)} seeds")
    ax.fill_between(places, losses.min(axis=0), losses.max(axis=0), color=color, alpha=0.2, lw=0)
    if live is not None:
        style = {"color": COLORS["live"], "ls": (0, (4, 2)), "lw": 1.5}
        ax.plot(places, _joined(np.array([live]), average)[1][0], label="your run", **style)
    ax.set(xlabel="position in the row (tokens)", ylabel="held-out loss (nats per token)")
    ax.legend()


def figure_of(draw: Callable[..., None], *arguments: Any, **options: Any) -> Figure:
    """A new figure with one set of axes, drawn on by `draw(ax, ...)`."""
    figure, ax = plt.subplots()
    draw(ax, *arguments, **options)
    return figure


def _joined(losses: np.ndarray, average: int) -> tuple[np.ndarray, np.ndarray]:
    """Means over `average` neighbouring positions, and where these lie."""
    losses = losses[:, : losses.shape[1] // average * average]
    losses = losses.reshape(len(losses), -1, average).mean(axis=2)
    return 1 + (average - 1) / 2 + average * np.arange(losses.shape[1]), losses


def _axis_key(histories: Sequence[History]) -> str:
    return "tokens" if all("tokens" in entry for run in histories for entry in run) else "step"


def _aligned(histories: Sequence[History], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Points that every run logged, and the losses there, [runs, points]."""
    runs = [{entry[key]: entry["loss"] for entry in run if "loss" in entry} for run in histories]
    shared = sorted(set.intersection(*(set(run) for run in runs)))
    if not shared:
        raise BadArgumentError("loss_curve: the runs share no step at which they were logged")
    return np.array(shared), np.array([[run[x] for x in shared] for run in runs])
