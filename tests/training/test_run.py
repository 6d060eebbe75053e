"""A saved run is a folder that transformers reads, and nothing in it can change unseen.

Run with: python -m pytest tests/training/test_run.py
"""

import errno
import json
import re
from pathlib import Path

import pytest
import torch
import transformers
from small_runs import LENGTH
from tiny import packed_rows, tiny_model, tiny_recipe, word_tokenizer

from course_lib.runtime import CourseError
from course_lib.training import Run
from course_lib.training.run import code_digest

HISTORY = [{"step": 1, "loss": 2.5, "validation_loss": 2.25}]


def run_of(family):
    shape = {"width": 16, "layers": 1, "heads": 2, "length": LENGTH}
    recipe = tiny_recipe(family, vocab_size=45, **shape)
    tokenizer = word_tokenizer(family)
    return Run(tiny_model(family).eval(), tokenizer, recipe, HISTORY, {"code": "abc"})


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "t5", "bart"])
def test_what_is_loaded_is_what_was_saved(family, tmp_path):
    run = run_of(family)
    loaded = Run.load(run.save(tmp_path / "run"))
    assert (loaded.recipe, loaded.history, loaded.info) == (run.recipe, HISTORY, {"code": "abc"})
    assert loaded.validation_loss == 2.25
    assert type(loaded.model) is type(run.model)
    assert not loaded.model.training
    for name, weight in run.model.state_dict().items():
        assert torch.equal(weight, loaded.model.state_dict()[name])
    text = "the cat sat on the mat ."
    assert loaded.tokenizer(text).input_ids == run.tokenizer(text).input_ids


def test_saving_and_loading_print_nothing(tmp_path, capfd):
    enabled = transformers.utils.logging.is_progress_bar_enabled()
    Run.load(run_of("bert").save(tmp_path / "run"))
    assert capfd.readouterr() == ("", "")
    assert transformers.utils.logging.is_progress_bar_enabled() == enabled


@pytest.mark.parametrize(
    ("family", "auto"),
    [
        ("bert", "AutoModelForMaskedLM"),
        ("gpt2", "AutoModelForCausalLM"),
        ("t5", "AutoModelForSeq2SeqLM"),
        ("bart", "AutoModelForSeq2SeqLM"),
    ],
)
def test_the_auto_classes_of_transformers_read_it(family, auto, tmp_path):
    run = run_of(family)
    loaded = getattr(transformers, auto).from_pretrained(run.save(tmp_path / "run")).eval()
    ids = packed_rows(family, 2, LENGTH, "auto")
    inputs = {"input_ids": ids} | ({"labels": ids} if family in ("t5", "bart") else {})
    with torch.no_grad():
        assert torch.equal(loaded(**inputs).logits, run.model(**inputs).logits)


def test_the_pipelines_of_transformers_read_it(tmp_path):
    fill = transformers.pipeline("fill-mask", model=str(run_of("bert").save(tmp_path / "bert")))
    answers = fill("the cat sat on the [MASK] .")
    assert len(answers) == 5
    assert all(0 < answer["score"] < 1 for answer in answers)
    write = transformers.pipeline(
        "text-generation", model=str(run_of("gpt2").save(tmp_path / "gpt2"))
    )
    (written,) = write("the cat sat on the", max_new_tokens=3, do_sample=False)
    assert re.match("the cat sat on the.+", written["generated_text"])


def test_the_folder_holds_nothing_to_unpickle_and_no_remains(tmp_path):
    saved = run_of("bert").save(tmp_path / "run")
    names = {file.name for file in saved.rglob("*")}
    assert {"model.safetensors", "config.json", "tokenizer.json", "run.json"} <= names
    assert {Path(name).suffix for name in names} <= {".safetensors", ".json"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_saving_again_replaces_the_run_and_only_a_run(tmp_path):
    run = run_of("bert")
    place = run.save(tmp_path / "run")
    (place / "stale.json").write_text("{}")
    run.save(place)
    assert not (place / "stale.json").exists()

    (tmp_path / "thesis").mkdir()
    run.save(tmp_path / "thesis")  # empty: nothing is lost
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("...")
    (tmp_path / "note").write_text("...")
    for taken in ("letters", "note"):
        with pytest.raises(CourseError, match="holds something that is not a run"):
            run.save(tmp_path / taken)
    assert (tmp_path / "letters" / "dear.txt").exists()


def test_the_current_folder_can_be_meant(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run_of("bert").save(".") == tmp_path / "here"
    assert (tmp_path / "here" / "run.json").is_file()


def test_a_full_disk_is_one_error_and_the_run_before_stays(tmp_path, monkeypatch):
    run = run_of("bert")
    place = run.save(tmp_path / "run")

    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(CourseError, match=r"No space left.*free some space"):
        run.save(place)
    monkeypatch.undo()
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]
    Run.load(place)
    (tmp_path / "file").write_text("")
    with pytest.raises(CourseError, match="a folder that you can write"):
        run.save(tmp_path / "file" / "run")


def test_folders_without_a_sound_run_are_refused(tmp_path):
    with pytest.raises(CourseError, match=r"has no readable run\.json"):
        Run.load(tmp_path)
    place = run_of("bert").save(tmp_path / "run")
    weights = (place / "model.safetensors").read_bytes()
    (place / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(CourseError, match=r"is damaged.*train it again"):
        Run.load(place)
    (place / "model.safetensors").unlink()
    with pytest.raises(CourseError, match=r"is damaged.*train it again"):
        Run.load(place)
    (place / "run.json").write_text(json.dumps({"recipe": {}})[:-1])
    with pytest.raises(CourseError, match=r"has no readable run\.json"):
        Run.load(place)


def test_the_digest_of_the_course_is_stable_within_a_session():
    assert code_digest() == code_digest()
