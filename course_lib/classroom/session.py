"""The first line of every notebook: `course = begin("01_masked_language_modeling")`."""

import os
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from course_lib.runtime import Budget, CourseError
from course_lib.runtime.checks import NotNegativeCount, checked

if TYPE_CHECKING:
    import torch

    from course_lib.models.pinned import Published

Track = Literal["offline", "hub"]
TRACKS = ("offline", "hub")
# The notebooks whose cells also run on published models.
HUB_NOTEBOOKS = frozenset(
    {
        "01_masked_language_modeling",
        "02_causal_language_modeling",
        "03_span_corruption",
        "10_instruction_finetuning",
    }
)
MEANING = {
    "smoke": "mechanics only, nothing is judged",
    "cpu": "small models, two processor cores are enough",
    "gpu": "larger models, made for one GPU",
}


@dataclass(frozen=True)
class Course:
    """What a notebook was begun with. Every size of its budget is an attribute: `course.steps`.

    Attributes:
        seed: of what the notebook draws, 0 unless you choose another.
        live_seed: of the runs that you train. It follows `seed`, and is never one of those of the
            recorded runs, so that your run is one more of them and not one of them again.
    """

    notebook: str
    track: Track
    device: "torch.device"
    seed: int
    sizes: Budget

    @property
    def budget(self) -> str:
        """The name of the budget: smoke, cpu or gpu."""
        return self.sizes.name

    @property
    def live_seed(self) -> int:
        """The seed of the reader's own runs."""
        from course_lib.studies.design import LIVE_SEED

        return LIVE_SEED + self.seed

    def published(self, *names: str) -> "dict[str, Published]":
        """Published models of the hub, by name, on the hub track; none on the offline track.

        So one cell does for both tracks: it measures the reader's own model, and what else there
        is. `data/hub.toml` lists the names; weights are fetched once and kept.

        Raises:
            CourseError: a name that is not in that table, or what keeps it from being fetched.
        """
        from course_lib.corpora.pinned import pinned
        from course_lib.models.pinned import published_model

        for name in names:
            pinned("models", name)
        return {name: published_model(name) for name in names if self.track == "hub"}

    def __getattr__(self, key: str) -> Any:
        """A size of this notebook's table in `data/budgets.toml`."""
        if key.startswith("_") or "sizes" not in self.__dict__:
            raise AttributeError(key)
        return getattr(self.sizes, key)

    def __repr__(self) -> str:
        minutes = "under a minute" if self.sizes.minutes < 1 else f"{self.sizes.minutes:g} min"
        if self.track == "hub":
            minutes += ", and the published models on top"
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
_went_offline = False  # whether `begin` has forbidden this session the network


@checked
def begin(
    notebook: str,
    budget: str | None = None,
    track: str | None = None,
    seed: NotNegativeCount = 0,
) -> Course:
    """Make the session ready for a notebook, print what it will run with, and return its sizes.

    Seeds every global generator, sets threads, plot style and quiet logging. The budget comes from
    the argument, else `COURSE_BUDGET`, else the hardware; the track from the argument, else
    `COURSE_TRACK`, else "offline". Another `seed` makes your own runs other, equally good ones.

    Raises:
        CourseError: unknown notebook, budget or track, a track this notebook does not have, a
            negative seed, or the hub track in a session that began offline.
    """
    global _current
    from course_lib.classroom.live import watched
    from course_lib.runtime import load_budget

    sizes = load_budget(notebook, budget)
    track = _choose_track(notebook, track)
    _set_network(track)
    _be_quiet(downloads=track == "hub" and watched())

    # Imported only now: the environment set above is read when transformers is first imported.
    from course_lib.classroom.plots import use_style
    from course_lib.runtime import choose_device, seed_everything, set_threads

    set_threads()
    seed_everything(seed)
    use_style()
    _current = Course(notebook, track, choose_device(), seed, sizes)
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


def _set_network(track: Track) -> None:
    """Forbid the network on the offline track: the libraries read this once, when imported."""
    global _went_offline
    if track == "offline" and "huggingface_hub" not in sys.modules:
        _went_offline = "HF_HUB_OFFLINE" not in os.environ
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    elif track == "hub" and _went_offline:
        raise CourseError(
            "This session began offline, and stays so: restart the kernel, then begin on the hub "
            "track."
        )


def _be_quiet(downloads: bool) -> None:
    """No progress bars but those of downloads, no library chatter in stored outputs."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DATASETS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not downloads:
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()  # the bar of the hub goes with it
    if downloads:
        from huggingface_hub.utils import enable_progress_bars

        enable_progress_bars()
    if datasets := sys.modules.get("datasets"):  # not worth its import for a setting
        datasets.logging.set_verbosity_error()
        if not downloads:
            datasets.disable_progress_bars()
    for category in (FutureWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category)
