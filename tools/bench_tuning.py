"""Measure tuning a real model against `trl.SFTTrainer`: `make bench`. Examples a second, memory.

SmolLM2 on film reviews, eight rows of some sixty tokens, all weights or an adapter, the same rows
in the same order, both in fp32 with one thread. Each side runs in a process of its own, in turns,
and reports the processor's seconds of each step and the most memory that it has had. The first
steps do not count: memory is allocated in them.
"""

import argparse
import contextlib
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from bench_data import peak
from measuring import Measure, report

SPEED_BAR = 1.1  # times trl's examples a second
MEMORY_BAR = 1.0  # of trl's peak
BATCH, LENGTH, WARM = 8, 128, 2
KINDS = {"all weights": "TUNED", "LoRA": "LORA"}

fresh = multiprocessing.get_context("spawn")
Clock = list[float]


def recipe_of(kind: str, steps: int) -> object:
    from course_lib.studies import tuning

    plan = {"steps": steps, "warmup": 1, "batch": BATCH, "length": LENGTH, "precision": "no"}
    return getattr(tuning, KINDS[kind]).replace(log_every=1, **plan)


def ours(kind: str, steps: int, tick: Callable[[], None]) -> None:
    """The library's loop."""
    import copy

    from course_lib.models.adapters import add_lora
    from course_lib.models.real import real
    from course_lib.training import fit, prepare

    recipe, start = recipe_of(kind, steps), real("smollm2")
    model = start.model
    if recipe.adapter:
        model = add_lora(copy.copy(model), **recipe.adapter.model_dump(exclude={"kind"}))
    rows = prepare(recipe, start.tokenizer, "supervised", "causal").train
    fit(model, rows, recipe.optimization, callback=lambda entry: tick())


def trl(kind: str, steps: int, tick: Callable[[], None]) -> None:
    """Its trainer, with our optimizer's settings, on the same rows."""
    import peft
    import torch
    import transformers
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from course_lib.models.real import real
    from course_lib.training import prepare

    class InOrder(SFTTrainer):
        def _get_train_sampler(self, dataset: object = None) -> torch.utils.data.Sampler:
            return torch.utils.data.SequentialSampler(dataset or self.train_dataset)

    class Clock(transformers.TrainerCallback):
        def on_step_end(self, *arguments: object, **options: object) -> None:
            tick()

    recipe, start = recipe_of(kind, steps), real("smollm2")
    batches = prepare(recipe, start.tokenizer, "supervised", "causal").train
    rows = [row for step in range(steps) for row in batches.raw(step)]
    masks = [[int(label != -100) for label in row["labels"]] for row in rows]
    data = {"input_ids": [row["input_ids"] for row in rows], "completion_mask": masks}
    adapter = None
    if recipe.adapter:
        rank, targets = recipe.adapter.rank, list(recipe.adapter.targets)
        adapter = peft.LoraConfig(r=rank, target_modules=targets, task_type="CAUSAL_LM")
    with tempfile.TemporaryDirectory() as folder:
        settings = SFTConfig(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            learning_rate=recipe["learning_rate"],
            max_length=LENGTH,
            completion_only_loss=True,
            gradient_checkpointing=False,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            bf16=False,
            disable_tqdm=True,
        )
        options = {"processing_class": start.tokenizer, "callbacks": [Clock()]}
        options |= {"train_dataset": Dataset.from_dict(data), "peft_config": adapter}
        with contextlib.redirect_stdout(sys.stderr):  # it prints every step
            InOrder(start.model, settings, **options).train()


SIDES = {"ours": ours, "trl": trl}


def run_side(side: str, kind: str, steps: int, answers: object) -> None:
    """In a process of its own: seconds between the ends of steps, and the peak of memory."""
    import torch

    torch.set_num_threads(1)
    ends: Clock = []
    SIDES[side](kind, steps, lambda: ends.append(time.process_time()))
    seconds = [after - before for before, after in zip(ends[WARM:], ends[WARM + 1 :], strict=False)]
    answers.put((seconds, peak()))


def measured(side: str, kind: str, steps: int) -> tuple[list[float], float]:
    answers = fresh.Queue()
    process = fresh.Process(target=run_side, args=(side, kind, steps, answers))
    process.start()
    found = answers.get()
    process.join()
    return found


def contest(kind: str, steps: int, repeats: int) -> Iterator[Measure]:
    """Median seconds of a step and largest peak of each side, as ratios."""
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    peaks: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(repeats):
        for side in SIDES:
            taken, most = measured(side, kind, steps)
            seconds[side] += taken
            peaks[side].append(most)
    medians = {side: statistics.median(values) for side, values in seconds.items()}
    ratios = [b / a for a, b in zip(seconds["ours"], seconds["trl"], strict=True)]
    between = (min(ratios), max(ratios))
    note = f"{medians['ours']:.2f} and {medians['trl']:.2f} s a step"
    name = f"{kind}: examples a second, ours / trl"
    yield Measure(name, medians["trl"] / medians["ours"], SPEED_BAR, note=note, interval=between)
    ours, theirs = max(peaks["ours"]), max(peaks["trl"])
    note = f"{ours:,.0f} and {theirs:,.0f} MB"
    yield Measure(f"{kind}: peak memory, ours / trl", ours / theirs, MEMORY_BAR, False, note=note)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=8, help="of each run; the first two are left")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each side")
    options = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    return report({kind: contest(kind, options.steps, options.repeats) for kind in KINDS})


if __name__ == "__main__":
    sys.exit(main())
