"""Guards `python -m course_lib notebook`: a copy with other settings, the notebook as it was.

pytest tests/notebooks/test_runner.py
"""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from normalize import KERNELSPEC
from refusals import assert_refused

from course_lib.__main__ import main
from course_lib.runtime import notebooks
from course_lib.runtime.notebooks import find_notebook, run_notebook

ROOT = Path(__file__).resolve().parents[2]
CELL = "import os\nprint(budget, seed, os.environ['COURSE_QUIET'])"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of two small notebooks in the place of the course's own."""
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setenv("COURSE_QUIET", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notebooks").mkdir()
    for name, last in (("06_laws", CELL), ("07_fails", "raise ValueError(f'no {seed}\\nat all')")):
        parameters = new_code_cell("budget = None  # or cpu\nseed = 0")
        parameters.metadata["tags"] = ["parameters"]
        cells = [parameters, new_code_cell(last)]
        made = new_notebook(cells=cells, metadata={"kernelspec": KERNELSPEC})
        nbformat.write(made, tmp_path / "notebooks" / f"{name}.ipynb")
    return tmp_path


def printed(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "".join(o.get("text", "") for cell in cells for o in cell.get("outputs", []))


def test_the_copy_has_the_parameters_and_the_notebook_stays(folder, capsys):
    own = folder / "notebooks" / "06_laws.ipynb"
    before = own.read_bytes()
    assert main(["notebook", "06", "--budget", "smoke", "-p", "seed", "3"]) == 0
    copy = folder / "executed" / "06_laws.ipynb"
    assert printed(copy) == "smoke 3 1\n"
    assert str(copy) in capsys.readouterr().out
    assert own.read_bytes() == before
    assert {path.name for path in own.parent.iterdir()} == {"06_laws.ipynb", "07_fails.ipynb"}


def test_the_copy_goes_where_it_is_asked_to_and_replaces_the_one_before(folder):
    for seed in (1, 2):
        copy = run_notebook("06_laws", {"seed": seed}, folder / "new" / "mine.ipynb")
        assert printed(copy) == f"None {seed} 1\n"
    assert not (folder / "executed").exists()


def test_a_cell_that_fails_is_one_line_that_says_where_to_look(folder, capsys):
    assert main(["notebook", "07", "-p", "seed", "5"]) == 1
    copy = folder / "executed" / "07_fails.ipynb"
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "07_fails: a cell failed (ValueError: no 5)" in error
    assert str(copy) in error
    outputs = [o for c in nbformat.read(copy, as_version=4).cells for o in c.get("outputs", [])]
    assert "error" in [output.output_type for output in outputs]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("99",), ("No notebook '99'", "06_laws, 07_fails")),
        (("",), ("No notebook ''",)),
        (("0",), ("Several notebooks '0'",)),
        ((6,), ("name=6",)),
        (("06", {"sead": 1}), ("no parameter 'sead'", "budget, seed")),
        (("06", "seed=1"), ("parameters='seed=1'",)),
        (("06", {}, "notebooks/06_copy.ipynb"), ("the course's own notebooks",)),
        (("06", {}, "notebooks/../notebooks/06_laws.ipynb"), ("the course's own notebooks",)),
        (("06", {}, "copy.html"), ("such as 06.ipynb",)),
        (("06", {}, "file/copy.ipynb"), ("Cannot write",)),
    ],
)
def test_nonsense_is_refused_before_anything_runs(folder, arguments, words):
    (folder / "file").write_text("in the way", encoding="utf-8")
    assert_refused(lambda: run_notebook(*arguments), *words)
    assert not (folder / "executed").exists()


def test_the_courses_own_notebooks_are_found_by_number():
    assert find_notebook("05") == ROOT / "notebooks" / "05_compute.ipynb"


def test_notebook_05_runs_at_smoke(tmp_path):
    copy = run_notebook("05", {"budget": "smoke", "seed": 3}, tmp_path / "05.ipynb")
    assert "budget    smoke" in printed(copy)
    sources = [cell.source for cell in nbformat.read(copy, as_version=4).cells]
    assert any("seed = 3" in source for source in sources)
