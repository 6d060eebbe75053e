"""One plot style, one palette, and figures that come with words for those who cannot see them.

The palette is Okabe and Ito's (2008), which stays distinct under the common kinds of colour
blindness. A method keeps its colour through the whole course.
"""

import base64
from collections.abc import Callable, Sequence
from html import escape
from io import BytesIO
from numbers import Real
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.classroom.cards import Card, display_output

if TYPE_CHECKING:
    from pandas import DataFrame

    from course_lib.evaluation import Interval

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, AMBER, GREY, BLACK = "#56B4E9", "#E69F00", "#767676", "#1b1f24"

COLORS = {
    # objectives
    "masked": BLUE,
    "masked-static": SKY,
    "left-only": AMBER,
    "causal": ORANGE,
    "span": GREEN,
    "infilling": PINK,
    # published models
    "gpt2": PINK,
    "bigscience/bloom-560m": SKY,
    # where a model started
    "pretrained": BLUE,
    "scratch": AMBER,
    # positions
    "learned": ORANGE,
    "alibi": SKY,
    # what a loss is held against
    "unigram": GREY,
    "bigram": GREY,
    "baseline": GREY,
    "floor": BLACK,
    "short": AMBER,
    "live": BLACK,
}

History = Sequence[dict[str, float]]


def use_style() -> None:
    """Set matplotlib's defaults to the course's style."""
    plt.rcParams.update(
        {
            "figure.figsize": (7.2, 3.8),
            "figure.dpi": 100,
            "savefig.dpi": 100,
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#e3e6e8",
            "legend.frameon": False,
            "lines.linewidth": 2.0,
            "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, PINK, SKY, AMBER]),
        }
    )


def color_of(name: str) -> str:
    """The colour of a method, or the given colour itself if it is none of the course's names."""
    return COLORS.get(name, name)


def picture(figure: Figure, alt: str) -> Card:
    """Draw a figure into a card: an image with alternative text; closes the figure.

    Raises:
        ValueError: no alternative text.
    """
    if not alt.strip():
        raise ValueError("a figure needs alternative text: say what it shows and what to see in it")
    alt = " ".join(alt.split())  # in a notebook it may run over several lines
    buffer = BytesIO()
    # Without the Software entry the bytes do not change with matplotlib's version number alone.
    figure.savefig(buffer, format="png", dpi=min(figure.dpi, 100), metadata={"Software": None})
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    html = f'<img src="data:image/png;base64,{data}" alt="{escape(alt)}" style="max-width:100%">'
    return Card(html, f"[figure] {alt}")


def show(figure: Figure, alt: str) -> None:
    """Display a figure with its alternative text, then close it.

    An `<img>` in HTML is the one form whose alternative text JupyterLab, Colab and the book all
    keep; the plain-text face of the output is the same words.
    """
    display_output(picture(figure, alt))


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
    """
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


def baseline(ax: Axes, value: float, label: str, color: str = "baseline") -> None:
    """A horizontal line at `value`, named at its right end."""
    color = color_of(color)
    ax.axhline(value, color=color, ls="--", lw=1.2)
    # In axis units across and data units up, so that the label stays at the edge.
    ax.text(
        0.995, value, label, color=color, ha="right", va="bottom", fontsize=9,
        transform=ax.get_yaxis_transform(),
    )  # fmt: skip


def bars(
    ax: Axes,
    values: "dict[str, float | Interval]",
    ylabel: str,
    colors: dict[str, str] | None = None,
) -> None:
    """A bar for each name, with its interval drawn and its value written above.

    A value is a number or an `Interval` (mean, low, high). `colors` maps a bar's name to a method
    or colour; a bar whose own name is a method ("pretrained") needs none.
    """
    colors, reaches = colors or {}, {name: _reach(value) for name, value in values.items()}
    top = max(high for _, _, high in reaches.values())
    for place, (name, (mean, low, high)) in enumerate(reaches.items()):
        color = color_of(colors.get(name, COLORS.get(name, "baseline")))
        ax.bar(place, mean, color=color, width=0.6)
        if high != mean:
            reach = [[mean - low], [high - mean]]
            ax.errorbar(place, mean, yerr=reach, color=BLACK, capsize=5, lw=1.4)
        ax.text(place, high + 0.015 * top, f"{mean:.3g}", ha="center", va="bottom", fontsize=10)
    ax.set_xticks(range(len(values)), list(values))
    ax.set_ylabel(ylabel)
    ax.grid(axis="x", visible=False)


def points(ax: Axes, values: "dict[Any, float | Interval]", label: str, color: str) -> None:
    """Joined points at evenly spaced places named by the keys, with their intervals."""
    reaches = [_reach(value) for value in values.values()]
    means = [mean for mean, _, _ in reaches]
    reach = [[mean - low for mean, low, _ in reaches], [high - mean for mean, _, high in reaches]]
    style = {"ls": (0, (4, 2)), "lw": 1.5, "marker": "x"} if color == "live" else {"marker": "o"}
    ax.errorbar(
        range(len(values)),
        means,
        yerr=reach,
        color=color_of(color),
        capsize=5,
        label=label,
        **style,
    )
    ax.set_xticks(range(len(values)), list(values))
    ax.legend()


def _reach(value: "float | Interval") -> tuple[float, float, float]:
    """Mean, low and high of an interval; of a number, three times the number."""
    if isinstance(value, Real):
        return float(value), float(value), float(value)
    return value.mean, value.low, value.high


def interval_dots(ax: Axes, table: "DataFrame", *, x: str, y: str, hue: str) -> None:
    """A dot and its 95 % interval for each row `y` and method `hue` of a table of runs.

    `table` has a line a run: the value `x`, and the two names. Methods keep their colours.
    """
    import seaborn as sns

    from course_lib.evaluation import interval

    def reach(values: Sequence[float]) -> tuple[float, float]:
        found = interval(list(values))
        return found.low, found.high

    palette = {name: color_of(name) for name in table[hue].unique()}
    sns.pointplot(
        table, x=x, y=y, hue=hue, palette=palette, errorbar=reach, dodge=0.4, capsize=0.1,
        linestyle="none", err_kws={"linewidth": 1.8}, markersize=5, ax=ax,
    )  # fmt: skip
    ax.legend()


def position_curve(
    ax: Axes,
    curves: Sequence[Sequence[float]],
    label: str,
    color: str,
    live: Sequence[float] | None = None,
    average: int = 1,
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


def _joined(losses: np.ndarray, average: int) -> tuple[np.ndarray, np.ndarray]:
    """Means over `average` neighbouring positions, and where these lie."""
    losses = losses[:, : losses.shape[1] // average * average]
    losses = losses.reshape(len(losses), -1, average).mean(axis=2)
    return 1 + (average - 1) / 2 + average * np.arange(losses.shape[1]), losses


def figure_of(draw: Callable[..., None], *arguments: Any, **options: Any) -> Figure:
    """A new figure with one set of axes, drawn on by `draw(ax, ...)`."""
    figure, ax = plt.subplots()
    draw(ax, *arguments, **options)
    return figure


def _axis_key(histories: Sequence[History]) -> str:
    return "tokens" if all("tokens" in entry for run in histories for entry in run) else "step"


def _aligned(histories: Sequence[History], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Points that every run logged, and the losses there, [runs, points]."""
    runs = [{entry[key]: entry["loss"] for entry in run if "loss" in entry} for run in histories]
    shared = sorted(set.intersection(*(set(run) for run in runs)))
    if not shared:
        raise ValueError("these runs were logged at different points: they share no entry")
    return np.array(shared), np.array([[run[x] for x in shared] for run in runs])
