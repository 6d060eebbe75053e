"""Tuned on more kinds of tasks, tested on kinds never seen: the second experiment of notebook 12.

FLAN (Wei et al. 2022, arXiv:2109.01652) tuned a large model on many kinds of tasks and asked for a
kind that was not among them. Here a tiny base model is tuned on every subset of three kinds, at the
same number of steps and examples a step, and asked for two others: `earnings`, which is answered by
the same two words as one of the three (reviews), and `reading`, which has no relative among them.

Written down before the runs were made:

- If more kinds made a model better at a new kind, the scores on both would rise from one to three
  kinds, whichever they are. If only kinship counted, `earnings` would follow whether reviews are
  among them, and nothing would help `reading`. The subsets tell number and kinship apart.
- The floor of a written answer is 0, that of the preferred label the share of the commoner one,
  about 0.5. The ceiling is the model tuned on the two kinds themselves, at as many steps (`own`).
- The laziest gain is format: to write one of two words at all. So beside what is written stands
  which of the two labels is likelier, where format plays no part.
- Wei et al. (section 4.2, figure 7) found that tuning on many kinds *hurt* models of up to 8
  billion weights on kinds not seen. A toy that gains nothing does not contradict FLAN.
"""

from itertools import combinations
from statistics import fmean
from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase

from course_lib.corpora.examples import load_pairs
from course_lib.finetuning import choice_log_probs
from course_lib.studies.design import study
from course_lib.studies.forgetting import BASE, ranked, stage
from course_lib.studies.instructions import TEST, ask, score
from course_lib.training import Recipe, Run

SEEN = ("sentiment", "summaries", "translation")
NEVER = ("earnings", "reading")
STEPS = 300
SUBSETS = tuple(kinds for count in (1, 2, 3) for kinds in combinations(SEEN, count))


def tuned_on(kinds: tuple[str, ...], seed: int = 0) -> Recipe:
    """Equal weights, the same number of steps whatever the number of kinds."""
    name = f"kinds-{'-'.join(kinds)}"
    return stage(name, dict.fromkeys(kinds, 1.0), f"base:{BASE}", seed, steps=STEPS)


def measure_kinds(run: Run) -> dict[str, Any]:
    """Scores on both kinds never seen, some words, and the labels' order."""
    found: dict[str, Any] = {}
    for task in NEVER:
        prompts, written, gold = ask(run.model, run.tokenizer, task)
        found[task] = score(task, written, gold)
        found[f"{task}_words"] = [list(row) for row in zip(prompts, written, gold, strict=True)][:3]
        found[f"{task}_nats"] = nats_of_answers(run.model, run.tokenizer, task)
    return found | {"earnings_ranked": ranked(run.model, run.tokenizer, "earnings")}


def nats_of_answers(model: nn.Module, tokenizer: PreTrainedTokenizerBase, task: str) -> float:
    """Surprise at the right answers, in nats an answer."""
    rows = load_pairs(f"requests/{task}", "test", documents=TEST)
    choices = [[text] for text in rows["completion"]]
    scores = choice_log_probs(model, tokenizer, rows["prompt"], choices, template="plain")
    return -fmean(float(found[0]) for found in scores)


STUDIES = (
    study(
        "kinds-world",
        [tuned_on(kinds) for kinds in (*SUBSETS, NEVER)],
        measure_kinds,
        tolerance=0.15,
    ),
)
