"""Install on Colab what the course needs and Colab lacks, and never touch its torch.

The running kernel would not see an editable install of `course_lib` before a restart, so the
bootstrap cell puts the clone on `sys.path`, and only the missing dependencies are installed here.
"""

import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


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


def main() -> None:
    needed = missing(tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"])
    if not needed:
        return
    print("Installing:", ", ".join(needed))
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        subprocess.run(pip_command(needed, metadata.version("torch"), constraints), check=True)


if __name__ == "__main__":
    main()
