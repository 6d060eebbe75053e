"""Guards `python -m course_lib`: recipes from files, changed fields, errors in one line.

pytest tests/training/test_command_line.py
"""

import pytest

from course_lib.__main__ import main
from course_lib.runtime import data_path
from course_lib.training import Recipe, Run

RECIPES = sorted(data_path("recipes").glob("*.toml"))
SMALL = ["width=16", "heads=2", "steps=2", "warmup=0", "evaluate_every=0", "documents=300"]
SET = [word for change in SMALL for word in ("--set", change)]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_committed_recipes_are_valid_and_named_as_their_files(path):
    assert Recipe.load(path).name == path.stem


def test_train_saves_a_run_with_the_changed_fields(tmp_path, capsys):
    folder = tmp_path / "run"
    recipe = str(data_path("recipes", "gpt2-world.toml"))
    assert main(["train", recipe, *SET, "--folder", str(folder)]) == 0
    run = Run.load(folder)
    assert (run.recipe.optimization.steps, run.recipe.model.width, run.recipe.data.corpus) == (
        2,
        16,
        "world",
    )
    assert "validation loss" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "nowhere.toml"], "No recipe at nowhere.toml"),
        (["train", str(RECIPES[0]), "--set", "stepz=3"], "did you mean optimization.steps?"),
        (["train", str(RECIPES[0]), "--set", "steps"], "FIELD=VALUE"),
        (["train", str(RECIPES[0]), "--set", "steps=0"], "at least 1"),
        (["runs", "no-such-study"], "No study no-such-study"),
    ],
)
def test_mistakes_are_one_line_that_says_what_is_wrong(arguments, words, capsys):
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
