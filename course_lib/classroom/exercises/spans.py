"""The exercises of notebook 03."""

from collections.abc import Callable
from typing import Any

import torch

from course_lib.classroom.exercises.base import Exercise, WrongError, require, require_tensor

NOTEBOOK = "03_span_corruption"
WORDS = ("the", "cat", "sat", "on", "mat", "and", "slept", "until", "rain", "came", "over", "hills")
NO_TARGET = -100


def sentinel(number: int) -> str:
    """The mark of span 0, 1, ...: "<0>", "<1>", ..."""
    return f"<{number}>"


class CorruptSpans(Exercise):
    """Span corruption of words (Raffel et al. 2020, section 3.1.4)."""

    name = "corrupt-spans"
    function = "corrupt"
    notebook = NOTEBOOK
    prompt = """
    Write `corrupt(words, hidden)` for a list of words and an equally long list of booleans. Return
    `(source, target)`, two lists of words:

    - in `source` each *span* of hidden words, that is each unbroken run, is replaced by one
      sentinel: `"<0>"` for the first span, `"<1>"` for the second, and so on;
    - `target` holds each sentinel followed by the words it stands for.

    With `words = ["the", "cat", "sat", "down"]` and `hidden = [False, True, True, False]` the
    source is `["the", "<0>", "down"]` and the target `["<0>", "cat", "sat"]`.
    """
    hint = """
    Go through the words with a counter of spans. A span begins where a word is hidden and the one
    before it is not: there, write the sentinel into both lists. Then a hidden word goes into the
    target, any other into the source.
    """
    praise = "Right: what is hidden moves to the target, and the sentinels say where it belongs."

    @staticmethod
    def solution(words: list[str], hidden: list[bool]) -> tuple[list[str], list[str]]:
        """One pass: a new span writes its sentinel into both lists."""
        source, target, spans = [], [], 0
        for place, (word, hide) in enumerate(zip(words, hidden, strict=True)):
            if hide and not (place > 0 and hidden[place - 1]):
                source.append(f"<{spans}>")
                target.append(f"<{spans}>")
                spans += 1
            (target if hide else source).append(word)
        return source, target

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Random masks, with spans of several words and at both ends of the text."""
        for _ in range(20):
            words, hidden = _masked_words(draw)
            pair = answer(list(words), list(hidden))
            require(isinstance(pair, tuple | list) and len(pair) == 2, "Return (source, target).")
            source, target = _words(pair[0], "`source`"), _words(pair[1], "`target`")
            self._explain(source, target, words, hidden)

    def _explain(
        self, source: list[str], target: list[str], words: list[str], hidden: list[bool]
    ) -> None:
        wanted = self.solution(words, hidden)
        if (source, target) == wanted:
            return
        asked = f"For {words} with {hidden}:"
        require(
            (source, target) != wanted[::-1],
            f"{asked} source and target have changed places. The source keeps what is not hidden.",
        )
        spans = sum(word.startswith("<") for word in wanted[0])
        found = sum(word.startswith("<") for word in source)
        require(
            found <= spans,
            f"{asked} your source has {found} sentinels for {spans} spans. Neighbouring hidden "
            "words share one.",
        )
        require(
            source == wanted[0], f"{asked} the source should be {wanted[0]}, yours is {source}."
        )
        require(
            any(word.startswith("<") for word in target),
            f"{asked} your target has no sentinels, so nobody can tell where its words belong.",
        )
        require(
            target == wanted[1], f"{asked} the target should be {wanted[1]}, yours is {target}."
        )


class RestoreText(Exercise):
    """The way back: the two sides together hold the whole text."""

    name = "restore-text"
    function = "restore"
    notebook = NOTEBOOK
    prompt = """
    Write `restore(source, target)`, the way back: two lists of words as `corrupt` returns them
    become the list of words that was corrupted. Sentinels are `"<0>"`, `"<1>"`, ...; no other word
    begins with `<`.
    """
    hint = """
    First read the target into a dictionary from each sentinel to the list of words behind it. Then
    go through the source: a sentinel gives way to its words, any other word stays.
    """
    praise = "Right. Nothing was lost: span corruption moves words, it does not destroy them."

    @staticmethod
    def solution(source: list[str], target: list[str]) -> list[str]:
        """Collect the spans, then put each in its place."""
        spans = {}
        for word in target:
            if word.startswith("<"):
                spans[word] = []
                current = spans[word]
            else:
                current.append(word)
        words = []
        for word in source:
            words += spans.get(word, [word])
        return words

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Texts corrupted in many ways come back as they were."""
        for _ in range(20):
            words, hidden = _masked_words(draw)
            source, target = CorruptSpans.solution(words, hidden)
            got = _words(answer(list(source), list(target)), "The text")
            asked = f"For source {source} and target {target}:"
            left = [word for word in got if word.startswith("<")]
            require(not left, f"{asked} sentinels are left in your text: {left}.")
            require(
                len(got) >= len(words),
                f"{asked} {len(words) - len(got)} words are missing. A sentinel may stand for "
                "several words.",
            )
            require(got == words, f"{asked} the text was {words}, yours is {got}. Mind the order.")


