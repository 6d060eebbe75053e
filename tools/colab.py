"""Make a Colab session ready for the course; the first cell of each notebook runs this file.

It installs what Colab lacks and never touches its torch, puts the course on `sys.path` (the
running kernel would not see an editable install before a restart), keeps results on Drive where
that is mounted, and says what it found.
"""

import importlib
import os
import platform
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

COURSE = Path(__file__).resolve().parents[1]
DRIVE = Path("/content/drive/MyDrive")


def missing(requirements: list[str]) -> list[str]:
    """The requirements that no installed package satisfies; torch never counts as one."""
    return [text for text in requirements if not _satisfied(Requirement(text))]


def _satisfied(requirement: Requirement) -> bool:
    if requirement.name == "torch":
        return True
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)


def pip_command(needed: list[str], torch_version: str, constraints: Path) -> list[str]:
    """The pip call that installs `needed` and cannot move torch; writes the constraint file."""
    constraints.write_text(f"torch=={torch_version}\n")
    return [
        *(sys.executable, "-m", "pip", "install", "--quiet"),
        *("--constraint", str(constraints)),
        *needed,
    ]


def install(needed: list[str]) -> None:
    print("Installing:", ", ".join(needed))
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        subprocess.run(pip_command(needed, metadata.version("torch"), constraints), check=True)
    importlib.invalidate_caches()


def choose_cache() -> str:
    """Where trained models are kept, in words; on Drive where that is mounted and none is set."""
    if DRIVE.is_dir():
        os.environ.setdefault("COURSE_CACHE", str(DRIVE / "course_cache"))
    return os.environ.get("COURSE_CACHE") or "on this machine only; mount Drive first to keep them"


def main() -> None:
    project = tomllib.loads((COURSE / "pyproject.toml").read_text())["project"]
    if needed := missing(project["dependencies"]):
        install(needed)
    sys.path.insert(0, str(COURSE))
    os.chdir(COURSE / "notebooks")
    print(f"course {COURSE}; trained models {choose_cache()}")
    print(found())


def found() -> str:
    """The versions and the device that the course will run with."""
    import torch

    # transformers is not imported yet: what `begin` sets has to be there before that.
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    versions["transformers"] = metadata.version("transformers")
    cuda = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if cuda else "cpu"
    return ", ".join([*(f"{name} {version}" for name, version in versions.items()), device])


if __name__ == "__main__":
    main()
