"""Guards the book: it builds with warnings as errors, and holds what the course promises.

pytest -m book tests/book
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from build_book import settings_for

ROOT = Path(__file__).resolve().parents[2]
CLAIMS = tomllib.loads((ROOT / "data" / "claims.toml").read_text())["claim"]


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    """The built pages; the build fails on a warning."""
    output = tmp_path_factory.mktemp("book")
    command = [sys.executable, str(ROOT / "tools" / "build_book.py"), "--output", str(output)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return output / "_build" / "html"


def text_of(page: Path) -> str:
    import html as entities

    plain = re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8"))
    return re.sub(r"\s+", " ", entities.unescape(plain))


@pytest.mark.book
def test_every_page_of_the_contents_is_built(html):
    toc = yaml.safe_load((ROOT / "jupyter_book" / "_toc.yml").read_text())
    files = [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]
    assert [file for file in files if not (html / f"{file}.html").is_file()] == []


@pytest.mark.book
def test_the_table_of_claims_has_every_claim(html):
    page = (html / "jupyter_book" / "claims.html").read_text(encoding="utf-8")
    assert page.count("<tr ") == len(CLAIMS) + 1


@pytest.mark.book
def test_a_word_of_the_glossary_can_be_linked(html):
    assert 'id="term-span-corruption"' in (html / "jupyter_book" / "glossary.html").read_text()


@pytest.mark.book
def test_notebooks_show_stored_outputs_and_no_unread_markup(html):
    for page in sorted((html / "notebooks").glob("*.html")):
        source = page.read_text(encoding="utf-8")
        assert 'class="cell_output' in source
        assert ":::" not in text_of(page)


def colab_button(address: str) -> tuple[str, str] | None:
    """The repository and the Colab address that the book's pages would link to."""
    options = settings_for(address, local_scripts=True)["sphinx"]["config"]["html_theme_options"]
    buttons = options.get("launch_buttons")
    return (options["repository_url"], buttons["colab_url"]) if buttons else None


@pytest.mark.parametrize("ending", ["", "/", ".git"])
def test_a_course_on_github_has_colab_buttons(ending):
    colab = "https://colab.research.google.com"
    published = "https://github.com/someone/course"
    assert colab_button(published + ending) == (published, colab)


@pytest.mark.parametrize("address", ["", "https://example.org/course.git"])
def test_no_button_leads_where_colab_finds_nothing(address):
    assert colab_button(address) is None


def cited(text: str) -> set[tuple[str, str]]:
    """(first author, year) of each citation in a source such as "Brown et al. 2020, table 2.1"."""
    return set(re.findall(r"([A-Z][\w-]+)(?: et al\.| and [A-Z]\w+)? (\d{4})\b", text))


def test_every_work_that_the_data_cite_is_among_the_references():
    references = (ROOT / "jupyter_book" / "references.md").read_text(encoding="utf-8")
    entries = re.sub(r"\n  ", " ", references).splitlines()
    listed = {
        (author.split()[-1], year)
        for entry in entries
        for author, year in re.findall(r"^- ([^,(]+).*?\((\d{4})\)", entry)
    }
    sizes = tomllib.loads((ROOT / "data" / "published_sizes.toml").read_text())["size"]
    wanted = {pair for row in [*CLAIMS, *sizes] for pair in cited(row["source"])}
    assert ("Devlin", "2019") in wanted
    assert wanted - listed == set()
