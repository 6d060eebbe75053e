"""Guards tuning against another trainer: `trl.SFTTrainer` has the losses of our loop.

Each reads the same pairs with its own code: template, tokens, labels, padding, loss, clipping.

    pytest tests/training/test_trl_agreement.py
"""

import copy
import math

import pytest
import torch
import transformers
from datasets import Dataset
from torch.optim.lr_scheduler import LambdaLR

from course_lib.corpora.examples import load_pairs
from course_lib.models.real import real
from course_lib.studies.tuning import TUNED
from course_lib.training import fit, learning_rate_at, make_optimizers, prepare

STEPS = 20


@pytest.fixture(scope="module")
def tokenizer():
    return real("smollm2").tokenizer


@pytest.fixture(scope="module")
def settings():
    options = {"steps": STEPS, "warmup": 3, "batch": 4, "learning_rate": 1e-2, "precision": "no"}
    return TUNED.replace(**options)


@pytest.fixture
def model(tokenizer):
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), num_hidden_layers=2, num_key_value_heads=1, **shape
    )
    return transformers.LlamaForCausalLM(config)


def in_order(recipe, tokenizer):
    """The rows of every step, as our loop reads them."""
    batches = prepare(recipe, tokenizer, "supervised", "causal").train
    return batches, [row for step in range(STEPS) for row in batches.raw(step)]


def as_text(rows, tokenizer):
    """The pairs behind the rows as plain strings: the prompt in its template, and the answer."""
    pairs = load_pairs("reviews/film", "train", documents=200)
    by_ids = {}
    for prompt, completion in zip(pairs["prompt"], pairs["completion"], strict=True):
        turns = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text + completion, add_special_tokens=False)["input_ids"]
        by_ids[(*ids, tokenizer.eos_token_id)] = (text, completion)
    found = [by_ids[tuple(row["input_ids"])] for row in rows]
    return Dataset.from_dict(dict(zip(("prompt", "completion"), zip(*found, strict=True))))  # noqa: B905


class Losses(transformers.TrainerCallback):
    """Keeps what the trainer logs."""

    def __init__(self):
        self.losses = []

    def on_log(self, arguments, state, control, logs=None, **_):
        if "loss" in (logs or {}):
            self.losses.append(logs["loss"])


def trl_losses(model, tokenizer, rows, optimization, folder):
    """The loss of each step of `SFTTrainer`, on rows in this order, with the same schedule."""
    trl = pytest.importorskip("trl")

    class InOrder(trl.SFTTrainer):
        def _get_train_sampler(self, dataset=None):
            return torch.utils.data.SequentialSampler(dataset or self.train_dataset)

    [optimizer] = make_optimizers(model, optimization)
    peak = optimization.learning_rate
    schedule = LambdaLR(optimizer, lambda step: learning_rate_at(step, optimization) / peak)
    kept = Losses()
    options = {"use_cpu": True, "bf16": False, "report_to": "none", "save_strategy": "no"}
    arguments = trl.SFTConfig(
        output_dir=str(folder),
        max_steps=STEPS,
        per_device_train_batch_size=optimization.batch,
        max_grad_norm=optimization.clip,
        logging_steps=1,
        max_length=128,
        completion_only_loss=True,
        gradient_checkpointing=False,
        disable_tqdm=True,
        **options,
    )
    trainer = InOrder(
        model=model,
        args=arguments,
        train_dataset=as_text(rows, tokenizer),
        processing_class=tokenizer,
        optimizers=(optimizer, schedule),
        callbacks=[kept],
    )
    trainer.train()
    return kept.losses


def test_trl_has_the_losses_of_our_loop(model, tokenizer, settings, tmp_path):
    batches, rows = in_order(settings, tokenizer)
    other = copy.deepcopy(model)
    ours = [entry["loss"] for entry in fit(model, batches, settings.optimization)]
    theirs = trl_losses(other, tokenizer, rows, settings.optimization, tmp_path)
    assert len(ours) == len(theirs) == STEPS
    assert ours[0] > ours[-1]
    for step, (mine, other_one) in enumerate(zip(ours, theirs, strict=True)):
        assert math.isclose(mine, other_one, abs_tol=1e-4), (step, mine, other_one)
