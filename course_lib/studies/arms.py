"""Masked or causal, one body, at one price: the recorded experiment of notebook 04.

Three arms of `course_lib.studies.one_body`: masked, causal, and causal for half of the price, then
masked. Same start, same tokenizer, same rows in the same order; only mask and loss differ. Price is
an axis: 2, 4, 8, 16 and 32 units of 1e11 FLOPs, five seeds each. (Span corruption needs another
body with a decoder; it is compared with a decoder in `course_lib.studies.objectives`, on
translation.)

Written down before the runs were made:

- *Gaps*, in texts that nobody can know by heart (drawn from another world: same words, other
  facts). *a* or *an*: the noun behind the gap decides, so the answer is read on the right; the same
  text again with the gap at the noun (two to choose from, one of them behind the wrong article),
  and it is read on the left. About half of the articles are *an*, which is the prior; ceiling 1. If
  seeing the right side were worth nothing, the masked arm would fill both alike and the causal one
  no worse. And a person's first name that stands in the text twice, the gap being the first or the
  second: ten to choose from, none of the other nine in the text. That asks for copying over a
  sentence or more. In a trial (seed 77) a masked model had not learnt it at twice the highest
  price, so it may show nothing, and is asked at the highest price alone. The floor is the prior:
  the name of the ten that people of that other world bear most often. A causal
  arm *guesses* from the left, one look, or *ranks* the whole text under each word, a look for each:
  the fairest objection to "it cannot see the right side".
- *Reviews*, whole, of the world with a long tail of words of tone; 200 labels, all weights tuned.
  Ceiling: the exact Bayes rate, 0.887. Opponents: the same body, fresh, under either mask; and a
  bag of words on the same labels. If pre-training were worth nothing, arms would end with the
  fresh ones.
- *Entities*, 200 sentences; a tag stands at a word's last piece, so that a body that sees the left
  alone has read the word. *Alder is* and *Alder Glass is* differ on the right alone.
- *Real reviews* (sentences on films that people wrote and rated), tuned in the same way, at the
  highest price. The arms have read no English but the world's: near the floor is what to expect.
- *Writing*: the share of sentences that the world could have written; the masked arms by Gibbs
  sampling, three rounds, with the length given to them.
- *Crossover.* Masked better for representations, causal ahead while data are few, causal then
  masked best at a fixed price: that is what Gisserot-Boukhlef et al. 2025 (arXiv:2507.00994) found.
  If it held here, causal would lead on labels at the low prices, masked at the high ones, the
  third arm at all.
- Artefacts looked for: the plateau of the masked loss (shown beside the scores); text read for the
  same FLOPs (the masked arm scores fewer tokens, so it reads 1.6 times as much: counted); a tuning
  rate that suits one arm (it was chosen on the masked arm of seed 77, so if it favours one it is
  that one); the mask by itself, which the fresh bodies show.

A first record ended at 8, with names, real reviews and writing asked at 8 alone. Its verdicts: on
entities masked behind at 2 (-0.080, -0.107 to -0.054) and level at 8 (+0.011, -0.012 to 0.033); on
reviews level; no crossing shown. Written down before the prices 16 and 32 were run: all is asked at
all prices, and three outcomes are told apart at 32, each by the interval of masked minus causal
over seeds. Clear of zero above it: they cross. Holding zero: it catches up. Clear below: it does
not. More rows than before are read, so the order of rows is another and all prices were run anew.

`python -m course_lib.studies.arms` records what is missing, a line a model, in
`data/runs/arms.jsonl`: about an hour of one quiet core.
"""

import json
import time
from itertools import pairwise
from statistics import fmean
from typing import Any

import torch
from transformers import PreTrainedModel

from course_lib.models import evaluation_mode
from course_lib.objectives.loss import count_targets, kind_of, summed_loss, to_device
from course_lib.runtime import data_path, describe_machine, generator, set_threads
from course_lib.runtime.errors import CourseError
from course_lib.studies.arms_tasks import (
    TASKS,
    bag_of_words,
    filled,
    gap_scores,
    gaps,
    label_score,
    labelled,
    predictions,
    tuned,
)
from course_lib.studies.arms_writing import well_formed, write
from course_lib.studies.design import SEEDS
from course_lib.studies.one_body import (
    ARMS,
    OBJECTIVES,
    PRICES,
    Text,
    fresh_body,
    prices_of,
    read_text,
)
from course_lib.training.run import code_digest

RECORD = "arms.jsonl"
SHOWN = 12  # of each use, word by word, of one seed at the highest price


