"""F1 of named entities: a span counts if its two ends and its type are right.

Tjong Kim Sang and De Meulder 2003 (CoNLL-2003), section 2.3, whose program `conlleval` reads tags
leniently: "I-" after another type, or after none, opens a span too.
"""

from collections.abc import Iterable
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator

from course_lib.evaluation.metrics.classification import f1_of
from course_lib.evaluation.metrics.counts import Counts
from course_lib.runtime.checks import BadArgumentError, SomeTexts, checked

Span = tuple[str, int, int]


def _as_sentences(value: Any) -> list[list[str]]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ValueError("give a list of sentences, each a list of tags")
    sentences = [list(tags) if not isinstance(tags, str) else tags for tags in value]
    if not sentences:
        raise ValueError("give at least one sentence")
    for place, tags in enumerate(sentences):
        if isinstance(tags, str):
            raise ValueError(f"sentence {place} is a text: give a list of tags, one a word")
        wrong = [tag for tag in tags if not _is_tag(tag)]
        if wrong:
            raise ValueError(
                f"sentence {place} has the tag {wrong[0]!r}: a tag is O, or B- or I- and a type"
            )
    return sentences


def _is_tag(tag: Any) -> bool:
    return isinstance(tag, str) and (tag == "O" or (tag[:2] in ("B-", "I-") and len(tag) > 2))


Sentences = Annotated[list[list[str]], BeforeValidator(_as_sentences)]


@checked
def tag_spans(tags: SomeTexts) -> list[Span]:
    """The spans of a sentence: type, first word, and the word behind the last one.

    A span ends at "O", at another type, and where "B-" opens the next.
    """
    [tags] = _as_sentences([tags])
    spans, start = [], 0
    for at in range(1, len(tags) + 1):
        here, before = (tags[at] if at < len(tags) else "O"), tags[at - 1]
        if here[:2] != "I-" or here[2:] != before[2:]:
            if before != "O":
                spans.append((before[2:], start, at))
            start = at
    return spans


@checked
def span_f1(
    predictions: Sentences,
    references: Sentences,
    average: Literal["micro", "macro", "weighted"] = "micro",
    *,
    types: SomeTexts | None = None,
) -> float:
    """F1 over spans, 0 to 1; "micro", the usual one, pools the types.

    Each sentence is a list of tags: "O", or "B-" or "I-" and a type. Words outside of all spans
    count nothing, so a tagger that finds none scores 0, however many of the words are outside.
    `types`, all that there may be, is for two systems that are to be compared.

    Raises:
        BadArgumentError: no sentences, sentences that differ in length, or other tags.
    """
    return span_f1_counts(predictions, references, average, types=types).score


@checked
def span_f1_counts(
    predictions: Sentences,
    references: Sentences,
    average: Literal["micro", "macro", "weighted"] = "micro",
    *,
    types: SomeTexts | None = None,
) -> Counts:
    """What each sentence adds to `span_f1`, which takes the same arguments."""
    lengths = [list(map(len, sentences)) for sentences in (predictions, references)]
    if lengths[0] != lengths[1]:
        raise BadArgumentError(
            "predictions and references differ in the number of sentences or of tags in a "
            "sentence: give a tag for each word of each sentence."
        )
    found, wanted = (
        [set(tag_spans(t)) if t else set() for t in s] for s in (predictions, references)
    )
    present = {kind for spans in (*found, *wanted) for kind, _, _ in spans}
    if types and not present <= set(types):
        raise BadArgumentError(
            f"types={sorted(types)}: there is also {min(present - set(types))!r}; name every type, "
            "or leave `types` out."
        )
    types = sorted(types or present or {"none"})
    rows = [
        [sum(span[0] == kind for span in spans) for spans in (a & b, a, b) for kind in types]
        for a, b in zip(found, wanted, strict=True)
    ]
    name = f"span F1, {average}, of {types}"
    return Counts(name, np.array(rows, dtype=float), partial(f1_of, average))
