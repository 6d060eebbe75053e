"""Measure the library against its references: `make bench`, on a machine that does nothing else.

All on one thread of the CPU. Two sides take turns step by step; `tools/measuring.py` says how a
ratio, its interval and a missed bar come of that. A missed bar makes the exit status 1.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
import transformers
from contest import BEFORE, COMMIT, contestants
from contestant import tiny_recipe
from measuring import (
    BLOCK,
    Measure,
    alternate,
    compare,
    compare_rounds,
    ratio,
    report,
    take_turns,
    timed,
)
from plain_gpt import PlainGPT, plain_loss
from torch import LongTensor, Tensor

from course_lib.corpora.world import World
from course_lib.objectives import summed_loss
from course_lib.runtime import set_threads
from course_lib.training import Recipe, fit, fresh_model, prepare
from course_lib.training.data import Prepared
from course_lib.training.optimizer import make_optimizers

__all__ = ["Measure", "alternate", "report"]

STEPS = 300
ROUNDS = 6  # of processes, which share the steps
NOTEBOOK = "00_start_here"

BEFORE_BAR = 1.0  # of the speed of the loop that was built on Accelerate
TRAINER_BAR = 1.25  # times the Trainer's, on the smallest models
BARE_LOOP_BAR = 0.97  # of the bare loop's
CORRUPTION_BAR = 0.05  # of a training step
PLAIN_GPT_BAR = 0.97  # of the plain GPT's speed
WORDS_BAR = 300_000  # a second
IMPORT_BAR = 0.3  # seconds over bare Python
BEGIN_BAR = 6.0  # seconds, the start of Python included


# Training: our loop, the one before it, a bare one, the Trainer.

MODELS = (("bert", 32), ("gpt2", 32), ("bert", 64), ("gpt2", 64), ("t5", 64), ("bart", 64))


def training(steps: int) -> Iterator[Measure]:
    """The speed of `fit` over that of each other loop, in processes that are started anew.

    Two processes that do the same differ by a few hundredths all their lives, by where their memory
    happens to lie. So the processes are what is drawn anew, and the interval is over them.
    """
    rounds: dict[tuple[str, int], list[dict[str, list[float]]]] = {model: [] for model in MODELS}
    steps = max(2 * BLOCK, steps // ROUNDS)
    for _ in range(ROUNDS):
        with contestants() as loops:
            for family, width in MODELS:
                for loop in loops.values():
                    loop.begin(family, width, steps)
                rounds[family, width].append(take_turns(loops, steps))
                for loop in loops.values():
                    loop.end()
    for (family, width), seconds in rounds.items():
        bars = {BEFORE: BEFORE_BAR, "bare loop": BARE_LOOP_BAR}
        bars |= {"Trainer": TRAINER_BAR} if width == 32 else {}
        for name in list(seconds[0])[1:]:
            line = f"{family} {width} wide: fit / {name}"
            pairs = [(one["fit"], one[name]) for one in seconds]
            yield compare_rounds(line, pairs, bars.get(name))
    if BEFORE not in loops:
        yield Measure(f"{COMMIT} is not in this clone", float("nan"), note="fetch all of it")


# What corruption costs.


class Stopwatch:
    """An objective that notes when each of its calls begins, and how long it takes."""

    def __init__(self, objective: Callable) -> None:
        self.objective, self.began, self.seconds = objective, [], []

    def __call__(self, blocks: LongTensor, generator: torch.Generator) -> dict[str, Tensor]:
        self.began.append(time.process_time())
        batch = self.objective(blocks, generator)
        self.seconds.append(time.process_time() - self.began[-1])
        return batch

    @property
    def steps(self) -> list[float]:
        """Seconds from one call to the next."""
        return [b - a for a, b in zip(self.began[:-1], self.began[1:], strict=True)]


def corruption_cost(recipe: Recipe, prepared: Prepared) -> tuple[list[float], list[float]]:
    """Seconds that the objective takes, and those of the step of `fit` that it is in.

    `fit` is the fastest way to train that we have, so the share is not flattered by a slow step.
    """
    watch = Stopwatch(prepared.train.objective)
    batches = replace(prepared.train, objective=watch)
    fit(fresh_model(recipe, prepared.tokenizer), batches, recipe.optimization)
    return watch.seconds[BLOCK:-1], watch.steps[BLOCK:]


def corruption(steps: int) -> Iterator[Measure]:
    """The seconds of objective(blocks, generator) as a share of the training step."""
    for family, objective in (("bert", "masked"), ("t5", "span"), ("bart", "infilling")):
        recipe = tiny_recipe(family, 64, steps + BLOCK + 1)
        costs = corruption_cost(recipe, prepare(recipe))
        share, interval = ratio(*costs)
        name = f"{recipe.name}: {objective} corruption / step"
        note = f"{statistics.median(costs[0]) * 1e3:.2f} ms a step"
        yield Measure(name, share, CORRUPTION_BAR, False, ".1%", note, interval)


# GPT-2 as a `transformers` class, and by hand.


def train_step(
    loss: Callable[[LongTensor], Tensor], optimizer: torch.optim.Optimizer, rows: Iterator
) -> None:
    """Forward, backward, optimizer, on the next rows."""
    blocks = next(rows)
    (loss(blocks) / blocks.numel()).backward()
    optimizer.step()
    optimizer.zero_grad()


def two_gpts(recipe: Recipe, prepared: Prepared) -> dict[str, Callable[[], float]]:
    """The two sides: the `transformers` class with our loss, and a plain copy of it."""
    model = fresh_model(recipe, prepared.tokenizer).train()
    plain = PlainGPT.copy_of(model)
    losses = {
        "transformers": (model, lambda b: summed_loss(model, {"input_ids": b, "labels": b})),
        "plain": (plain, partial(plain_loss, plain)),
    }
    rows = [prepared.train.raw(step) for step in range(recipe.optimization.steps)]
    sides = {}
    for name, (module, loss) in losses.items():
        (optimizer,) = make_optimizers(module, recipe.optimization)
        sides[name] = timed(partial(train_step, loss, optimizer, iter(rows)))
    return sides


def hand_written(steps: int) -> Iterator[Measure]:
    """The tiny GPT-2 with our loss over a plain GPT that computes the same function.

    Both start from the same weights and take the same steps on the same rows, with the same
    optimizer. The plain GPT has no dropout layers; those of the other have rate 0.
    """
    for width in (32, 64, 128, 256):
        recipe = tiny_recipe("gpt2", width, steps + BLOCK)
        seconds = take_turns(two_gpts(recipe, prepare(recipe)), steps)
        name = f"{recipe.name}: transformers / plain"
        yield compare(name, seconds["transformers"], seconds["plain"], PLAIN_GPT_BAR)


# Text, and the wait before a notebook.


def words_per_second(documents: int) -> float:
    """How fast a world is made and writes."""
    start = time.perf_counter()
    texts = World().documents(documents)
    seconds = time.perf_counter() - start
    return sum(len(text.split()) for text in texts) / seconds


def best_seconds(code: str, repeats: int) -> float:
    """The shortest wall time of a fresh Python that runs `code`: what else runs only adds to it."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return min(times)


