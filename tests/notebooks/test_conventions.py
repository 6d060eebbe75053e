"""Guards what every notebook has in common, so that it reads the same in Lab, Colab and the book.

pytest tests/notebooks/test_conventions.py
"""

import json
import re

import pytest
from nbformat import NotebookNode
from normalize import normalize
from notebook_cells import COLAB_BOOTSTRAP, PARAMETERS

MOST_LINES = 25
MOST_COLUMNS = 80  # the book cuts longer lines off
DATA_URI = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=]+")
MACHINE_PATH = re.compile(r"(?<![\w.])(/(root|home|work|tmp|opt|usr|Users|private)/|[A-Z]:\\\\?\w)")
MYST = re.compile(r"^\s*(`{3,}|:{3,})\{|(?<!\$)\{[a-z][a-z:+-]*\}`", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
BARE_IMAGE = re.compile(r'!\[\s*\]\(|<img(?![^>]*\balt="[^"]+")[^>]*>')


def code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook: NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in code(notebook) for output in cell.outputs]


def output_text(notebook: NotebookNode) -> str:
    """All outputs as text, without the bytes of pictures."""
    return DATA_URI.sub("", "\n".join(json.dumps(o, ensure_ascii=False) for o in outputs(notebook)))


def headings(notebook: NotebookNode) -> list[str]:
    text = re.sub(r"^```.*?^```", "", prose(notebook), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^#{1,4} +(.+?) *$", text, flags=re.MULTILINE)


def anchor(heading: str) -> str:
    """The anchor that the book gives a heading, as GitHub does."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_first_come_the_colab_cell_the_parameters_and_begin(notebook, path):
    first, second, third = code(notebook)[:3]
    assert first.source == COLAB_BOOTSTRAP
    assert second.metadata.tags == ["parameters"]
    assert second.source == PARAMETERS
    assert f'course = begin("{path.stem}", budget, track, seed)' in third.source
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in notebook.cells) == 1


def test_it_opens_with_a_title_and_ends_with_sources(notebook):
    assert notebook.cells[0].source.startswith("# ")
    assert prose(notebook).count("\n# ") == 0, "one title"
    assert headings(notebook)[-1] == "Sources"


def test_the_file_is_as_make_notebooks_writes_it(notebook, path):
    assert normalize(notebook) == path.read_text(encoding="utf-8"), "run `make notebooks`"


def test_no_cell_stands_there_twice(notebook):
    sources = [cell.source for cell in code(notebook)]
    assert [source for source in sources if sources.count(source) > 1] == []


def test_outputs_are_stored_and_cells_numbered_from_one(notebook):
    executed = [cell for cell in code(notebook) if cell.source.strip()]
    assert [cell.execution_count for cell in executed] == list(range(1, len(executed) + 1))
    assert len(outputs(notebook)) > 0, "run `make notebooks`"


def test_no_output_is_an_error_or_a_warning(notebook):
    assert [o for o in outputs(notebook) if o.output_type == "error"] == []
    assert "Warning:" not in output_text(notebook)
    # A model that has read documentation may write the word itself.
    quoted = [c for c in code(notebook) if "model-writes" in c.metadata.get("tags", [])]
    assert all("samples(" in cell.source for cell in quoted)
    others = [o for cell in code(notebook) if cell not in quoted for o in cell.outputs]
    assert "Warning" not in DATA_URI.sub("", json.dumps(others))
    assert [o.text for o in outputs(notebook) if o.get("name") == "stderr"] == []


def test_nothing_tells_of_the_machine_it_ran_on(notebook):
    text = output_text(notebook)
    assert MACHINE_PATH.search(text) is None
    assert re.search(r"\b0x[0-9a-f]{8,}", text) is None, "a memory address"


def test_markdown_is_plain(notebook):
    found = MYST.search(prose(notebook))
    assert found is None, f"MyST shows as it is in JupyterLab: {found}"


def test_code_cells_fit_a_screen(notebook):
    long = [c.source for c in code(notebook) if len(c.source.splitlines()) > MOST_LINES]
    assert long == []


def test_code_lines_fit_the_page_of_the_book(notebook):
    shown = [c for c in code(notebook) if "remove-cell" not in c.metadata.get("tags", [])]
    lines = [line for cell in shown for line in cell.source.splitlines()]
    assert [line for line in lines if len(line) > MOST_COLUMNS] == []


def test_every_picture_has_alternative_text(notebook):
    kinds = {kind for output in outputs(notebook) for kind in output.get("data", {})}
    assert not {k for k in kinds if k.startswith("image/")}, "show figures with classroom.show"
    for output in outputs(notebook):
        assert BARE_IMAGE.search(output.get("data", {}).get("text/html", "")) is None
    assert BARE_IMAGE.search(prose(notebook)) is None


def test_there_is_something_to_do(notebook):
    source = "\n".join(cell.source for cell in code(notebook))
    assert "exercise(" in source
    assert "quiz(" in source


def test_links_inside_the_course_resolve(notebook, path):
    import nbformat

    for target in LINK.findall(prose(notebook)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, fragment = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.is_file(), f"{target}: no such file"
        if fragment and file.suffix == ".ipynb":
            other = nbformat.read(file, as_version=4)
            assert fragment in map(anchor, headings(other)), f"{target}: no such heading"


@pytest.mark.parametrize(
    ("pattern", "bad", "good"),
    [
        (MYST, "```{note}\nhi", "```python\nx"),
        (MYST, ":::{tip}", "a ::: b"),
        (MYST, "see {ref}`here`", "${x}$ and `{a: 1}`"),
        (MACHINE_PATH, "saved in /home/me/x", "see https://a.org/home/x and ~/.cache"),
        (MACHINE_PATH, "File /tmp/x.py", "and/or"),
        (BARE_IMAGE, "![](a.png)", "![a curve](a.png)"),
        (BARE_IMAGE, '<img src="x">', '<img src="x" alt="a curve">'),
    ],
)
def test_the_patterns_find_what_they_should(pattern: re.Pattern, bad: str, good: str):
    assert pattern.search(bad)
    assert not pattern.search(good)


def test_anchor_is_githubs():
    assert anchor("What's next: ALiBi, or 2 × 3?") == "whats-next-alibi-or-2--3"
