"""Guards that one recipe says each kind of training, and that any tool reads what it leaves.

pytest tests/training/test_kinds_of_training.py
"""

import pytest
import torch
import transformers

from course_lib.__main__ import main
from course_lib.evaluation import sequence_log_prob
from course_lib.models.adapters import merged
from course_lib.runtime import data_path
from course_lib.training import Recipe, Run, load_base, train
from course_lib.training.data import prepare
from course_lib.training.start import load_start, model_to_train

SHORT = ["steps=2", "warmup=0", "evaluate_every=0", "batch=4", "checkpoint_every=100"]
PIPELINES = {
    "mixture-gpt2": "text-generation",
    "continued-gpt2": "text-generation",
    "tuned-gpt2": "text-generation",
    "head-bert": "token-classification",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Each kind, two steps long, trained by the command line."""
    folder = tmp_path_factory.mktemp("runs")
    changes = [word for change in SHORT for word in ("--set", change)]
    for name in PIPELINES:
        few = [] if "mixture" in name or "continued" in name else ["--set", "documents=20"]
        recipe = str(data_path("recipes", f"{name}.toml"))
        assert main(["train", recipe, *changes, *few, "--folder", str(folder / name)]) == 0
    return folder


@pytest.mark.parametrize("name", PIPELINES)
def test_the_pipelines_of_transformers_open_what_each_kind_leaves(name, runs):
    pipeline = transformers.pipeline(PIPELINES[name], model=str(runs / name))
    assert pipeline("The cat sat on the mat.")


def test_a_tuned_run_starts_from_the_weights_that_it_names(runs):
    base, tuned = load_base("gpt2-world"), Run.load(runs / "tuned-gpt2")
    before, after = base.model.state_dict(), tuned.model.state_dict()
    moved = [float((after[name] - before[name]).abs().max()) for name in before]
    assert 0 < max(moved) < 0.05, "two steps move the weights of the start, and not far"


def test_a_run_is_gone_on_from_by_its_folder_and_a_new_start_is_another_run(runs, tmp_path):
    recipe = Recipe.load(data_path("recipes", "tuned-gpt2.toml"))
    recipe = recipe.replace(documents=20, steps=1, warmup=0, batch=4, evaluate_every=0)
    first = train(recipe, folder=tmp_path / "first")
    on = recipe.replace(start=f"run:{tmp_path / 'first'}")
    second = train(on, folder=tmp_path / "second")
    assert second.history[0]["loss"] < first.history[0]["loss"]
    assert on.digest() != recipe.digest()


def test_the_loss_of_tuning_is_on_the_completion_alone():
    recipe = Recipe.load(data_path("recipes", "tuned-gpt2.toml")).replace(documents=20)
    start = load_start(recipe)
    batch = prepare(recipe, start.tokenizer, start.objective, start.kind).train(0)
    for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
        prompt = start.tokenizer.decode(ids[: int((labels != -100).nonzero()[0])])
        completion = start.tokenizer.decode(labels[labels != -100])
        assert prompt.endswith("Answer:")
        assert completion.endswith(start.tokenizer.eos_token)
        assert torch.equal(labels[labels != -100], ids[labels != -100])


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
    """A run whose adapter alone was trained, and its folder."""
    recipe = Recipe.load(data_path("recipes", "tuned-gpt2.toml")).replace(
        documents=20, steps=2, warmup=0, batch=4, adapter={"rank": 2}
    )
    folder = tmp_path_factory.mktemp("adapted") / "lora"
    return train(recipe, folder=folder), folder


def test_an_adapter_trains_little_and_is_saved_twice(adapted):
    run, folder = adapted
    trained = [name for name, p in run.model.named_parameters() if p.requires_grad]
    assert trained
    assert all("lora" in name for name in trained)
    whole = Run.load(folder).model
    assert type(whole).__name__ == "GPT2LMHeadModel"
    ids = torch.tensor([[3, 4, 5]])
    with torch.no_grad():
        assert torch.allclose(whole(ids).logits, run.model(ids).logits, atol=1e-5)
    from peft import PeftModel

    base = load_base("gpt2-world").model
    alone = PeftModel.from_pretrained(base, folder / "adapter").eval()
    with torch.no_grad():
        assert torch.allclose(alone(ids).logits, run.model(ids).logits, atol=1e-5)


def test_the_harness_opens_a_tuned_run_and_an_adapter_as_they_lie_there(runs, adapted):
    """`lm_eval` by its own reader of models, told a folder and, for an adapter, `peft`."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    asked, choice = "The cat sat on the", " mat."
    request = Instance("loglikelihood", {}, (asked, choice), 0)
    base = str(data_path("checkpoints", "gpt2-world"))
    run, folder = adapted
    opened = {
        "tuned": (Run.load(runs / "tuned-gpt2"), {"pretrained": str(runs / "tuned-gpt2")}),
        "merged": (run, {"pretrained": str(folder)}),
        "adapter": (run, {"pretrained": base, "peft": str(folder / "adapter")}),
    }
    for name, (ours, where) in opened.items():
        harness = HFLM(**where, device="cpu", dtype="float32", batch_size=1)
        [(theirs, _)] = harness.loglikelihood([request], disable_tqdm=True)
        model = merged(ours.model).eval()
        expected = sequence_log_prob(model, ours.tokenizer, asked, choice)
        assert theirs == pytest.approx(expected, abs=1e-4), name


def test_an_adapter_changes_nothing_before_its_first_step():
    recipe = Recipe.load(data_path("recipes", "tuned-gpt2.toml")).replace(adapter={"rank": 2})
    start = load_start(recipe)
    ids = torch.tensor([[3, 4, 5]])
    with torch.no_grad():
        before = start.model.eval()(ids).logits
        after = model_to_train(recipe, start.tokenizer, start, None).eval()(ids).logits
    assert torch.equal(before, after)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": "base:gpt9"}, ("gpt9", "gpt2-world")),
        ({"start": "run:/nowhere"}, ("No run in /nowhere",)),
        ({"start": "real:gpt9"}, ("gpt9",)),
        ({"start": "base:bert-world"}, ("supervised", "bert", "choose one of")),
        ({"corpus": "world/juggling"}, ("juggling", "translation")),
        ({"corpus": "world/entities"}, ("tagging",)),
        ({"template": "chat"}, ("chat template",)),
        ({"length": 8}, ("data.length", "raise")),
        ({"adapter": {"targets": ["nothing"]}}, ("adapter.targets", "c_attn")),
    ],
)
def test_what_does_not_fit_is_one_line_before_any_training(changes, words, tmp_path):
    from refusals import assert_refused

    recipe = Recipe.load(data_path("recipes", "tuned-gpt2.toml")).replace(documents=20)
    assert_refused(lambda: train(recipe.replace(**changes), folder=tmp_path / "run"), *words)
    assert not (tmp_path / "run").exists()


def test_examples_may_count_the_same_or_share_a_row(tmp_path):
    recipe = Recipe.load(data_path("recipes", "tuned-gpt2.toml"))
    recipe = recipe.replace(documents=40, steps=1, warmup=0, batch=4, evaluate_every=0)
    changes = {"plain": {}, "even": {"mean_over": "examples"}, "packed": {"packed": True}}
    entries = {
        name: train(recipe.replace(**change), folder=tmp_path / name).history[0]
        for name, change in changes.items()
    }
    assert entries["even"]["targets"] == 4
    assert entries["even"]["loss"] != pytest.approx(entries["plain"]["loss"], rel=1e-6)
    assert entries["packed"]["targets"] > entries["plain"]["targets"]
    # What is held out is measured in the same way for all: per target, an example a row.
    first, *others = (entry["validation_loss"] for entry in entries.values())
    assert others == pytest.approx([first] * 2, rel=0.2)
