"""Guards `make notebooks`: the same bytes each time, and nothing written when a cell fails.

pytest tests/notebooks/test_execution.py
"""

import re

import nbformat
import pytest
from execute_notebooks import find_notebooks, main
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from normalize import normalize

WIDGETS = """\
import ipywidgets, sys, uuid
from IPython.display import display
print("first"); print("noise", file=sys.stderr); print("second")
display(ipywidgets.IntSlider(description="rate"))
ipywidgets.interact(lambda x: print(x), x=3)
uuid.uuid4(), {"a", "b", "c", "d", "e"}"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with one notebook, as an editor would leave it; the environment restored after."""
    for name in ("COURSE_BUDGET", "COURSE_QUIET", "PYTHONHASHSEED", "COURSE_CACHE"):
        monkeypatch.setenv(name, str(tmp_path))
    cells = [new_markdown_cell("# Title"), new_code_cell(WIDGETS), new_code_cell("")]
    cells.append(new_code_cell("import os; os.environ['COURSE_BUDGET']"))
    cells[1].metadata = {"execution": {"iopub.execute_input": "2020"}, "tags": ["kept"]}
    nbformat.write(new_notebook(cells=cells), tmp_path / "00_trial.ipynb")
    return tmp_path


def test_two_executions_give_the_same_bytes(folder):
    path = folder / "00_trial.ipynb"
    contents = []
    for _ in range(2):
        assert main(["--folder", str(folder), "--budget", "smoke"]) == 0
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]

    text = contents[0].decode()
    assert text.endswith("}\n")
    assert re.search(r"\d{4}-\d\d-\d\dT", text) is None, "no time of day"
    notebook = nbformat.reads(text, as_version=4)
    assert [c.execution_count for c in notebook.cells if c.cell_type == "code"] == [1, None, 2]
    assert notebook.cells[1].metadata == {"tags": ["kept"]}
    assert notebook.cells[3].outputs[0].data["text/plain"] == "'smoke'"
    assert sorted(notebook.metadata) == ["kernelspec", "language_info", "widgets"]


def test_every_widget_shown_is_in_the_stored_state(folder):
    main(["--folder", str(folder), "--budget", "smoke"])
    notebook = nbformat.read(folder / "00_trial.ipynb", as_version=4)
    state = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    view = "application/vnd.jupyter.widget-view+json"
    shown = [
        o.data[view]["model_id"] for o in notebook.cells[1].outputs if view in o.get("data", {})
    ]
    assert len(shown) == 2
    named = set(re.findall(r"IPY_MODEL_(\w+)", nbformat.writes(notebook)))
    assert {*shown, *named} <= set(state)


def test_normalizing_a_stored_notebook_changes_nothing(folder):
    main(["--folder", str(folder), "--budget", "smoke"])
    path = folder / "00_trial.ipynb"
    assert normalize(nbformat.read(path, as_version=4)) == path.read_text(encoding="utf-8")


def test_a_notebook_that_fails_is_not_written(folder, capsys):
    path = folder / "01_fails.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("1 / 0")]), path)
    before = path.read_bytes()
    assert main(["01", "--folder", str(folder), "--budget", "smoke"]) == 1
    assert path.read_bytes() == before
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_name_that_fits_no_notebook_is_refused(folder):
    with pytest.raises(SystemExit, match="starts with '99'"):
        find_notebooks(folder, ["99"])
