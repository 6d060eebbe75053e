"""Guards `--log tensorboard`: it is told what the table says, once, also over a resume.

The package need not be there: a stand-in takes its place.

pytest tests/training/test_tensorboard.py
"""

import csv
import signal
import sys
from types import ModuleType
from typing import ClassVar

import pytest
from small_runs import recipe_on
from test_processes import as_toml

from course_lib.__main__ import main


class Writer:
    """Keeps what it is told, as `torch.utils.tensorboard.SummaryWriter` takes it."""

    made: ClassVar[list] = []

    def __init__(self, log_dir, purge_step=None):
        self.folder, self.purged, self.told = log_dir, purge_step, {}
        self.made.append(self)

    def add_scalar(self, name, value, step):
        assert (name, step) not in self.told, "told twice"
        self.told[name, step] = value

    def flush(self):
        pass


@pytest.fixture
def command(tmp_path, monkeypatch):
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(Writer, "made", [])
    file = tmp_path / "recipe.toml"
    file.write_text(as_toml(recipe_on(tmp_path, steps=8)), encoding="utf-8")
    folder = str(tmp_path / "run")
    return ["train", str(file), "--folder", folder, "--log", "tensorboard"]


def test_it_is_told_the_table_once_also_over_a_resume(command, tmp_path, monkeypatch):
    table = tmp_path / "run-log.csv"
    add = Writer.add_scalar

    def stopping(self, name, value, step):
        add(self, name, value, step)
        if step == 2 and len(Writer.made) == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Writer, "add_scalar", stopping)
    assert main(command) == 128 + signal.SIGINT
    assert main(command) == 0
    first, second = Writer.made
    assert first.folder == second.folder == str(tmp_path / "run-tensorboard")
    assert second.purged == 0, "what was told before the resume stays beside what is told now"
    expected = {}
    for line in csv.DictReader(table.read_text(encoding="utf-8").splitlines()):
        step = int(line.pop("step"))
        expected |= {(name, step): float(value) for name, value in line.items() if value}
    assert {step for _, step in expected} == {2, 4, 6, 8}
    assert ("tokens_per_second", 8) in expected
    assert second.told == expected
    assert first.told.items() <= expected.items()


def test_without_the_package_one_line_says_what_to_install(command, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "pip install tensorboard" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run-log.csv").exists(), "nothing was trained"
