"""Training loops that take turns, each in a process of its own, one of them of an older commit."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import BLOCK

REPOSITORY = Path(__file__).resolve().parents[1]
COMMIT = "fc792b7"  # the last one whose loop was built on Accelerate
BEFORE = f"fit at {COMMIT}"
LOOPS = ("fit", BEFORE, "bare loop", "Trainer", "Trainer, our loss")


class Contestant:
    """A loop in another process; called, it takes one step and says how many seconds it took."""

    def __init__(self, loop: str, tree: Path, cache: Path) -> None:
        alone = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}
        quiet = {"COURSE_QUIET": "1", "COURSE_CACHE": str(cache), "PYTHONPATH": str(tree)}
        self.tree = tree
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("contestant.py")), loop],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | alone | quiet,
        )

    def begin(self, family: str, width: int, steps: int) -> None:
        """Make a fresh model and stand before the first step, of so many that will be asked for."""
        # The end of a step is seen at the batch of the next one.
        self._tell(json.dumps({"family": family, "width": width, "steps": steps + BLOCK + 1}))
        found = Path(self._answer()).parents[1]
        if found.resolve() != self.tree.resolve():
            raise RuntimeError(f"the library of {found} was to be measured, and not {self.tree}")

    def __call__(self) -> float:
        """Seconds of one step."""
        self._tell("")
        return self._answer()

    def end(self) -> None:
        """Let the training run to its end."""
        self._tell("end")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def _tell(self, line: str) -> None:
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def _answer(self) -> float | str:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args[-1]} has ended; what it said is above")
        return json.loads(line)


@contextmanager
def contestants(loops: tuple[str, ...] = LOOPS) -> Iterator[dict[str, Contestant]]:
    """Start each loop, the older one from its commit, and end them all."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        started = {}
        for name in loops:
            tree = unpacked(folder) if name == BEFORE else REPOSITORY
            if tree is None:
                continue
            loop = "fit" if name == BEFORE else name
            started[name] = Contestant(loop, tree, folder / f"cache of {tree.name}")
            stack.callback(started[name].close)
        yield started


def unpacked(folder: Path) -> Path | None:
    """The tree of the older commit, or None where the history does not go back to it."""
    archive = subprocess.run(
        ["git", "-C", str(REPOSITORY), "archive", COMMIT, "course_lib", "data"], capture_output=True
    )
    if archive.returncode:
        return None
    (folder / COMMIT).mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder / COMMIT)], input=archive.stdout, check=True)
    return folder / COMMIT
