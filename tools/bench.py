"""Measure the library against its references: `make bench`, on a machine that does nothing else.

Everything runs on one thread of the CPU, in one process. Contestants take turns, A B C A B C ...,
each turn gives one ratio, and the median ratio is judged: a machine that slows down slows all of
them down, and the ratio stays. A missed bar makes the exit status 1.
"""

import argparse
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
import transformers
from plain_gpt import PlainGPT, plain_loss
from reference_loops import LOOPS
from torch import LongTensor, Tensor

from course_lib.corpora.world import World
from course_lib.objectives import summed_loss
from course_lib.runtime import set_threads
from course_lib.training import Data, Model, Recipe, fit, fresh_model, prepare
from course_lib.training.data import Prepared
from course_lib.training.optimizer import make_optimizers

REPEATS = 9
STEPS = 60  # of training in one repetition, of which the first LOG_EVERY are not timed
LOG_EVERY = 10
NOTEBOOK = "00_start_here"

TRAINER_BAR = 1.25  # times the Trainer's throughput, on the smallest models
BARE_LOOP_BAR = 0.97  # of the bare loop's throughput
CORRUPTION_BAR = 0.05  # of a training step
PLAIN_GPT_BAR = 0.95  # of the plain GPT's speed
WORDS_BAR = 300_000  # a second
IMPORT_BAR = 0.3  # seconds over bare Python
BEGIN_BAR = 6.0  # seconds, the start of Python included


@dataclass(frozen=True)
class Measure:
    """One line of the table. Without a bar it is there for information; nan passes no bar."""

    name: str
    value: float
    bar: float | None = None
    at_least: bool = True
    form: str = ".3f"
    note: str = ""

    @property
    def failed(self) -> bool:
        if self.bar is None:
            return False
        return not (self.value >= self.bar if self.at_least else self.value < self.bar)

    def __str__(self) -> str:
        verdict = "FAIL" if self.failed else "pass"
        bar = f"{'>=' if self.at_least else '<'} {self.bar:{self.form}}" if self.bar else "-"
        shown = f"{self.value:{self.form}}"
        return f"{self.name:<42}{shown:>10}{bar:>13}  {verdict if self.bar else '':<6}{self.note}"


