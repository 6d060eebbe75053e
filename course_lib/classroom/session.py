"""The first line of every notebook: `course = begin("01_masked_language_modeling")`."""

import os
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from course_lib.runtime import Budget, CourseError

if TYPE_CHECKING:
    import torch

Track = Literal["offline", "hub"]
TRACKS = ("offline", "hub")
HUB_NOTEBOOKS: frozenset[str] = frozenset()  # notebooks whose cells also run on hub models
SEED = 0

MEANING = {
    "smoke": "mechanics only, nothing is judged",
    "cpu": "small models, two processor cores are enough",
    "gpu": "larger models, made for one GPU",
}


@dataclass(frozen=True)
class Course:
    """What a notebook was begun with. Every size of its budget is an attribute: `course.steps`."""

    notebook: str
    track: Track
    device: "torch.device"
    seed: int
    sizes: Budget

    @property
    def budget(self) -> str:
        """The name of the budget: smoke, cpu or gpu."""
        return self.sizes.name

    def __getattr__(self, key: str) -> Any:
        """A size of this notebook's table in `data/budgets.toml`."""
        if key.startswith("_") or "sizes" not in self.__dict__:
            raise AttributeError(key)
        return getattr(self.sizes, key)

    def __repr__(self) -> str:
        minutes = "under a minute" if self.sizes.minutes < 1 else f"{self.sizes.minutes:g} min"
        return "\n".join(
            [
                f"notebook  {self.notebook}",
                f"device    {self.device.type}",
                f"budget    {self.budget} ({MEANING[self.budget]})",
                f"expected  {minutes}",
                f"track     {self.track}",
            ]
        )


_current: Course | None = None


def begin(notebook: str, budget: str | None = None, track: str | None = None) -> Course:
    """Make the session ready for a notebook, print what it will run with, and return its sizes.

    Seeds every global generator with the course's fixed seed, sets threads, plot style and quiet
    logging. The budget comes from the argument, else `COURSE_BUDGET`, else the hardware; the track
    from the argument, else `COURSE_TRACK`, else "offline".

    Raises:
        CourseError: unknown notebook, budget or track, or a track this notebook does not have.
    """
    global _current
    track = _choose_track(notebook, track)
    _be_quiet(offline=track == "offline")

    # Imported only now: the environment set above is read when transformers is first imported.
    from course_lib.classroom.plots import use_style
    from course_lib.runtime import choose_device, load_budget, seed_everything, set_threads

    sizes = load_budget(notebook, budget)
    set_threads()
    seed_everything(SEED)
    use_style()
    _current = Course(notebook, track, choose_device(), SEED, sizes)
    print(_current)
    return _current


def current_budget() -> str | None:
    """The budget of the notebook that was begun, or None before `begin`."""
    return _current.budget if _current else None


def _choose_track(notebook: str, track: str | None) -> Track:
    track = track or os.environ.get("COURSE_TRACK") or "offline"
    if track not in TRACKS:
        raise CourseError(f"Unknown track {track!r}: choose one of {', '.join(TRACKS)}.")
    if track == "hub" and notebook not in HUB_NOTEBOOKS:
        raise CourseError(
            f"{notebook} has no hub track yet: leave `track` out, or set COURSE_TRACK=offline."
        )
    return track


def _be_quiet(offline: bool) -> None:
    """No progress bars, no library chatter in stored outputs; no network on the offline track."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DATASETS_VERBOSITY", "error")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if offline and "huggingface_hub" not in sys.modules:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")

    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if datasets := sys.modules.get("datasets"):  # not worth its import for a setting
        datasets.logging.set_verbosity_error()
        datasets.disable_progress_bars()
    for category in (FutureWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category)
