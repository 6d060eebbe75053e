"""Guards the first minute: `make lab` serves notebook 00, and it runs to the end in a browser.

pytest -m browser tests/browser/test_lab.py
"""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "00_start_here.ipynb"
PATIENCE = 400  # seconds for the notebook to run; a guard, not a bar

pytestmark = pytest.mark.browser

# The reader's own settings stay out, and nothing is saved over the committed notebook.
NO_AUTOSAVE = ("@jupyterlab", "docmanager-extension", "plugin.jupyterlab-settings")
HOMES = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")

NOTEBOOK_STATE = """() => {
    const panel = window.jupyterapp.shell.currentWidget;
    const code = panel.context.model.toJSON().cells.filter(
        cell => cell.cell_type === "code" && [cell.source].flat().join("").trim());
    return {
        status: panel.sessionContext.session.kernel.status,
        pending: code.filter(cell => cell.execution_count === null).length,
        cells: code.length,
        errors: code.flatMap(cell => cell.outputs).filter(o => o.output_type === "error")
            .map(o => `${o.ename}: ${o.evalue}`),
    };
}"""


def lab_command(port: int) -> str:
    """The command of `make lab`, on a port of its own and without opening a browser."""
    arguments = (
        f"--no-browser --ip=127.0.0.1 --port={port} --ServerApp.port_retries=0 "
        "--IdentityProvider.token= --LabApp.expose_app_in_browser=True"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    listed = subprocess.run(
        ["make", "--dry-run", "lab", f"LAB_ARGS={arguments}"],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return listed.stdout.strip().splitlines()[-1]


@pytest.fixture
def lab(tmp_path) -> Iterator[str]:
    """The address of a JupyterLab that is ready; it is ended afterwards."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    setting = tmp_path.joinpath("settings", *NO_AUTOSAVE)
    setting.parent.mkdir(parents=True)
    setting.write_text('{"autosave": false}')
    # A reader's progress bars and threads, not those of a test.
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("COURSE_QUIET", "OMP_NUM_THREADS")
    }
    environment |= {name: str(tmp_path / name) for name in HOMES}
    environment["JUPYTERLAB_SETTINGS_DIR"] = str(tmp_path / "settings")
    log = (tmp_path / "lab.log").open("w")
    server = subprocess.Popen(
        lab_command(port),
        shell=True,
        cwd=ROOT,
        env=environment,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for_server(address, server, tmp_path / "lab.log")
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def wait_for_server(address: str, server: subprocess.Popen, log: Path, seconds: int = 90) -> None:
    for _ in range(seconds * 2):
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{address}/api", timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"JupyterLab did not answer in {seconds} s:\n{log.read_text()}")


def run_all_cells(page: Page) -> dict:
    """Run every cell from a clean notebook; the state when the last is done or one failed."""
    page.evaluate("window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    cleared = page.evaluate(NOTEBOOK_STATE)
    assert cleared["pending"] == cleared["cells"] > 0
    page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        state = page.evaluate(NOTEBOOK_STATE)
        if state["errors"] or (state["pending"] == 0 and state["status"] == "idle"):
            return state
        page.wait_for_timeout(500)
    pytest.fail(f"not done after {PATIENCE} s: {state}")


def test_the_first_notebook_runs_to_the_end(lab, page, tmp_path):
    before = hashlib.sha256(NOTEBOOK.read_bytes()).hexdigest()
    page.goto(f"{lab}/doc/tree/notebooks/{NOTEBOOK.name}")
    # Before the kernel is idle, running all cells runs none and says nothing.
    page.wait_for_function(
        "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status"
        " === 'idle'",
        timeout=120_000,
    )
    page.get_by_text("| Idle").first.wait_for(timeout=60_000)
    state = run_all_cells(page)
    page.screenshot(path=tmp_path / "lab.png")
    print(f"screenshot: {tmp_path / 'lab.png'}")
    assert state["errors"] == []
    assert state["pending"] == 0
    assert hashlib.sha256(NOTEBOOK.read_bytes()).hexdigest() == before, "the file was saved over"
