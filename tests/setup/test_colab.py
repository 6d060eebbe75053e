"""Guards the way to Colab: the first cell, and installing what is missing but never torch.

pytest tests/setup/test_colab.py
"""

import os
import subprocess
import sys
import types
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import colab
import notebook_cells
from normalize import normalize
from notebook_cells import COLAB_BOOTSTRAP

ROOT = Path(__file__).resolve().parents[2]
NEEDS = '[project]\ndependencies = ["torch>=99", "numpy>=2.0", "no-such-package>=1"]\n'


class Machine:
    """A machine that says it is Colab, with folders of its own; pip and git are only written down.

    `git clone` leaves what a clone of the course has. `calls` lists the commands.
    """

    def __init__(self, content: Path):
        self.content = content
        self.calls: list[list[str]] = []

    def run(self, command: list[str], check: bool) -> None:
        self.calls.append(command)
        if command[0] == "git":
            self.put_course(Path(command[-1]))

    def put_course(self, folder: Path, needs: str = NEEDS) -> Path:
        for name in ("course_lib", "tools", "notebooks"):
            (folder / name).mkdir(parents=True)
        source = (ROOT / "tools" / "colab.py").read_text()
        (folder / "tools" / "colab.py").write_text(self.here(source))
        (folder / "pyproject.toml").write_text(needs)
        return folder

    def here(self, source: str) -> str:
        return source.replace("/content", str(self.content))

    def run_cell(self, repository: str = "") -> None:
        line = f'repository = "{notebook_cells.address()}"'
        cell = COLAB_BOOTSTRAP.replace(line, f"repository = {repository!r}")
        exec(self.here(cell), {})


@pytest.fixture
def machine(monkeypatch, tmp_path) -> Machine:
    machine = Machine(tmp_path / "content")
    machine.content.mkdir()
    monkeypatch.chdir(machine.content)
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setattr(subprocess, "run", machine.run)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    os.environ.pop("COURSE_CACHE", None)
    return machine


def test_the_cell_does_nothing_outside_colab(machine, monkeypatch):
    monkeypatch.delitem(sys.modules, "google.colab")
    machine.put_course(machine.content / "course")
    before = os.getcwd(), list(sys.path), dict(os.environ)
    machine.run_cell("https://example.org/course")
    assert before == (os.getcwd(), sys.path, os.environ)
    assert machine.calls == []


def test_the_cell_is_short():
    assert len(COLAB_BOOTSTRAP.splitlines()) <= 12
    assert max(map(len, COLAB_BOOTSTRAP.splitlines())) <= 100


def test_the_cell_asks_for_the_address(machine):
    with pytest.raises(AssertionError, match="Put the address"):
        machine.run_cell()
    assert machine.calls == []


def test_the_cell_clones_installs_and_makes_the_library_importable(machine, capsys):
    machine.run_cell("there")
    course = machine.content / "course"
    clone, install = machine.calls
    assert clone == ["git", "clone", "--depth=1", "there", str(course)]
    assert install[:4] == [sys.executable, "-m", "pip", "install"]
    assert install[-1] == "no-such-package>=1"
    assert Path.cwd() == course / "notebooks"
    assert sys.path[0] == str(course)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Installing: no-such-package>=1"
    assert str(course) in said[1]
    assert "torch" in said[2]
    assert "transformers" in said[2]
    assert len(said) == 3


@pytest.mark.parametrize(
    "place", ["course", "a-copy", "drive/MyDrive/course", "drive/MyDrive/Colab Notebooks/course"]
)
def test_a_course_that_is_there_is_used_and_not_cloned(machine, place):
    course = machine.put_course(machine.content / place)
    machine.run_cell("there")
    machine.run_cell("there")
    assert not any(command[0] == "git" for command in machine.calls)
    assert Path.cwd() == course / "notebooks"
    assert sys.path[0] == str(course)


def test_the_course_that_the_notebook_lies_in_comes_first(machine, monkeypatch):
    machine.put_course(machine.content / "another")
    course = machine.put_course(machine.content / "deep" / "below" / "course")
    monkeypatch.chdir(course / "notebooks")
    machine.run_cell()
    assert sys.path[0] == str(course)


