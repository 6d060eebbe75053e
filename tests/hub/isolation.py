"""The environment of a process that is to know one hub, and none of the reader's files."""

import os
from pathlib import Path

import matplotlib


def isolated(endpoint: str, folder: Path) -> dict[str, str]:
    """An environment in which the hub is at `endpoint` and all of its caches are below `folder`.

    The home folder too lies there, so whatever forgets HF_HOME cannot reach the reader's own. The
    libraries read these variables once, when imported: they are for a process yet to start.
    """
    (folder / "home").mkdir(exist_ok=True)
    foreign = ("HF_", "HUGGING", "TRANSFORMERS_", "DATASETS_", "COURSE_BUDGET", "COURSE_TRACK")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    return kept | {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HOME": str(folder / "home"),
        "MPLCONFIGDIR": matplotlib.get_cachedir(),  # where its list of fonts is: slow to make anew
        "NO_PROXY": "127.0.0.1,localhost",
        "COURSE_QUIET": "1",
    }