def text_and_start(steps: int) -> Iterator[Measure]:
    """The speed of the generated text and the seconds before a notebook can begin."""
    words = statistics.median(words_per_second(20_000) for _ in range(3))
    yield Measure("World().documents(20_000), words/s", words, WORDS_BAR, form=",.0f")
    cost = best_seconds("import course_lib", 5) - best_seconds("pass", 5)
    name = "import course_lib, s over bare Python"
    yield Measure(name, cost, IMPORT_BAR, at_least=False)
    code = f"from course_lib.classroom import begin; begin({NOTEBOOK!r})"
    name = "begin(...) in a fresh Python, s"
    yield Measure(name, best_seconds(code, 3), BEGIN_BAR, at_least=False, form=".2f")


SECTIONS = {
    "training": training,
    "corruption": corruption,
    "gpt": hand_written,
    "start": text_and_start,
}


def stay_on_one_thread() -> None:
    """One CPU thread also where there is a GPU, and no chatter between the lines of the table."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    set_threads(1)
    transformers.logging.set_verbosity_error()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of each side")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="these sections")
    options = parser.parse_args(arguments)
    if options.steps < 2 * BLOCK:
        parser.error(f"give {2 * BLOCK} steps or more")
    stay_on_one_thread()
    return report({name: SECTIONS[name](options.steps) for name in options.only or SECTIONS})


if __name__ == "__main__":
    sys.exit(main())