def alternate(contestants: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Let each contestant measure itself once, in turn, `repeats` times over."""
    results = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, measure in contestants.items():
            gc.collect()  # the models of the turn before are not this one's to clear away
            results[name].append(measure())
    return results


def compare(name: str, ours: list[float], theirs: list[float], bar: float | None = None) -> Measure:
    """The median over repetitions of our speed over theirs, and how far the repetitions spread."""
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    speeds = f"{statistics.median(ours):,.0f} and {statistics.median(theirs):,.0f} tokens/s"
    return Measure(name, statistics.median(ratios), bar, note=f"{spread}; {speeds}")


# Training: our loop, the Trainer, a bare loop.


class Clock:
    """A callback that times the steps between its first call and its last.

    So neither setting up nor the first steps, in which memory is allocated, count for anyone.
    """

    def __init__(self) -> None:
        self.marks: list[tuple[int, float]] = []

    def __call__(self, entry: dict[str, float]) -> None:
        self.marks.append((int(entry["step"]), time.perf_counter()))

    def seconds_per_step(self) -> float:
        (first, start), (last, end) = self.marks[0], self.marks[-1]
        return (end - start) / (last - first)


def tiny_recipe(family: str, width: int, steps: int) -> Recipe:
    """Two layers on rows of 64 tokens of the world, 16 rows a step."""
    sizes = {"vocab_size": 512, "width": width, "layers": 2, "heads": 2, "length": 64, "batch": 16}
    run = {"steps": steps, "warmup": LOG_EVERY, "log_every": LOG_EVERY, "precision": "no"}
    name = f"{family} {width} wide"
    recipe = Recipe(name=name, data=Data(corpus="world"), model=Model(family=family))
    return recipe.replace(documents=2000, **sizes, **run)


def throughput(loop: Callable, recipe: Recipe, prepared: Prepared) -> float:
    """Tokens a second of one of the loops, on a fresh model with the recipe's own weights."""
    clock = Clock()
    loop(fresh_model(recipe, prepared.tokenizer), prepared.train, recipe, callback=clock)
    return recipe.optimization.batch * recipe.data.length / clock.seconds_per_step()


def training(repeats: int, steps: int) -> Iterator[Measure]:
    """Throughput of `fit` over the Trainer's and the bare loop's."""
    for family, width in (("bert", 32), ("gpt2", 32), ("bert", 64), ("gpt2", 64)):
        recipe = tiny_recipe(family, width, steps)
        prepared = prepare(recipe)
        speeds = alternate(
            {name: partial(throughput, loop, recipe, prepared) for name, loop in LOOPS.items()},
            repeats,
        )
        bars = {"Trainer": TRAINER_BAR if width == 32 else None, "bare loop": BARE_LOOP_BAR}
        for name in list(LOOPS)[1:]:
            line = f"{recipe.name}: fit / {name}"
            yield compare(line, speeds["fit"], speeds[name], bars.get(name))


# What corruption costs.


class Stopwatch:
    """An objective that notes how long each of its calls takes."""

    def __init__(self, objective: Callable) -> None:
        self.objective, self.seconds = objective, []

    def __call__(self, blocks: LongTensor, generator: torch.Generator) -> dict[str, Tensor]:
        start = time.perf_counter()
        batch = self.objective(blocks, generator)
        self.seconds.append(time.perf_counter() - start)
        return batch


def corruption_cost(recipe: Recipe, prepared: Prepared) -> tuple[float, float]:
    """Seconds that the objective takes in a step of `fit`, and their share of that step.

    Both are taken in the same steps. `fit` is the fastest way to train that we have, so the share
    is not flattered by a slow step.
    """
    watch, clock = Stopwatch(prepared.train.objective), Clock()
    batches = replace(prepared.train, objective=watch)
    fit(fresh_model(recipe, prepared.tokenizer), batches, recipe, callback=clock)
    seconds = statistics.mean(watch.seconds[recipe.optimization.log_every :])
    return seconds, seconds / clock.seconds_per_step()


def corruption(repeats: int, steps: int) -> Iterator[Measure]:
    """The seconds of objective(blocks, generator) as a share of the training step."""
    for family, objective in (("bert", "masked"), ("t5", "span"), ("bart", "infilling")):
        recipe = tiny_recipe(family, 64, steps)
        prepared = prepare(recipe)
        costs = [corruption_cost(recipe, prepared) for _ in range(repeats)]
        seconds, share = (statistics.median(values) for values in zip(*costs, strict=True))
        name = f"{recipe.name}: {objective} corruption / step"
        note = f"{seconds * 1e3:.2f} ms a step"
        yield Measure(name, share, CORRUPTION_BAR, at_least=False, form=".1%", note=note)


# GPT-2 as a `transformers` class, and by hand.


def train_for_a_turn(
    loss: Callable[[LongTensor], Tensor], optimizer: torch.optim.Optimizer, rows: list[LongTensor]
) -> float:
    """Tokens a second over some steps: forward, backward, optimizer."""
    start = time.perf_counter()
    for blocks in rows:
        (loss(blocks) / blocks.numel()).backward()
        optimizer.step()
        optimizer.zero_grad()
    return sum(blocks.numel() for blocks in rows) / (time.perf_counter() - start)


def two_gpts(recipe: Recipe, prepared: Prepared) -> dict[str, Callable[[], float]]:
    """The contestants: the `transformers` class with our loss, and a plain copy of it."""
    model = fresh_model(recipe, prepared.tokenizer).train()
    plain = PlainGPT.copy_of(model)
    losses = {
        model: lambda rows: summed_loss(model, {"input_ids": rows, "labels": rows}),
        plain: partial(plain_loss, plain),
    }
    # Wide models take longer, and fewer steps suffice.
    rows = [
        prepared.train.raw(step)
        for step in range(max(1, recipe.optimization.steps * 32 // recipe.model.width))
    ]
    contestants = []
    for module, loss in losses.items():
        (optimizer,) = make_optimizers(module, recipe)
        train_for_a_turn(loss, optimizer, rows[:2])  # allocates
        contestants.append(partial(train_for_a_turn, loss, optimizer, rows))
    return dict(zip(("transformers", "plain"), contestants, strict=True))


def hand_written(repeats: int, steps: int) -> Iterator[Measure]:
    """The tiny GPT-2 with our loss over a plain GPT that computes the same function.

    Both start from the same weights and take the same steps on the same rows, with the same
    optimizer. The plain GPT has no dropout layers; those of the other have rate 0.
    """
    for width in (64, 128, 256):
        recipe = tiny_recipe("gpt2", width, steps)
        speeds = alternate(two_gpts(recipe, prepare(recipe)), repeats)
        name = f"{recipe.name}: transformers / plain"
        yield compare(name, speeds["transformers"], speeds["plain"], PLAIN_GPT_BAR)


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


def text_and_start(repeats: int, steps: int) -> Iterator[Measure]:
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
    "Training throughput": training,
    "What corruption costs": corruption,
    "GPT-2 of transformers against a plain one": hand_written,
    "Text, and the wait before a notebook": text_and_start,
}


def stay_on_one_thread() -> None:
    """One CPU thread also where there is a GPU, and no chatter between the lines of the table."""
    os.environ |= {"CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}
    set_threads(1)
    transformers.logging.set_verbosity_error()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=REPEATS, help="turns of each contestant")
    parser.add_argument("--steps", type=int, default=STEPS, help="training steps in a turn")
    options = parser.parse_args(arguments)
    if options.repeats < 1 or options.steps < 2 * LOG_EVERY:
        parser.error(f"give 1 repeat or more, and {2 * LOG_EVERY} steps or more")
    stay_on_one_thread()
    return report({t: section(options.repeats, options.steps) for t, section in SECTIONS.items()})


def report(sections: dict[str, Iterable[Measure]]) -> int:
    """Print each measure as it is made; 1 if a bar was missed."""
    missed = 0
    for title, measures in sections.items():
        print(f"\n{title:<42}{'value':>10}{'bar':>13}", flush=True)
        for measure in measures:
            print(measure, flush=True)
            missed += measure.failed
    print(f"\nBars missed: {missed}." if missed else "\nEvery bar is met.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
