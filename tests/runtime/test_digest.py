"""Guards what goes stale when code changes: that which rests on it, and nothing else.

pytest tests/runtime/test_digest.py
"""

import shutil

import pytest

from course_lib.runtime import digest
from course_lib.runtime.digest import digest_of, modules_behind
from course_lib.studies import STUDIES
from course_lib.studies.records import measure_digest
from course_lib.training.run import WITHOUT_EFFECT, code_digest, training_modules

CODE = """
def double(x):
    return 2 * x
"""
SAME = [
    CODE + "# a comment\n",
    '"""A docstring of the module."""\n' + CODE,
    CODE.replace("    return", '    """What it does."""\n\n    return'),
    CODE.replace("2 * x", "(2*x)"),
]
OTHER = [CODE.replace("2 * x", "3 * x"), CODE.replace("double", "twice"), CODE + "y = None\n"]


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the library's code to change; caches are emptied before and after."""

    def forget():
        for cached in (digest._imported_by, digest._exports, code_digest):
            cached.cache_clear()

    package = tmp_path / "course_lib"
    shutil.copytree(digest.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(digest.PACKAGE.parent / "data" / "world", tmp_path / "data" / "world")
    monkeypatch.setattr(digest, "PACKAGE", package)
    monkeypatch.setattr(
        "course_lib.training.run.data_path", lambda *parts: tmp_path.joinpath("data", *parts)
    )
    forget()
    yield package
    forget()


def digests():
    """Of training, and of the measurements of each study."""
    for cached in (digest._imported_by, digest._exports, code_digest):
        cached.cache_clear()
    return {"training": code_digest()} | {n: measure_digest(s) for n, s in STUDIES.items()}


def changed_by(file, text="\nplanted = 1\n"):
    before = digests()
    file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")
    after = digests()
    return {name for name in before if before[name] != after[name]}


def test_the_digest_ignores_words_and_sees_code(tmp_path, monkeypatch):
    monkeypatch.setattr(digest, "PACKAGE", tmp_path / "library")
    file = tmp_path / "module.py"

    def of(text):
        file.write_text(text, encoding="utf-8")
        return digest_of([file])

    first = of(CODE)
    assert len(first) == 12
    assert {of(text) for text in SAME} == {first}
    assert first not in {of(text) for text in OTHER}
    of(CODE)
    moved = file.rename(tmp_path / "elsewhere.py")
    assert digest_of([moved]) != first, "a module elsewhere is another module"


def test_the_digest_sees_a_changed_word_list(tmp_path, monkeypatch):
    monkeypatch.setattr(digest, "PACKAGE", tmp_path / "library")
    file, found = tmp_path / "words.toml", []
    for text in ('noun = ["cat"]  # animals\n', 'noun = ["cat"]\n', 'noun = ["dog"]\n'):
        file.write_text(text, encoding="utf-8")
        found.append(digest_of([file]))
    assert found[0] == found[1] != found[2]


def test_a_change_in_evaluation_marks_the_measurements_that_rest_on_it(copied):
    changed = changed_by(copied / "evaluation" / "likelihood" / "losses.py")
    assert changed >= {"ladder-naive", "causal-world"}
    assert not changed & {"training", "masked-factbook", "masking-static-dynamic"}


def test_a_change_in_training_marks_training_and_no_measurement(copied):
    assert changed_by(copied / "training" / "optimizer.py") == {"training"}


def test_a_changed_word_of_the_world_marks_training(copied):
    file = copied.parent / "data" / "world" / "animals.toml"
    assert "training" in changed_by(file)


@pytest.mark.parametrize("module", ["runtime/progress_bar", "runtime/checks", "classroom/plots"])
def test_what_moves_no_number_marks_nothing(module, copied):
    assert changed_by(copied / f"{module}.py") == set()


def test_a_lazy_name_leads_to_its_module_and_not_to_all_of_its_package():
    behind = modules_behind("course_lib.training.loop", without=WITHOUT_EFFECT)
    assert "course_lib.objectives.loss" in behind
    assert "course_lib.objectives.masked" not in behind
    assert {
        "course_lib.corpora.world.world",
        "course_lib.models.architecture",
    } <= training_modules()
