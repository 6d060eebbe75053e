"""Measure our metrics against sacrebleu and rouge-score: `make bench`. Seconds of 3,000 pairs.

The pairs are a small model's translations, good and bad, beside the right ones. Each metric takes
turns with its reference, 300 pairs at a time, so that a block of ten is all of them once.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from itertools import cycle

import sacrebleu
from measuring import BLOCK, Measure, ratio, report, take_turns, timed
from rouge_score.rouge_scorer import RougeScorer

from course_lib.evaluation import bleu, chrf, rouge
from course_lib.evaluation.metrics.rouge import ROUGE_TYPES
from course_lib.studies.metrics import held_out_translations
from course_lib.studies.outputs import load_outputs

PAIRS = 3000
BAR = 3.0  # times the reference's seconds
Texts = list[str]


def pairs() -> tuple[Texts, Texts]:
    """What `bart-world` wrote, over seeds and stages of its training, and the references."""
    right = [target for _, target in held_out_translations()]
    found = [
        pair
        for output in load_outputs("bart-world", "translation")
        for pair in zip(output.texts, right, strict=True)
    ]
    predictions, references = zip(*found[:PAIRS], strict=True)
    return list(predictions), list(references)


def rouge_scores(stem: bool) -> Callable[[Texts, Texts], object]:
    scorer = RougeScorer(ROUGE_TYPES, use_stemmer=stem)
    return lambda texts, refs: [scorer.score(*pair) for pair in zip(refs, texts, strict=True)]


METRICS = {
    "BLEU, ours / sacrebleu": (bleu, lambda texts, refs: sacrebleu.corpus_bleu(texts, [refs])),
    "chrF, ours / sacrebleu": (chrf, lambda texts, refs: sacrebleu.corpus_chrf(texts, [refs])),
    "ROUGE, ours / rouge-score": (rouge, rouge_scores(False)),
    "ROUGE with stems, ours / rouge-score": (
        lambda texts, refs: rouge(texts, refs, stem=True),
        rouge_scores(True),
    ),
}


def in_parts(metric: Callable[[Texts, Texts], object], texts: Texts, refs: Texts) -> Callable:
    """The metric on the next tenth of the pairs, call by call."""
    starts = cycle(range(0, len(texts), len(texts) // BLOCK))

    def score() -> None:
        start = next(starts)
        part = slice(start, start + len(texts) // BLOCK)
        metric(texts[part], refs[part])

    return score


def contest(rounds: int) -> Iterator[Measure]:
    """Our seconds over theirs, for each metric."""
    texts, refs = pairs()
    for name, sides in METRICS.items():
        steps = {str(at): timed(in_parts(side, texts, refs)) for at, side in enumerate(sides)}
        ours, theirs = take_turns(steps, rounds * BLOCK).values()
        value, between = ratio(ours, theirs)
        note = f"{sum(ours) / rounds:.2f} and {sum(theirs) / rounds:.2f} s for {len(texts):,} pairs"
        yield Measure(name, value, BAR, at_least=False, note=note, interval=between)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=8, help="over all pairs, of each side")
    options = parser.parse_args(arguments)
    return report({"metrics, seconds": contest(options.rounds)})


if __name__ == "__main__":
    sys.exit(main())
