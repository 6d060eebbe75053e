"""A benchmark's score with what it is worth: standard error, interval, and chance.

The unit is the item: other items of the same kind would have given another score. An interval over
*seeds of training* is another question (`course_lib.evaluation.interval`).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch

from course_lib.evaluation.benchmarks import rules
from course_lib.evaluation.intervals import exact_interval
from course_lib.evaluation.metrics.classification import f1, matthews
from course_lib.runtime import generator

_RESAMPLES = 500
_SHARES = ("acc", "acc_norm", "multiple_choice_grade", "exact_str_match", "exact_match")


@dataclass(frozen=True)
class Score:
    """One task by one metric.

    Attributes:
        task: its name.
        metric: the harness's name of it.
        value: as the harness gives it.
        stderr: standard error over items.
        low: lower bound of the 95 % interval: exact (Clopper and Pearson) for a share of items,
            from resampled items (bootstrap) for a metric that is not a mean.
        high: its upper bound.
        chance: what choosing at random gives on average; NaN for free text.
        items: so many were asked.
    """

    task: str
    metric: str
    value: float
    stderr: float
    low: float
    high: float
    chance: float
    items: int

    def as_row(self) -> dict[str, Any]:
        """Field by field."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f}, n={self.items})"


def scores_of(found: dict[str, Any]) -> Iterator[Score]:
    """The scores in what the harness returned, samples included; metrics as a task lists them."""
    for task, samples in found["samples"].items():
        for metric in (one["metric"] for one in found["configs"][task]["metric_list"]):
            [value] = [v for k, v in found["results"][task].items() if k.split(",")[0] == metric]
            each = [sample[metric] for sample in samples]
            yield _score(task, metric, float(value), each, samples)


def _score(
    task: str, metric: str, value: float, each: list[Any], samples: list[dict[str, Any]]
) -> Score:
    count = len(each)
    if metric in _SHARES:
        # The harness's own formula for the standard error of a mean.
        stderr = float(np.std(each, ddof=1) / np.sqrt(count)) if count > 1 else float("nan")
        if set(each) <= {0.0, 1.0}:
            exact = exact_interval(int(sum(each)), count)
            low, high = exact.low, exact.high
        else:
            low, high = (value + side * 1.96 * stderr for side in (-1, 1))
    else:
        stderr, low, high = _bootstrapped(_STATISTICS[metric], each)
    return Score(task, metric, value, stderr, low, high, _chance(metric, samples), count)


def _matthews(pairs: Sequence[tuple[int, int]]) -> float:
    true, said = zip(*pairs, strict=True)
    return matthews([int(x) for x in said], [int(x) for x in true])


def _f1(pairs: Sequence[tuple[int, int]]) -> float:
    true, said = zip(*pairs, strict=True)
    if not any(true) and not any(said):
        return 0.0
    return f1([int(x) for x in said], [int(x) for x in true], "binary", positive=1)


_STATISTICS: dict[str, Callable[[Sequence[Any]], float]] = {
    "mcc": _matthews,
    "f1": _f1,
    "pearson": rules.pearson,
    "spearman": rules.spearman,
}


def _bootstrapped(statistic: Callable, each: list[Any]) -> tuple[float, float, float]:
    """Standard error and bounds, from so many items drawn again with replacement (Efron 1979)."""
    draw = generator(0, "benchmark bootstrap")
    found = []
    for _ in range(_RESAMPLES):
        chosen = torch.randint(len(each), (len(each),), generator=draw).tolist()
        found.append(statistic([each[place] for place in chosen]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(np.std(found, ddof=1)), float(low), float(high)


def _chance(metric: str, samples: list[dict[str, Any]]) -> float:
    """What a coin or a die would get on average."""
    if metric in ("mcc", "pearson", "spearman"):
        return 0.0
    choices = [len(sample["arguments"]) for sample in samples]
    if metric in ("exact_str_match", "exact_match"):
        return float("nan")
    if metric == "f1":  # of "yes" at random: precision is the share of yes, recall a half
        share = fmean(bool(int(sample["target"])) for sample in samples)
        return share / (share + 0.5) if share else 0.0
    return fmean(1 / count for count in choices)


def majority(samples: Sequence[dict[str, Any]]) -> float:
    """The accuracy of always giving the most common right answer, where answers are labels."""
    ((_, most),) = Counter(str(sample["target"]) for sample in samples).most_common(1)
    return most / len(samples)