def held_out_loss(model: PreTrainedModel, text: Text) -> float:
    """Loss per target of the model's own objective on 128 held-out rows, in nats."""
    objective = kind_of(model)
    rows = read_text(1000, "validation").rows[torch.arange(128)]
    batch = text.batches(objective, 0).objective(rows, generator("arms", "validation"))
    with evaluation_mode(model):
        batch = to_device(model, batch, model.device)
        return float(summed_loss(model, batch)) / count_targets(model, batch)


def measured(model: PreTrainedModel, text: Text, seed: int) -> dict[str, Any]:
    """All that is asked of a model."""
    found = {"loss": held_out_loss(model, text)} | gap_scores(model, text)
    for task in TASKS:
        found[task] = label_score(model, text, task, seed)
    return found | {
        "well_formed": fmean(fits for _, fits in well_formed(write(model, text, seed=seed)))
    }


def words_of(model: PreTrainedModel, text: Text, seed: int) -> dict[str, list]:
    """What a model says, beside what is right: gaps, verdicts on reviews, and texts."""
    asked = [
        *[gap for gap in gaps() if gap.kind == "article"][5::17],
        *[gap for gap in gaps() if gap.kind == "name"][::33],
    ]
    ways = ("left", "both") if kind_of(model) == "causal" else ("both",)
    shown: dict[str, list] = {}
    for way in ways:
        words = filled(model, text, asked, way)
        shown[f"gaps_{way}"] = [
            [gap.text, gap.side, gap.words[0], word] for gap, word in zip(asked, words, strict=True)
        ]
    for task in ("reviews", "real"):
        rows = labelled(task, SHOWN, 1)
        said, right = predictions(tuned(model, text, task, seed), text, task, rows)
        shown[task] = [list(row) for row in zip(rows["text"], right, said, strict=True)]
    return shown | {"texts": write(model, text, 8, seed)}


def recorded(**where: Any) -> list[dict[str, Any]]:
    """Lines of the record with these fields, in order of seed: `recorded(arm="masked", price=4)`.

    Raises:
        CourseError: there is none.
    """
    lines = [json.loads(line) for line in _lines()]
    found = [one for one in lines if all(one[key] == value for key, value in where.items())]
    if not found:
        raise CourseError(f"{RECORD} has no line with {where}: python -m course_lib.studies.arms")
    return sorted(found, key=lambda one: one["seed"])


def _lines() -> list[str]:
    path = data_path("runs", RECORD)
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _keep(arm: str, price: float, seed: int, measurements: dict, **more: Any) -> None:
    """Add a line; a kill loses the one under way."""
    info = describe_machine() | {"code": code_digest()}
    line = {"arm": arm, "price": price, "seed": seed, "measurements": measurements} | more
    with data_path("runs", RECORD).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line | {"info": info}, separators=(",", ":")) + "\n")
    print(time.strftime("%H:%M:%S"), arm, price, seed, measurements, flush=True)


def main() -> None:
    """Record what is missing, a seed at a time."""
    set_threads(1)
    there = {(one["arm"], one["price"], one["seed"]) for one in map(json.loads, _lines())}
    text = read_text()
    for seed in SEEDS:
        arms = [a for a in ARMS if any((a, price, seed) not in there for price in PRICES)]
        for arm, price, model, losses in prices_of(text, seed, PRICES, arms) if arms else ():
            if (arm, price, seed) in there:
                continue
            more = {"losses": _thin(losses), "steps": len(losses)}
            if price == PRICES[-1] and seed == SEEDS[0]:
                more["words"] = words_of(model, text, seed)
            _keep(arm, price, seed, measured(model, text, seed), **more)
        if ("controls", 0, seed) not in there:
            _keep("controls", 0, seed, controls(text, seed))


def controls(text: Text, seed: int) -> dict[str, float]:
    """The same body fresh, under either mask, and a bag of words, from the same labels."""
    found = {f"{task}_words": bag_of_words(task, seed) for task in ("reviews", "real")}
    for objective in OBJECTIVES:
        body = fresh_body(text.tokenizer, objective, seed)
        for task in TASKS:
            found[f"{task}_fresh_{objective}"] = label_score(body, text, task, seed)
    return found


def _thin(losses: list[float], points: int = 40) -> list[list[float]]:
    """Means of even stretches: pairs of the last step of each and the loss per target."""
    edges = [round(i * len(losses) / points) for i in range(points + 1)]
    spans = [(a, b) for a, b in pairwise(edges) if b > a]
    return [[b, float(f"{fmean(losses[a:b]):.5g}")] for a, b in spans]


if __name__ == "__main__":
    main()
