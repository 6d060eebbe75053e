"""The exercises of notebook 12."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from course_lib.classroom.exercises.base import (
    Exercise,
    near,
    number_between,
    require,
    require_number,
    whole_number,
)

MULTITASK = "12_multitask_finetuning"


def _numbers(value: Any, length: int, what: str) -> list[float]:
    """The value as a list of this many numbers."""
    if isinstance(value, torch.Tensor):
        value = value.tolist()
    kind = type(value).__name__
    require(isinstance(value, list | tuple), f"{what} should be a list, yours is a {kind}.")
    require(len(value) == length, f"{what} should be {length} numbers, yours are {len(value)}.")
    return [require_number(entry, f"Each of {what.lower()}") for entry in value]


def _all_near(got: Sequence[float], want: Sequence[float]) -> bool:
    return all(near(a, b) for a, b in zip(got, want, strict=True))


class MixingTemperature(Exercise):
    """Shares of tasks in a mixture (Raffel et al. 2020, arXiv:1910.10683, section 3.5.2)."""

    name = "mixing-temperature"
    function = "mix"
    notebook = MULTITASK
    prompt = """
    Write `mix(counts, temperature, limit)`. `counts` are numbers of examples, one for each task.
    Return each task's share of the rows: first cut every count at `limit`, so that no giant drowns
    the others; then take each to the power of 1 / temperature; then let the shares sum to 1.
    """
    hint = "`min(n, limit) ** (1 / temperature)` for each n, and then divide each by the sum."
    praise = "Right. At 1 the shares are proportional; the hotter, the more alike they become."

    @staticmethod
    def solution(counts: list[int], temperature: float, limit: int) -> list[float]:
        """Cut, flatten, normalise."""
        powered = [min(n, limit) ** (1 / temperature) for n in counts]
        return [value / sum(powered) for value in powered]

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Random counts, of which at least one is above the limit and one below."""
        for _ in range(10):
            n = whole_number(draw, 2, 6)
            counts = torch.randint(10, 5000, (n,), generator=draw).tolist()
            counts += [whole_number(draw, 6000, 90000)]
            limit = 5500
            temperature = number_between(draw, 1.5, 5.5)
            got = _numbers(answer(list(counts), temperature, limit), n + 1, "The shares")
            want = self.solution(counts, temperature, limit)
            cut = [min(count, limit) for count in counts]
            after = [min(c ** (1 / temperature), limit) for c in counts]
            slips = {
                "They should sum to 1: divide each by the sum.": [
                    c ** (1 / temperature) for c in cut
                ],
                "This is the power of the temperature itself: it makes the large ones larger.": [
                    c**temperature / sum(c**temperature for c in cut) for c in cut
                ],
                "The limit is not heeded, or comes after the power, where it cuts nothing.": [
                    value / sum(after) for value in after
                ],
                "These are proportional shares: the temperature does nothing.": [
                    c / sum(cut) for c in cut
                ],
            }
            for words, slip in slips.items():
                require(_all_near(got, want) or not _all_near(got, slip), words)
            shown = [round(value, 4) for value in want]
            require(
                _all_near(got, want), f"For {counts}, T = {temperature:.2f}, limit {limit}: {shown}"
            )


class HalfwayBack(Exercise):
    """Weights between before and after (Wortsman et al. 2022, arXiv:2109.01903)."""

    name = "halfway-back"
    function = "mixed"
    notebook = MULTITASK
    prompt = """
    Write `mixed(before, after, kept)`. Both are dicts of tensors, a model's weights by name, of the
    same names. Return a new dict: each weight `kept` of the way back from `after` to `before`, so
    that `kept` = 0 is the tuned model and 1 the old one. Leave both dicts as they are.
    """
    hint = "For each name: `after[name] + kept * (before[name] - after[name])`."
    praise = "Right: a line in the space of weights, and no data needed to walk it."

    @staticmethod
    def solution(
        before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], kept: float
    ) -> dict[str, torch.Tensor]:
        """A straight line from one to the other."""
        return {name: after[name] + kept * (before[name] - after[name]) for name in after}

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Random weights of two shapes, anywhere on the line, and its ends."""
        for kept in (0.0, 1.0, *torch.rand(6, generator=draw).tolist()):
            shapes = {"layer.weight": (3, 2), "layer.bias": (3,)}
            before, after = (
                {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
                for _ in range(2)
            )
            copies = [{n: w.clone() for n, w in one.items()} for one in (before, after)]
            got = answer(before, after, kept)
            require(isinstance(got, dict), f"Return a dict, not a {type(got).__name__}.")
            require(set(got) == set(after), f"Its names should be {sorted(after)}.")
            for one, copy in zip((before, after), copies, strict=True):
                require(
                    all(one[name].equal(copy[name]) for name in copy),
                    "One of the dicts you were given has changed. Make new tensors.",
                )
            self._compare(got, before, after, kept)

    def _compare(self, got: dict, before: dict, after: dict, kept: float) -> None:
        for name, weight in self.solution(before, after, kept).items():
            value = got[name]
            require(
                isinstance(value, torch.Tensor) and value.shape == weight.shape,
                f"{name} should be a tensor of shape {list(weight.shape)}.",
            )
            if torch.allclose(value, weight, atol=1e-6):
                continue
            turned = after[name] * kept + before[name] * (1 - kept)
            require(
                not torch.allclose(value, turned, atol=1e-6),
                "The other way round: kept = 1 should be the old model.",
            )
            require(
                not torch.allclose(value, (before[name] + after[name]) / 2, atol=1e-6),
                "This is always the middle: `kept` plays no part.",
            )
            require(
                not torch.allclose(value, after[name] + kept * before[name], atol=1e-6),
                "The old weights were added to the new ones. Only their difference should be.",
            )
            require(False, f"{name} at kept = {kept:.2f} is not on the line.")
