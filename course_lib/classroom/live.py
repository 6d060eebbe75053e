"""A loss curve that grows while a model trains."""

import time
from collections.abc import Callable

from course_lib.classroom.curves import History, figure_of, loss_curve
from course_lib.classroom.plots import picture
from course_lib.runtime import quiet


class LiveCurve:
    """Callback for training: `train(recipe, callback=LiveCurve("tiny BERT", "masked"))`.

    In a notebook with someone watching it redraws one output at most once a second, and takes the
    output away with `close()`, so that the notebook's own final figure is the one that stays.
    Where nobody watches (`COURSE_QUIET=1`, a terminal, CI) it only collects the entries.

    Attributes:
        history: the entries so far, dicts with `step`, `tokens`, `loss` (nats per token) and
            `learning_rate`.
    """

    def __init__(
        self, label: str, color: str = "masked", clock: Callable[[], float] = time.monotonic
    ):
        self.label = label
        self.color = color
        self.history: list[dict[str, float]] = []
        self._clock = clock
        self._handle = None
        self._drawn_at = float("-inf")

    def __call__(self, entry: dict[str, float]) -> None:
        """Take one logged entry, and redraw if a second has passed."""
        self.history.append(entry)
        if not watched() or self._clock() - self._drawn_at < 1.0 or len(self.history) < 2:
            return
        self._draw()
        self._drawn_at = self._clock()

    def _draw(self) -> None:
        from IPython.display import display

        last = self.history[-1]
        alt = f"{self.label}: loss {last['loss']:.3f} nats per token at step {last['step']}"
        card = picture(figure_of(_plot, self.history, self.label, self.color), alt)
        if self._handle is None:
            self._handle = display(card, display_id=True)
        else:
            self._handle.update(card)

    def close(self) -> None:
        """Empty the live output; the history stays."""
        if self._handle is not None:
            from IPython.display import HTML

            self._handle.update(HTML(""))
            self._handle = None


def _plot(ax, history: History, label: str, color: str) -> None:
    loss_curve(ax, [], label, color, live=history)


def watched() -> bool:
    """True in a notebook kernel that runs for a reader, not for `make notebooks` or CI."""
    if quiet():
        return False
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and "IPKernelApp" in shell.config
