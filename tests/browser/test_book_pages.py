"""Guards what a reader of the book sees without network: formulas, widgets, no empty pictures.

pytest -m browser tests/browser/test_book_pages.py
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    """The built pages."""
    if not os.environ.get("CI") and shutil.which("npm") is None:
        pytest.skip("npm is not installed: this book would load its scripts from the network")
    output = tmp_path_factory.mktemp("book")
    command = [sys.executable, str(ROOT / "tools" / "build_book.py"), "--output", str(output)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "from the network" not in result.stdout, "npm did not fetch the scripts"
    return output / "_build" / "html"


def notebook_names() -> list[str]:
    return sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")) or ["none"]


def test_mathematics_is_typeset_without_network(html, page):
    page.goto((html / "jupyter_book" / "glossary.html").as_uri())
    page.locator("mjx-container").first.wait_for(timeout=30_000)
    assert page.refused == []


@pytest.mark.parametrize("name", notebook_names())
def test_a_notebooks_page_is_whole_without_network(html, page, name):
    page.goto((html / "notebooks" / f"{name}.html").as_uri())
    page.wait_for_load_state("networkidle")
    if page.locator(".math").count():
        page.locator("mjx-container").first.wait_for(timeout=30_000)
    if page.locator("script[type='application/vnd.jupyter.widget-view+json']").count():
        page.locator(".jupyter-widgets").first.wait_for(timeout=30_000)
    broken = "els => els.filter(e => e.complete && e.naturalWidth === 0).map(e => e.alt)"
    assert page.eval_on_selector_all("article img", broken) == []
    assert page.refused == []