def test_a_folder_of_something_else_is_not_the_course(machine):
    other = machine.content / "other" / "tools"
    other.mkdir(parents=True)
    (other / "colab.py").write_text("raise SystemExit('not ours')")
    machine.run_cell("there")
    assert sys.path[0] == str(machine.content / "course")


def test_nothing_is_installed_when_nothing_is_missing(machine):
    machine.put_course(machine.content / "course", NEEDS.replace(', "no-such-package>=1"', ""))
    machine.run_cell()
    assert machine.calls == []


@pytest.mark.parametrize("mounted", [True, False])
@pytest.mark.parametrize("chosen", ["", "/elsewhere"])
def test_results_go_to_drive_where_it_is_mounted_and_the_reader_chose_nothing(
    machine, mounted, chosen, capsys
):
    drive = machine.content / "drive" / "MyDrive"
    if mounted:
        drive.mkdir(parents=True)
    if chosen:
        os.environ["COURSE_CACHE"] = chosen
    machine.run_cell("there")
    on_drive = str(drive / "course_cache") if mounted else None
    assert os.environ.get("COURSE_CACHE") == (chosen or on_drive)
    said = capsys.readouterr().out
    assert (chosen or on_drive or "on this machine only; mount Drive") in said


def test_only_what_no_installed_version_satisfies_is_missing():
    assert colab.missing(["numpy>=2.0", "no-such-package>=1", "pandas>=99", "scipy<1"]) == [
        "no-such-package>=1",
        "pandas>=99",
        "scipy<1",
    ]


def test_torch_is_never_missing_and_cannot_move(tmp_path):
    assert colab.missing(["torch>=99"]) == []
    constraints = tmp_path / "constraints.txt"
    command = colab.pip_command(["evaluate>=0.4"], "2.11.0+cu128", constraints)
    assert constraints.read_text() == "torch==2.11.0+cu128\n"
    assert command[-3:] == ["--constraint", str(constraints), "evaluate>=0.4"]


def test_what_the_cell_prints_it_learns_without_importing_transformers():
    """`begin` has to set the environment that transformers reads when it is imported."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tools')!r})\n"
        "import colab; print(colab.found())\n"
        "assert not {'transformers', 'huggingface_hub'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "transformers 5." in done.stdout


def test_the_cell_is_written_into_a_notebook_and_the_rest_is_kept(tmp_path):
    printed = new_output("stream", text="kept")
    cells = [
        new_markdown_cell("# Title"),
        new_code_cell("an older cell", metadata={"tags": ["remove-cell"]}),
        new_code_cell("print('kept')", outputs=[printed]),
    ]
    path = tmp_path / "00_trial.ipynb"
    path.write_text(normalize(new_notebook(cells=cells)))
    assert notebook_cells.write_into(path)
    assert not notebook_cells.write_into(path)
    title, first, second = nbformat.read(path, as_version=4).cells
    assert title.source == "# Title"
    assert (first.source, first.metadata.tags) == (COLAB_BOOTSTRAP, ["remove-cell"])
    assert second.outputs[0].text == "kept"


def test_the_address_of_a_published_course_is_in_the_cell(tmp_path, monkeypatch):
    address = "https://example.org/course"
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\nname = "x"\n[project.urls]\nRepository = "{address}"\n'
    )
    monkeypatch.setattr(notebook_cells, "REPOSITORY", tmp_path)
    assert notebook_cells.address() == address
    assert f'repository = "{notebook_cells.address()}"' in notebook_cells.bootstrap()


def test_the_second_cell_of_the_readme_runs_where_the_first_one_leads():
    """The running kernel knows the course, a new process only from its folder."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    (cell,) = [line[1:] for line in lines if line.startswith("!")]
    assert cell.endswith("python -m course_lib setup")
    command = cell.replace("python", sys.executable, 1) + " --help"
    done = subprocess.run(
        command, shell=True, cwd=ROOT / "notebooks", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "usage: python -m course_lib setup" in done.stdout
