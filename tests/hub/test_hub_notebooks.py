"""Guards the hub track of the notebooks: each runs from top to bottom against the loopback hub.

At the smoke budget, in a kernel whose hub, caches and home are the test's own.

pytest tests/hub/test_hub_notebooks.py
"""

import re
import sys
from pathlib import Path

import nbformat
import pytest
from contents import OLD_NAMES
from isolation import isolated
from loopback import LoopbackHub
from nbclient import NotebookClient

from course_lib.classroom.session import HUB_NOTEBOOKS

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

PUBLISHED = re.compile(r"course\.published\(([^)]*)\)")
BYTES = re.compile(r"%\|.*B/s\]")  # the bar of a download
QUIET = {"COURSE_QUIET": "1", "COURSE_BUDGET": "smoke", "COURSE_TRACK": "hub"}


def execute(notebook: nbformat.NotebookNode, environment: dict[str, str]) -> str:
    """Run a notebook in a fresh kernel with this environment; returns what it put out, as text.

    A cell that fails raises.
    """
    from patient_kernel import PatientKernelManager

    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        kernel_manager_class=PatientKernelManager,
        resources={"metadata": {"path": str(ROOT / "notebooks")}},
    )
    client.execute(env=environment)
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    return "\n".join(o.get("text", "") + o.get("data", {}).get("text/plain", "") for o in outputs)


@pytest.mark.parametrize("name", sorted(HUB_NOTEBOOKS))
def test_it_runs_on_published_models(name: str, hub: LoopbackHub, endpoint: str, tmp_path: Path):
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    source = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    models = {m for names in PUBLISHED.findall(source) for m in re.findall(r'"([^"]+)"', names)}
    assert models, "a notebook of the hub track measures published models"

    shown = execute(notebook, isolated(endpoint, tmp_path) | QUIET)
    assert "track     hub" in shown
    assert not BYTES.search(shown), "a bar stays in the outputs"
    for model in models:
        assert model in shown
        repository = OLD_NAMES.get(model, model)
        paths = [r.path for r in hub.requests if r.path.startswith(f"/{repository}/resolve/")]
        assert any(path.endswith("model.safetensors") for path in paths), model
    assert not list((tmp_path / "home").rglob("*huggingface*"))


def test_downloads_show_themselves_to_a_reader(endpoint: str, tmp_path: Path):
    lines = [
        "from course_lib.classroom import begin",
        "from course_lib.corpora import published_rows",
        'course = begin("01_masked_language_modeling")',
        'course.published("roberta-base")',
        'rows = published_rows("sst2", 5)',
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("\n".join(lines))])
    environment = isolated(endpoint, tmp_path) | QUIET
    del environment["COURSE_QUIET"]
    shown = execute(notebook, environment)
    assert BYTES.search(shown), shown
    assert "Generating train split" in shown
