"""The exercises of notebook 08 on training: a schedule, and gradients in parts."""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.classroom.exercises.base import Exercise, near, require, require_number


class WarmupCosine(Exercise):
    """A learning rate schedule."""

    name = "warmup-cosine"
    function = "rate"
    notebook = "08_pretraining"
    prompt = """
    Write `rate(step, steps, warmup, peak)` for `step` from 0 to `steps - 1`, another schedule than
    the notebook's in one thing: it decays to **zero**.

    - In the first `warmup` steps it rises linearly: step 0 has `peak / warmup`, and step
      `warmup - 1` has `peak`.
    - From there half a cosine: with `done = (step - warmup) / (steps - warmup)`,
      `peak * (1 + cos(pi * done)) / 2`.
    """
    hint = """
    `peak * (step + 1) / warmup` while `step < warmup`. Why `step + 1`? At step 0 a rate of zero
    would be a step that does nothing.
    """
    praise = "Right: up in a line, down in half a wave."

    @staticmethod
    def solution(step: int, steps: int, warmup: int, peak: float) -> float:
        """Linear up, cosine down to zero."""
        if step < warmup:
            return peak * (step + 1) / warmup
        done = (step - warmup) / (steps - warmup)
        return peak * (1 + math.cos(math.pi * done)) / 2

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Random lengths and peaks, each step of them."""
        for _ in range(10):
            warmup = int(torch.randint(2, 20, (), generator=draw))
            steps = warmup + int(torch.randint(10, 60, (), generator=draw))
            peak = float(torch.rand((), generator=draw)) + 0.1
            got = [require_number(answer(s, steps, warmup, peak), "The rate") for s in range(steps)]
            want = [self.solution(s, steps, warmup, peak) for s in range(steps)]
            require(
                got[0] != 0,
                "The rate of step 0 is zero: that step would compute a gradient and not move.",
            )
            require(
                near(got[0], want[0]),
                f"Step 0 of a warm-up of {warmup} should have {want[0]:.4f} of a peak of "
                f"{peak:.4f}; yours has {got[0]:.4f}.",
            )
            require(
                near(max(got), peak),
                f"The highest rate should be the peak, {peak:.4f}; yours is {max(got):.4f}.",
            )
            middle = warmup + (steps - warmup) // 4
            line = peak * (1 - (middle - warmup) / (steps - warmup))
            require(
                near(got[middle], want[middle]) or not near(got[middle], line),
                "Behind the warm-up yours falls in a straight line; a cosine stays up longer and "
                "then falls faster.",
            )
            full = peak * (1 + math.cos(math.pi * middle / steps)) / 2
            require(
                near(got[middle], want[middle]) or not near(got[middle], full),
                "Your cosine runs over all steps. It begins where the warm-up ends: `done` is 0 at "
                "step `warmup`.",
            )
            floor = peak * (0.1 + 0.9 * want[-1] / peak)
            require(
                near(got[-1], want[-1]) or not near(got[-1], floor),
                "Yours ends at a tenth of the peak, as in the notebook. Here it goes to zero.",
            )
            wrong = next((s for s in range(steps) if not near(got[s], want[s])), None)
            require(
                wrong is None,
                f"Step {wrong} of {steps}, warm-up {warmup}: expected {want[wrong or 0]:.4f}, you "
                f"say {got[wrong or 0]:.4f}.",
            )


class Accumulate(Exercise):
    """Gradients of a batch that comes in unequal parts."""

    name = "accumulate"
    function = "accumulate"
    notebook = "08_pretraining"
    prompt = """
    A batch comes in parts, and the parts do not have equally many targets. This is how it is often
    written, and it is wrong:

    ```python
    def accumulate(model, parts):
        for inputs, targets in parts:
            loss = F.cross_entropy(model(inputs), targets)  # mean over the part
            (loss / len(parts)).backward()
    ```

    Write `accumulate(model, parts)` so that the gradient is that of the *mean loss over all targets
    of the batch*. `parts` is a list of pairs `(inputs, targets)`; `model(inputs)` gives logits
    `[targets, classes]`. Leave the gradient in the weights, and return the mean loss as a number.
    """
    hint = """
    Count the targets of all parts first. Then sum the loss in each part
    (`reduction="sum"`) and divide by that count before `backward()`.
    """
    praise = "Right: a part with few targets counts as little as it should."

    @staticmethod
    def solution(model: torch.nn.Module, parts: list) -> float:
        """Sums over the targets of the whole batch."""
        count = sum(len(targets) for _, targets in parts)
        total = 0.0
        for inputs, targets in parts:
            loss = torch.nn.functional.cross_entropy(model(inputs), targets, reduction="sum")
            (loss / count).backward()
            total += loss.item()
        return total / count

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Parts of 1 to 12 targets beside the batch in one."""
        for _ in range(5):
            model = nn.Linear(5, 4).double()
            with torch.no_grad():
                for weight in model.parameters():
                    weight.copy_(torch.randn(weight.shape, generator=draw, dtype=torch.float64))
            sizes = [1, 12, *torch.randint(2, 8, (2,), generator=draw).tolist()]
            parts = [
                (
                    torch.randn(size, 5, generator=draw, dtype=torch.float64),
                    torch.randint(4, (size,), generator=draw),
                )
                for size in sizes
            ]
            mine = copy.deepcopy(model)
            got = answer(mine, [(inputs.clone(), targets.clone()) for inputs, targets in parts])
            got = got.detach() if isinstance(got, Tensor) else got
            self._gradient(mine, model, parts)
            want = self.solution(copy.deepcopy(model), parts)
            require(
                near(require_number(got, "The loss"), want),
                f"The gradient is right; the mean loss is {want:.4f}, you return {float(got):.4f}.",
            )

    def _gradient(self, mine: nn.Module, model: nn.Module, parts: list) -> None:
        require(
            mine.weight.grad is not None,
            "The weights have no gradient: call `backward()`, and leave it there.",
        )
        ways = {"right": _weighted, "parts": _by_parts, "sum": _plain_sum, "last": _last_only}
        grads = {}
        for name, way in ways.items():
            other = copy.deepcopy(model)
            way(other, parts)
            grads[name] = other.weight.grad
        slips = {
            "parts": "That is the planted mistake: the mean of the parts' means. The one target of "
            "the first part weighs as much as all twelve of the second.",
            "sum": "You sum over all targets and never divide: the rate would have to shrink with "
            "the batch.",
            "last": "Only the last part is left: something clears the gradient between the parts.",
        }
        got = mine.weight.grad
        for name, words in slips.items():
            require(not torch.allclose(got, grads[name]), words)
        require(
            torch.allclose(got, grads["right"]),
            "The gradient is not that of the mean loss over all targets of the batch.",
        )


def _weighted(model: nn.Module, parts: list) -> None:
    Accumulate.solution(model, parts)


def _by_parts(model: nn.Module, parts: list) -> None:
    for inputs, targets in parts:
        (nn.functional.cross_entropy(model(inputs), targets) / len(parts)).backward()


def _plain_sum(model: nn.Module, parts: list) -> None:
    for inputs, targets in parts:
        nn.functional.cross_entropy(model(inputs), targets, reduction="sum").backward()


def _last_only(model: nn.Module, parts: list) -> None:
    inputs, targets = parts[-1]
    count = sum(len(t) for _, t in parts)
    (nn.functional.cross_entropy(model(inputs), targets, reduction="sum") / count).backward()
