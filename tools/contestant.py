"""A loop that trains one step whenever it is told to: `make bench` starts one of each.

`python tools/contestant.py LOOP` reads a line of JSON (family, width, steps), says where its
`course_lib` lies, and then takes a step for each empty line and says how many seconds it took,
until a line says `end`. It also runs on the `course_lib` of commit fc792b7, so it uses nothing but
what both have.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import transformers

from course_lib.training import Recipe, fit, fresh_model, prepare


class Turnstile:
    """An objective that makes a batch when it is this loop's turn.

    A step ends where the next batch is made, so all that a loop does in between is in it.
    """

    def __init__(self, objective: Callable) -> None:
        self.objective, self.began, self.open = objective, None, False

    def __call__(self, *rows: Any) -> dict[str, torch.Tensor]:
        if not self.open:
            self._wait()
        return self.objective(*rows)

    def _wait(self) -> None:
        if self.began is not None:
            say(time.process_time() - self.began)
        told = sys.stdin.readline()
        if not told:  # whoever counts is gone
            sys.exit()
        self.open = told.strip() == "end"
        self.began = time.process_time()


def say(what: object) -> None:
    print(json.dumps(what), file=ANSWERS, flush=True)


def tiny_recipe(family: str, width: int, steps: int) -> Recipe:
    """Two layers on rows of 64 tokens of the world, 16 rows a step; in the words of either tree."""
    sizes = {"vocab_size": 512, "width": width, "layers": 2, "heads": 2, "length": 64, "batch": 16}
    run = {"steps": steps, "warmup": 10, "log_every": 10, "precision": "no", "documents": 2000}
    name = f"{family} {width} wide"
    if hasattr(Recipe, "__dataclass_fields__"):
        return Recipe(name=name, family=family, corpus="world", **sizes, **run)
    from course_lib.training import Data, Model

    recipe = Recipe(name=name, data=Data(corpus="world"), model=Model(family=family))
    return recipe.replace(**sizes, **run)


def main(name: str) -> None:
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    loop = fit
    if name != "fit":
        from reference_loops import LOOPS

        loop = LOOPS[name]
    for line in iter(sys.stdin.readline, ""):
        recipe = tiny_recipe(**json.loads(line))
        prepared = prepare(recipe)
        model = fresh_model(recipe, prepared.tokenizer)
        batches = replace(prepared.train, objective=Turnstile(prepared.train.objective))
        say(sys.modules["course_lib"].__file__)
        settings = getattr(recipe, "optimization", recipe)
        loop(model, batches, settings, callback=lambda entry: None)


ANSWERS = sys.stdout

if __name__ == "__main__":
    sys.stdout = sys.stderr  # what a loop prints is no answer
    main(sys.argv[1])
