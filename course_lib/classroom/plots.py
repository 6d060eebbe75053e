"""One plot style, one palette, and figures that come with words for those who cannot see them.

The palette is Okabe and Ito's (2008), which stays distinct under the common kinds of colour
blindness. A method keeps its colour through the whole course.
"""

import base64
from html import escape
from io import BytesIO
from numbers import Real
from typing import TYPE_CHECKING, Annotated, Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like
from matplotlib.figure import Figure
from pydantic import BeforeValidator, Field

from course_lib.classroom.cards import Card, display_output
from course_lib.runtime.checks import BadArgumentError, Number, Text, checked

if TYPE_CHECKING:
    from course_lib.evaluation import Interval

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, AMBER, GREY, BLACK = "#56B4E9", "#E69F00", "#767676", "#1b1f24"
MARKERS = "osD^vP"

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
    """The colour of a method, or the given colour itself if it is none of the course's names.

    Raises:
        BadArgumentError: neither a name of the course nor a colour.
    """
    color = COLORS.get(name, name)
    if not is_color_like(color):
        raise BadArgumentError(
            f"color={name!r}: it must be a colour, or one of {', '.join(COLORS)}"
        )
    return color


@checked
def picture(figure: Figure, alt: Text) -> Card:
    """Draw a figure into a card: an image with alternative text; closes the figure.

    Raises:
        BadArgumentError: no alternative text.
    """
    if not alt.strip():
        raise BadArgumentError(f"alt={alt!r}: a figure needs alternative text: say what it shows")
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


def _number_or_interval(value: Any) -> Any:
    if not (isinstance(value, Real) or (hasattr(value, "mean") and hasattr(value, "low"))):
        raise ValueError("give a number, or an interval with mean, low and high")
    return value


# What is drawn, by name: numbers or intervals, at least one.
Values = Annotated[
    dict[Any, Annotated[Any, BeforeValidator(_number_or_interval)]], Field(min_length=1)
]


@checked
def baseline(ax: Axes, value: Number, label: str, color: str = "baseline") -> None:
    """A horizontal line at `value`, named at its right end; dotted, as your run is dashed."""
    color = color_of(color)
    ax.axhline(value, color=color, ls=":", lw=1.6)
    # In axis units across and data units up, so that the label stays at the edge.
    ax.text(
        0.995, value, label, color=color, ha="right", va="bottom", fontsize=9,
        transform=ax.get_yaxis_transform(),
    )  # fmt: skip


@checked
def bars(
    ax: Axes,
    values: Values,
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
        above = max(high, 0) + 0.015 * top
        ax.text(place, above, f"{mean:.3g}", ha="center", va="bottom", fontsize=10)
    ax.set_xticks(range(len(values)), list(values))
    ax.set_ylabel(ylabel)
    ax.grid(axis="x", visible=False)


@checked
def points(ax: Axes, values: Values, label: str, color: str) -> None:
    """Joined points at evenly spaced places named by the keys, with their intervals.

    Each further line of a figure has another marker, so that they are told apart in grey.
    """
    reaches = [_reach(value) for value in values.values()]
    means = [mean for mean, _, _ in reaches]
    reach = [[mean - low for mean, low, _ in reaches], [high - mean for mean, _, high in reaches]]
    style = {"marker": MARKERS[len(ax.containers) % len(MARKERS)]}
    if color == "live":
        style = {"ls": (0, (4, 2)), "lw": 1.5, "marker": "x"}
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
    low = float(getattr(value, "low", value))
    return (value.mean, low, value.high) if hasattr(value, "low") else (low, low, low)
