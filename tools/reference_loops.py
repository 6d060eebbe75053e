"""The loops that `make bench` holds `course_lib.training.fit` against, called as `fit` is.

Each trains `model` on `batches` by `settings` and calls `callback` with the step and a loss every
`settings.log_every` steps.
"""

import tempfile
from collections.abc import Callable
from functools import partial

import torch
import transformers
from torch import Tensor, nn

from course_lib.objectives import count_targets, summed_loss
from course_lib.training import Optimization, fit
from course_lib.training.data import Batches
from course_lib.training.optimizer import learning_rate_at, make_optimizers

Callback = Callable[[dict[str, float]], None]


def bare_loop(
    model: nn.Module, batches: Batches, settings: Optimization, *, callback: Callback
) -> None:
    """What one would write by hand for exactly this training, with nothing to fall back on.

    It takes the same batches, loss, optimizer, schedule and clipping as `fit` and leaves the same
    weights. What it leaves out is what the loop is for: devices, precision, micro-batches,
    checkpoints, Ctrl-C, and a look at every loss.
    """
    model.train()
    (optimizer,) = make_optimizers(model, settings)
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, settings)
        batch = batches(step)
        loss = summed_loss(model, batch) / count_targets(model, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % settings.log_every == 0:
            callback({"step": step + 1, "loss": loss.item()})


class TrainerWithOurLoss(transformers.Trainer):
    """The Trainer with the loss of `fit`, to tell what the loop costs from what the loss costs."""

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Tensor], *_: object, **__: object
    ) -> Tensor:
        return summed_loss(model, inputs) / count_targets(model, inputs)


class Tell(transformers.TrainerCallback):
    """Passes the Trainer's log on to a callback of ours."""

    def __init__(self, callback: Callback) -> None:
        self.callback = callback

    def on_log(self, args: object, state: object, control: object, **more: dict) -> None:
        if "loss" in more["logs"]:  # the summary at the end has none
            self.callback({"step": state.global_step, "loss": more["logs"]["loss"]})


def trainer(
    model: nn.Module,
    batches: Batches,
    settings: Optimization,
    *,
    callback: Callback,
    kind: type[transformers.Trainer] = transformers.Trainer,
) -> None:
    """The same training by `transformers.Trainer`, told to do nothing that we do not.

    Equal: the model and its weights, the rows, the objective, batch, steps, fused AdamW with its
    betas and decay, warm-up and cosine to a tenth, clipping at the same norm, logging at the
    same steps; no bar, no evaluation, no checkpoint, no worker processes. Not equal: rows come in
    another order and are corrupted by one running generator; and the Trainer takes the model's
    own loss, as everyone who uses it does. For BERT that is the vocabulary layer at all
    positions, where ours is at the targets; `TrainerWithOurLoss` takes that difference away.
    """
    running = torch.Generator().manual_seed(settings.seed)
    with tempfile.TemporaryDirectory() as folder:
        runner = kind(
            model,
            trainer_settings(settings, folder),
            train_dataset=list(batches.rows[torch.arange(len(batches.rows))]),
            data_collator=lambda rows: batches.objective(torch.stack(rows), running),
            callbacks=[Tell(callback)],
        )
        runner.remove_callback(transformers.trainer_callback.PrinterCallback)
        runner.train()


def trainer_settings(settings: Optimization, folder: str) -> transformers.TrainingArguments:
    """Our settings in the Trainer's words."""
    return transformers.TrainingArguments(
        output_dir=folder,
        max_steps=settings.steps,
        per_device_train_batch_size=settings.batch,
        optim="adamw_torch_fused",
        learning_rate=settings.learning_rate,
        adam_beta1=0.9,
        adam_beta2=0.95,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": 0.1},
        warmup_steps=settings.warmup,
        logging_steps=settings.log_every,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        use_cpu=True,
    )


LOOPS = {
    "fit": fit,
    "Trainer": trainer,
    "bare loop": bare_loop,
    "Trainer, our loss": partial(trainer, kind=TrainerWithOurLoss),
}
