"""Guards the four places that name each notebook: its file, the README, the book, the budgets.

pytest tests/notebooks/test_listing.py
"""

import math
import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
BUDGETS = tomllib.loads((ROOT / "data" / "budgets.toml").read_text())
ROW = re.compile(r"^\| \[(\w+)\]\(notebooks/(\w+)\.ipynb\) \| ([\d.]+) \| .+ \|$", re.MULTILINE)
MOST_MINUTES = {"smoke": 20 / 60, "cpu": 3, "gpu": 20}


def names() -> list[str]:
    found = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert found, "the folder notebooks/ holds no notebook"
    return found


def test_the_readme_lists_each_notebook_with_its_minutes():
    rows = ROW.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert [(shown, file) for shown, file, _ in rows] == [(name, name) for name in names()]
    for name, _, minutes in rows:
        assert float(minutes) == math.ceil(BUDGETS[name]["cpu"]["minutes"])


def test_the_book_lists_each_notebook():
    toc = yaml.safe_load((ROOT / "jupyter_book" / "_toc.yml").read_text())
    files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    assert [f for f in files if f.startswith("notebooks/")] == [f"notebooks/{n}" for n in names()]


def test_each_notebook_has_its_three_budgets_within_the_bounds():
    assert sorted(BUDGETS) == names()
    for name in names():
        for budget, most in MOST_MINUTES.items():
            assert BUDGETS[name][budget]["minutes"] <= most, f"{name}, {budget}"
