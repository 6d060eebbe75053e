"""Sliders over a function, and a figure that stays true where no slider can move.

With a reader at a live kernel, `explore` shows sliders above the function's output. Executed by
`make notebooks` or CI (`COURSE_QUIET=1`), it leaves only the output for the default values: that
is what the committed notebook, the book and GitHub show. So there is never a second copy, no
widget state to store, and no slider in the book that would move without effect.
"""

import inspect
from collections.abc import Callable
from html import escape
from typing import Any

from matplotlib.figure import Figure

from course_lib.classroom.cards import Card, display_output
from course_lib.classroom.live import watched
from course_lib.classroom.plots import picture
from course_lib.runtime import CourseError
from course_lib.runtime.checks import BadArgumentError, checked


@checked
def explore(function: Callable[..., Any], **sliders: Any) -> None:
    """Show `function(...)` for its default values, and sliders to change them when live.

    Each slider is `name=(low, high, step)` for a number, `name=[a, b, c]` for a choice, `name=True`
    for a tick box, or `name="words"` for a line of text. It starts at the parameter's default in
    the function's signature, else at the first value. The function returns a figure whose
    alternative text is the figure's `set_label(...)` (else its title), a `Card`, or a string.

    Raises:
        BadArgumentError: a slider that the function does not take, or a shape not listed above.
    """
    start = {name: _start(function, name, spec) for name, spec in sliders.items()}
    if not watched():
        display_output(card_of(function(**start)))
        return
    from IPython.display import display

    display(panel(function, sliders))


def panel(function: Callable[..., Any], sliders: dict[str, Any]) -> Any:
    """The sliders and the output as one ipywidgets `VBox` (code that runs on 7.7 and 8)."""
    import ipywidgets

    controls = {
        name: _control(name, spec, _start(function, name, spec)) for name, spec in sliders.items()
    }
    # An HTML widget, not an Output: it keeps the image's alternative text and does not flicker.
    output = ipywidgets.HTML()

    def redraw(_: Any = None) -> None:
        try:
            output.value = card_of(function(**{n: c.value for n, c in controls.items()})).html
        except CourseError as error:  # says itself what would be right
            output.value = f"<p>{escape(str(error))}</p>"
        except Exception as error:  # shown where the reader looks, not in a hidden log
            output.value = f"<p>{escape(type(error).__name__)}: {escape(str(error))}</p>"

    for control in controls.values():
        control.observe(redraw, names="value")
    redraw()
    return ipywidgets.VBox([*controls.values(), output])


def card_of(result: Any) -> Card:
    """What a function returned, as a card."""
    if isinstance(result, Card):
        return result
    if isinstance(result, Figure):
        titles = [ax.get_title() for ax in result.axes if ax.get_title()]
        alt = str(result.get_label()) or "; ".join(titles)
        return picture(result, alt or "figure for the values chosen with the sliders")
    return Card(f"<pre>{escape(str(result))}</pre>", str(result))


def _start(function: Callable[..., Any], name: str, spec: Any) -> Any:
    parameters = inspect.signature(function).parameters
    if name not in parameters:
        takes = ", ".join(parameters)
        raise BadArgumentError(f"explore: {function.__name__} has no {name!r}: it takes {takes}")
    default = parameters[name].default
    if default is not inspect.Parameter.empty:
        return default
    return spec[0] if isinstance(spec, tuple | list) else spec


def _control(name: str, spec: Any, value: Any) -> Any:
    """A labelled, keyboard-operable control; it fires on release, not on every pixel."""
    import ipywidgets

    options = {
        "description": name.replace("_", " "),
        "style": {"description_width": "10em"},
        "layout": ipywidgets.Layout(width="32em"),
    }
    if isinstance(spec, bool):
        return ipywidgets.Checkbox(value=bool(value), **options)
    if isinstance(spec, str):
        options["layout"].width = "48em"
        return ipywidgets.Text(value=value, continuous_update=False, **options)
    if isinstance(spec, list):
        return ipywidgets.Dropdown(options=spec, value=value, **options)
    if not (isinstance(spec, tuple) and len(spec) == 3):
        raise BadArgumentError(
            f"explore: {name}={spec!r}: give (low, high, step), a list of choices, a text, or True"
        )
    low, high, step = spec
    whole = all(isinstance(number, int) for number in (low, high, step, value))
    slider = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
    return slider(value=value, min=low, max=high, step=step, continuous_update=False, **options)