class SpanLengths(Exercise):
    """Why T5 cut rows of 568 tokens."""

    name = "span-lengths"
    function = "span_lengths"
    notebook = NOTEBOOK
    prompt = """
    How long do the two sides get? Write `span_lengths(length, rate, mean_span)`: of `length` tokens
    `round(length * rate)` are hidden, in `round(hidden / mean_span)` spans. Return the number of
    tokens of `(source, target)`. Each span costs a sentinel on both sides, and both sides close
    with one end token.
    """
    hint = """
    Source: what is not hidden, plus a sentinel for each span, plus the end token. Target: what is
    hidden, plus a sentinel for each span, plus the end token.
    """
    praise = "Right: 568 tokens at 15 % in spans of 3 become 512 and 114, the lengths of T5."

    @staticmethod
    def solution(length: int, rate: float, mean_span: float) -> tuple[int, int]:
        """Each side has its own tokens, the sentinels, and an end token."""
        hidden = round(length * rate)
        spans = round(hidden / mean_span)
        return length - hidden + spans + 1, hidden + spans + 1

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """T5's own case, then others."""
        cases = [(568, 0.15, 3.0)]
        for _ in range(10):
            length = int(torch.randint(50, 1000, (), generator=draw))
            rate = float(torch.rand((), generator=draw)) * 0.4 + 0.1
            cases.append((length, rate, float(torch.randint(2, 6, (), generator=draw))))
        for case in cases:
            got = answer(*case)
            require(
                isinstance(got, tuple | list) and len(got) == 2, "Return two numbers, in a tuple."
            )
            self._explain(tuple(got), *case)

    def _explain(self, got: tuple, length: int, rate: float, mean_span: float) -> None:
        source, target = self.solution(length, rate, mean_span)
        if got == (source, target):
            return
        hidden = round(length * rate)
        asked = f"{length} tokens at rate {rate:.3g}, spans of {mean_span:g}:"
        slips = [
            ((source - 1, target - 1), "you left out the end token of both sides."),
            ((length - hidden + 1, hidden + 1), "you left out the sentinels, one a span."),
            ((source, hidden + 1), "the sentinels stand in the target, too."),
            ((length + 1, target), "a masked model keeps its length; here, hidden tokens leave."),
            ((target, source), "source and target have changed places."),
        ]
        for value, words in slips:
            require(got != value, f"{asked} {words}")
        raise WrongError(f"{asked} {source} and {target} tokens, not {got[0]} and {got[1]}.")


class ShiftRight(Exercise):
    """What the decoder reads while it learns: teacher forcing."""

    name = "shift-right"
    function = "shift_right"
    notebook = NOTEBOOK
    prompt = """
    While it learns, the decoder reads the *right* target, one place late: that is teacher forcing.
    Write `shift_right(labels, start, pad)` for labels `[batch, length]`: the decoder's input has
    the same shape, begins with `start`, and at place t holds the label of place t - 1. Labels of
    -100 (no target) become `pad`, since -100 is no token.
    """
    hint = """
    Make a tensor of the same shape, put `labels[:, :-1]` into its columns from 1 on and `start`
    into column 0, and replace -100 at the end with `masked_fill`. Do not change `labels` itself.
    """
    praise = "Right: at each place the decoder knows what came before, and not what comes."

    @staticmethod
    def solution(labels: torch.Tensor, start: int, pad: int) -> torch.Tensor:
        """All but the last column, one place further on, behind the start token."""
        inputs = labels.new_full(labels.shape, start)
        inputs[:, 1:] = labels[:, :-1]
        return inputs.masked_fill(inputs == -100, pad)

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Rows of different length, padded with -100."""
        labels = torch.randint(10, 100, (6, 9), generator=draw)
        for row, length in enumerate([9, 4, 7, 1, 8, 5]):
            labels[row, length:] = NO_TARGET
        given = labels.clone()
        got = require_tensor(answer(given, 0, 1), labels.shape, "The decoder's input")
        require(torch.equal(given, labels), "Your function changed `labels`: the loss needs them.")
        require(
            not torch.equal(got, labels.masked_fill(labels == NO_TARGET, 1)),
            "Nothing is shifted: the decoder would read the very token it is asked for.",
        )
        left = labels[:, 1:].masked_fill(labels[:, 1:] == NO_TARGET, 1)
        require(
            not torch.equal(got[:, :-1], left),
            "You shifted to the left: place t would know the token of place t + 1.",
        )
        require(
            (got[:, 0] == 0).all(), "Every row begins with `start`: nothing was written before it."
        )
        require((got >= 0).all(), "-100 is no token: where there is no target, the input is `pad`.")
        require(
            torch.equal(got, self.solution(labels, 0, 1)),
            "Place t should hold the label of place t - 1, for every t from 1 on.",
        )


def _masked_words(draw: torch.Generator) -> tuple[list[str], list[bool]]:
    """A row of words and a mask with at least one hidden and one visible word."""
    length = int(torch.randint(4, 12, (), generator=draw))
    words = [WORDS[i] for i in torch.randint(len(WORDS), (length,), generator=draw).tolist()]
    hidden = (torch.rand(length, generator=draw) < 0.5).tolist()
    first, last = torch.randperm(length, generator=draw)[:2].tolist()
    hidden[first], hidden[last] = True, False
    return words, hidden


def _words(value: Any, what: str) -> list[str]:
    """The value as a list, if it is a list of words."""
    right = isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)
    require(right, f"{what} should be a list of words.")
    return list(value)
