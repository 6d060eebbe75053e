"""A model's scores on a page: what was asked, what came of it, and how sure that is."""

import html
import math
from collections.abc import Sequence
from typing import Any

from course_lib.evaluation.benchmarks.scores import Score

_COLUMNS = ("task", "metric", "score", "95% interval", "standard error", "chance", "items", "shots")
_WORDS = {
    "acc": "accuracy, the likeliest choice by summed log-likelihood",
    "acc_norm": "accuracy, the likeliest choice by log-likelihood per character",
    "mcc": "Matthews correlation, 0 for guessing",
    "f1": 'F1 of the answer "yes"',
    "pearson": "Pearson correlation with the true ratings",
    "spearman": "Spearman correlation with the true ratings",
    "multiple_choice_grade": "BIG-bench: what the likeliest choice is worth, 1 for the best",
    "exact_str_match": "BIG-bench: the text is the target, letter for letter",
}
_NOTE = (
    "Intervals are over items: exact (Clopper and Pearson) for shares of right answers, by "
    "resampling items for correlations and F1. They say what other items of the same kind might "
    "have given; another wording of the questions, or another seed of training, is not in them."
)
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{padding:.25rem .6rem;border-bottom:1px solid #bbb;"
    "text-align:left}td.n{text-align:right;font-variant-numeric:tabular-nums}"
)


def markdown_card(about: dict[str, str], scores: Sequence[Score], shots: dict[str, Any]) -> str:
    """The card as Markdown: a table of the scores, what the metrics are, and what was run."""
    lines = [f"# Evaluation of {about['model']}", ""]
    lines += ["| " + " | ".join(_COLUMNS) + " |", "|" + " --- |" * len(_COLUMNS)]
    lines += ["| " + " | ".join(_row(score, shots)) + " |" for score in scores]
    lines += ["", _NOTE, "", "## Metrics", ""]
    lines += [f"- `{name}`: {words}" for name, words in _metrics(scores)]
    lines += ["", "## Run", ""]
    lines += [f"- {name}: {value}" for name, value in about.items()]
    return "\n".join(lines) + "\n"


def html_card(about: dict[str, str], scores: Sequence[Score], shots: dict[str, Any]) -> str:
    """The same as one HTML page that needs nothing else."""
    head = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    rows = "".join(_html_row(_row(score, shots)) for score in scores)
    metrics = "".join(
        f"<li><code>{name}</code>: {html.escape(words)}</li>" for name, words in _metrics(scores)
    )
    run = "".join(
        f"<li>{html.escape(name)}: {html.escape(value)}</li>" for name, value in about.items()
    )
    title = html.escape(f"Evaluation of {about['model']}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n"
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table>\n"
        f"<p>{html.escape(_NOTE)}</p>\n<h2>Metrics</h2><ul>{metrics}</ul>\n"
        f"<h2>Run</h2><ul>{run}</ul></body></html>\n"
    )


def _row(score: Score, shots: dict[str, Any]) -> list[str]:
    chance = "" if math.isnan(score.chance) else f"{score.chance:.3f}"
    return [
        score.task,
        score.metric,
        f"{score.value:.3f}",
        f"{score.low:.3f} to {score.high:.3f}",
        f"{score.stderr:.3f}",
        chance,
        f"{score.items}",
        f"{shots.get(score.task, 0)}",
    ]


def _html_row(cells: list[str]) -> str:
    words, numbers = cells[:2], cells[2:]
    told = "".join(f"<td>{html.escape(cell)}</td>" for cell in words)
    return f"<tr>{told}{''.join(f'<td class=n>{cell}</td>' for cell in numbers)}</tr>\n"


def _metrics(scores: Sequence[Score]) -> list[tuple[str, str]]:
    names = dict.fromkeys(score.metric for score in scores)
    return [(name, _WORDS.get(name, "as the harness defines it")) for name in names]
