"""Guards that two processes that want the same folder do not write it at the same time.

pytest tests/runtime/test_one_at_a_time.py
"""

import itertools
import subprocess
import sys

import pytest

from course_lib.runtime.folders import one_at_a_time

WORKER = """
import pathlib, sys, time
from course_lib.runtime.folders import one_at_a_time, whole_folder

final = pathlib.Path(sys.argv[1], "run")
for _ in range(20):
    with one_at_a_time(final):
        begun = time.monotonic_ns()
        with whole_folder(final) as folder:
            (folder / "weights").write_text("w" * 1000)
        print(begun, time.monotonic_ns())
"""


def test_two_processes_take_turns_and_neither_fails(tmp_path):
    command = [sys.executable, "-c", WORKER, str(tmp_path)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    spans = []
    for worker in workers:
        out, _ = worker.communicate(timeout=60)
        assert worker.returncode == 0
        spans += [tuple(map(int, line.split())) for line in out.splitlines()]
    spans.sort()
    assert len(spans) == 40
    for (_, end), (begun, _) in itertools.pairwise(spans):
        assert end <= begun


def test_an_error_within_lets_the_next_one_in(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), one_at_a_time(tmp_path / "run"):
            raise KeyError("any")
