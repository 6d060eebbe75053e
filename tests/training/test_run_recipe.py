"""`train` gives the same run for the same recipe, at once the second time, whatever came between.

Run with: python -m pytest tests/training/test_run_recipe.py
"""

import signal

import pytest
import torch
from tiny import FAMILY_OF, documents, tiny_recipe, word_tokenizer

from course_lib.corpora import pack
from course_lib.objectives import OBJECTIVES, summed_loss
from course_lib.runtime import CourseError
from course_lib.training import Run, data, prepare, run_recipe, train
from course_lib.training.run_recipe import run_folder, validation_loss
from course_lib.training.start import fresh_model


@pytest.fixture(autouse=True)
def text(monkeypatch, tmp_path):
    """Two hundred small documents, and a cache of the test's own."""

    def blocks(name, split, tokenizer, length, *, documents=None):
        count = documents or {"train": 200, "validation": 40}[split]
        return pack(drawn(count, split), tokenizer, length)

    monkeypatch.setattr(data, "blocks", blocks)
    monkeypatch.setattr(data, "tokenizer_for", lambda family, *_: word_tokenizer(family))
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))


def drawn(count, split):
    return documents(count, "corpus", split)


def recipe_for(objective, **changes):
    usual = {"steps": 6, "batch": 8, "warmup": 2, "log_every": 2, "precision": "no", "width": 16}
    shape = {"layers": 1, "heads": 2, "length": 24, "dropout": 0.1}
    recipe = tiny_recipe(FAMILY_OF[objective], objective=objective)
    return recipe.replace(**usual | shape | changes)


def assert_same_run(one, other):
    assert one.history == other.history
    for name, weight in one.model.state_dict().items():
        assert torch.equal(weight, other.model.state_dict()[name])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_recipe_determines_the_run(objective, tmp_path):
    one = train(recipe_for(objective), folder=tmp_path / "one")
    other = train(recipe_for(objective), folder=tmp_path / "other")
    assert_same_run(one, other)
    assert not one.model.training
    assert one.validation_loss == one.history[-1]["validation_loss"] > 0
    assert set(one.info) >= {"device", "torch", "code", "seconds"}


def test_the_second_time_it_is_loaded_and_the_callback_still_hears_all(monkeypatch):
    heard = []
    first = train(recipe_for("masked"), callback=heard.append)
    assert heard == first.history
    assert (run_folder(first.recipe) / "run.json").is_file()
    folder = run_folder(first.recipe)
    there = [folder, folder.with_name(f"{folder.name}-log.csv")]
    assert sorted(folder.parent.iterdir()) == there

    monkeypatch.setattr(run_recipe, "fit", None)  # nothing may be trained
    again = train(recipe_for("masked", checkpoint_every=5), callback=heard.append)
    assert_same_run(again, first)
    assert heard == first.history * 2


def test_a_finished_run_measures_as_the_same_run_loaded():
    recipe = recipe_for("causal")
    run = train(recipe)
    prepared = data.prepare(recipe)
    assert validation_loss(run.model, prepared) == run.validation_loss
    assert validation_loss(Run.load(run_folder(recipe)).model, prepared) == run.validation_loss


def test_interrupted_and_called_again_it_goes_on(tmp_path):
    def interrupt(entry):
        if entry["step"] == 4:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match=r"after step 4 of 6, saved as .*step-00000004"):
        train(recipe_for("infilling"), folder=tmp_path / "run", callback=interrupt)
    assert not (tmp_path / "run").exists()
    resumed = train(recipe_for("infilling"), folder=tmp_path / "run")
    assert_same_run(resumed, train(recipe_for("infilling"), folder=tmp_path / "straight"))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "run",
        "run-log.csv",
        "straight",
        "straight-log.csv",
    ]


def test_a_folder_with_other_content_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "thesis.txt").write_text("...")
    monkeypatch.setattr(run_recipe, "fit", None)
    with pytest.raises(CourseError, match="not a run"):
        train(recipe_for("masked"), folder=tmp_path)


def test_seeds_differ_in_weights_order_and_masks_but_answer_the_same_questions():
    one, other = (data.prepare(recipe_for("masked", seed=seed)) for seed in (0, 1))
    assert torch.equal(one.train.rows, other.train.rows)
    assert not torch.equal(one.train.raw(0), other.train.raw(0))
    for a, b in zip(one.validation, other.validation, strict=True):
        assert torch.equal(a["input_ids"], b["input_ids"])
        assert torch.equal(a["labels"], b["labels"])
    models = [
        fresh_model(recipe_for("masked", seed=s), one.tokenizer).state_dict() for s in (0, 0, 1)
    ]
    for name in models[0]:
        assert torch.equal(models[0][name], models[1][name])
    assert any(not torch.equal(models[0][name], models[2][name]) for name in models[0])


def test_validation_weighs_targets_and_not_batches():
    recipe = recipe_for("masked")
    prepared = data.prepare(recipe)
    model = fresh_model(recipe, prepared.tokenizer).eval()
    losses = []
    for batch in prepared.validation:
        logits = model(input_ids=batch["input_ids"]).logits.detach()
        target = batch["labels"] != -100
        log_p = logits[target].log_softmax(-1)
        losses.append(-log_p.gather(1, batch["labels"][target][:, None]))
    expected = float(torch.cat(losses).mean())
    assert validation_loss(model, prepared) == pytest.approx(expected, rel=1e-5)


def test_auto_is_the_familys_own_objective_and_rate_reaches_it():
    own = data.prepare(recipe_for("causal").replace(objective="auto"))
    assert type(own.train.objective).__name__ == "CausalLM"
    assert data.prepare(recipe_for("masked", rate=0.4)).train.objective.rate == 0.4


def test_documents_limits_the_training_text_only():
    few = data.prepare(recipe_for("masked", documents=50))
    assert len(few.train.rows) < len(data.prepare(recipe_for("masked")).train.rows)
    assert len(few.validation) == len(data.prepare(recipe_for("masked")).validation)


def test_a_large_evaluation_is_cut_into_parts_and_comes_to_the_same(monkeypatch):
    recipe = recipe_for("causal")
    prepared, sizes = prepare(recipe), []
    model = fresh_model(recipe, prepared.tokenizer)
    whole = validation_loss(model, prepared)

    def noting(model, batch):
        sizes.append(len(batch["labels"]))
        return summed_loss(model, batch)

    monkeypatch.setattr(run_recipe, "LOGITS", 3 * recipe.data.length * len(prepared.tokenizer))
    assert validation_loss(model, prepared, noting) == pytest.approx(whole, rel=1e-6)
    assert max(sizes) == 3
    assert sum(sizes) == sum(len(batch["labels"]) for batch in prepared.validation)
