"""The exercises of notebooks 10 and 11."""

from collections.abc import Callable
from typing import Any

import torch

from course_lib.classroom.exercises.base import (
    Exercise,
    near,
    require,
    require_number,
    whole_number,
)

TUNING, FORGETTING = "10_instruction_finetuning", "11_catastrophic_forgetting"
NO_TARGET = -100


def _ids(draw: torch.Generator, count: int) -> list[int]:
    return torch.randint(10, 1000, (count,), generator=draw).tolist()


def _rows(value: Any, length: int, what: str) -> list[int]:
    """The value as a list of whole numbers of this length."""
    if isinstance(value, torch.Tensor):
        value = value.tolist()
    kind = type(value).__name__
    require(isinstance(value, list | tuple), f"{what} should be a list, yours is a {kind}.")
    require(
        len(value) == length, f"{what} should have {length} entries here, yours has {len(value)}."
    )
    return [int(entry) for entry in value]


class CompletionLabels(Exercise):
    """Where the loss is: on the completion and its end."""

    name = "completion-labels"
    function = "make_labels"
    notebook = TUNING
    prompt = """
    Write `make_labels(prompt, completion, end, length)` for two lists of token ids. The row that
    the model reads is the prompt, the completion, the token `end`, and then padding up to `length`
    tokens. Return its labels, a list of `length` numbers: -100 where there is no target, and
    otherwise the token that stands there. The loss shifts the labels by itself.
    """
    hint = """
    Three pieces behind each other: as many -100 as the prompt has tokens; the completion and `end`,
    which the model must learn to write; and -100 for what is left.
    """
    praise = "Right: it learns to answer and to stop, and is not asked to write questions."

    @staticmethod
    def solution(prompt: list[int], completion: list[int], end: int, length: int) -> list[int]:
        """Nothing, the answer with its end, nothing."""
        labels = [-100] * len(prompt) + completion + [end]
        return labels + [-100] * (length - len(labels))

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Rows of all lengths, some with no room left for padding."""
        for turn in range(12):
            prompt, completion = (
                _ids(draw, whole_number(draw, 2, 8)),
                _ids(draw, whole_number(draw, 1, 6)),
            )
            end, used = 2, len(prompt) + len(completion) + 1
            length = used if turn % 4 == 3 else used + whole_number(draw, 1, 5)
            got = _rows(answer(list(prompt), list(completion), end, length), length, "The labels")
            want = self.solution(prompt, completion, end, length)
            self._explain(got, want, prompt, completion, end)

    def _explain(
        self, got: list[int], want: list[int], prompt: list[int], completion: list[int], end: int
    ) -> None:
        start, stop = len(prompt), len(prompt) + len(completion)
        asked = f"For prompt {prompt} and completion {completion}:"
        require(
            got[:start] != prompt,
            f"{asked} the prompt is in the loss. The model would learn to write questions.",
        )
        require(
            got[stop] != NO_TARGET or got[start:stop] != completion,
            f"{asked} the end is no target, so nothing teaches the model to stop.",
        )
        require(
            all(label == NO_TARGET for label in got[stop + 1 :]),
            f"{asked} padding has targets. Only the first `end` is part of the answer.",
        )
        shifted = [*completion[1:], end]
        require(
            got[start : start + len(shifted)] != shifted or len(completion) == 1,
            f"{asked} your labels are shifted to the left. The loss does that, once.",
        )
        require(got == want, f"{asked} the labels should be {want}, yours are {got}.")


class StopToken(Exercise):
    """The bug of padding with the end token."""

    name = "never-stops"
    function = "mend"
    notebook = TUNING
    prompt = """
    A tuned model never stops. Its rows are padded with the end token, and the labels were made like
    this:

    ```python
    labels = [-100 if token == end else token for token in row]
    ```

    Write `mend(row, start, end)` for one row of token ids whose completion begins at place `start`:
    a prompt, a completion, one `end`, then padding, which is also `end`. Return the labels as they
    should have been, the prompt not among the targets. A completion never holds `end`; a prompt
    may (in a chat each turn is closed by it).
    """
    hint = """
    The first `end` at or after `start` closes the answer: it is a target. All later ones are
    padding. What stands before `start` is never a target, whatever it is.
    """
    praise = "Right. The same token is a target in one place and padding in all that follow."

    @staticmethod
    def solution(row: list[int], start: int, end: int) -> list[int]:
        """Targets from `start` to the first end behind it, that end included."""
        stop = row.index(end, start)
        return [token if start <= place <= stop else -100 for place, token in enumerate(row)]

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Prompts with and without an end token of their own; padding or none."""
        for turn in range(12):
            end = 2
            prompt = _ids(draw, whole_number(draw, 2, 6))
            if turn % 2:
                prompt[whole_number(draw, 0, len(prompt))] = end
            completion = _ids(draw, whole_number(draw, 1, 5))
            row = [
                *prompt,
                *completion,
                end,
                *[end] * (whole_number(draw, 0, 4) if turn % 3 else 0),
            ]
            got = _rows(answer(list(row), len(prompt), end), len(row), "The labels")
            self._explain(got, row, len(prompt), end)

    def _explain(self, got: list[int], row: list[int], start: int, end: int) -> None:
        stop, asked = row.index(end, start), f"For {row} with the completion from {start} on:"
        require(
            got[stop] == end,
            f"{asked} place {stop}, the end of the answer, is still no target: it goes on forever.",
        )
        require(
            all(label == NO_TARGET for label in got[:start]),
            f"{asked} part of the prompt is a target.",
        )
        require(
            all(label == NO_TARGET for label in got[stop + 1 :]),
            f"{asked} padding is a target now. Only the first end behind the answer is.",
        )
        want = self.solution(row, start, end)
        require(got == want, f"{asked} the labels should be {want}, yours are {got}.")


class LoraWeights(Exercise):
    """How many weights LoRA trains (Hu et al. 2021, section 4.2)."""

    name = "lora-weights"
    function = "lora_weights"
    notebook = TUNING
    prompt = """
    Write `lora_weights(shapes, rank, layers)`: how many weights LoRA trains. `shapes` lists the
    matrices of one layer that get an adapter, each as `(outputs, inputs)`; `layers` says how many
    such layers there are. An adapter is a product B A: A reads the inputs and has `rank` outputs, B
    goes from there to the outputs. Nothing else is trained.
    """
    hint = "A has `rank` × inputs weights, B has outputs × `rank`. Add over matrices and layers."
    praise = (
        "Right. The count grows with the sum of the two sides; that of a matrix with the product."
    )

    @staticmethod
    def solution(shapes: list[tuple[int, int]], rank: int, layers: int) -> int:
        """Two thin matrices for each one."""
        return layers * sum(rank * (outputs + inputs) for outputs, inputs in shapes)

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Matrices that are not square, so that no two slips meet."""
        for _ in range(8):
            count, rank, layers = (
                whole_number(draw, 2, 5),
                whole_number(draw, 2, 17),
                whole_number(draw, 3, 40),
            )
            shapes = [
                (whole_number(draw, 20, 300), whole_number(draw, 301, 600)) for _ in range(count)
            ]
            got = require_number(answer(list(shapes), rank, layers), "The count")
            want = self.solution(shapes, rank, layers)
            slips = {
                "These are the weights of the matrices themselves, which stay frozen.": layers
                * sum(o * i for o, i in shapes),
                "This is one layer. There are `layers` of them.": want / layers,
                "Only A is counted: B, from the rank to the outputs, is trained as well.": layers
                * sum(rank * i for _, i in shapes),
                "Only B is counted: A, from the inputs to the rank, is trained as well.": layers
                * sum(rank * o for o, _ in shapes),
                "Between A and B there is no further matrix of rank × rank.": want
                + layers * len(shapes) * rank**2,
            }
            for words, value in slips.items():
                require(not near(got, value), words)
            require(
                near(got, want), f"For {shapes}, rank {rank}, {layers} layers: {want}, not {got:g}."
            )


class BackwardTransfer(Exercise):
    """What later tasks did to earlier ones (Lopez-Paz and Ranzato 2017, section 2.1)."""

    name = "backward-transfer"
    function = "transfer"
    notebook = FORGETTING
    prompt = """
    Write `transfer(scores)`. `scores[i][j]` is the score on task j after training on task i, tasks
    numbered in the order of training. Return the backward transfer: over all tasks but the last,
    the mean of the score at the very end minus the score right after that task was trained.
    """
    hint = "At the very end is the last row; right after task j is `scores[j][j]`."
    praise = "Right. Below zero, what came later has hurt what came before."

    @staticmethod
    def solution(scores: list[list[float]]) -> float:
        """The last row minus the diagonal, without the last task."""
        changes = [scores[-1][j] - scores[j][j] for j in range(len(scores) - 1)]
        return sum(changes) / len(changes)

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Random matrices of three to six tasks."""
        for _ in range(10):
            n = whole_number(draw, 3, 7)
            scores = torch.rand(n, n, generator=draw).tolist()
            got = require_number(answer([list(row) for row in scores]), "The transfer")
            want = self.solution(scores)
            summed = want * (n - 1)
            best = [max(scores[i][j] for i in range(n - 1)) for j in range(n - 1)]
            slips = {
                "The sign is turned: what is lost counts below zero.": -want,
                "The last task is in the mean. Nothing came after it.": summed / n,
                "This is the sum over the tasks, not their mean.": summed,
                "This starts from the best score before the end, not from the one right after the "
                "task: with the other sign that is Chaudhry's forgetting.": sum(
                    scores[-1][j] - best[j] for j in range(n - 1)
                )
                / (n - 1),
                "Rows are stages and columns are tasks: you have them the other way round.": sum(
                    scores[j][-1] - scores[j][j] for j in range(n - 1)
                )
                / (n - 1),
            }
            for words, value in slips.items():
                require(near(got, want) or not near(got, value), words)
            require(near(got, want), f"For {scores}: {want:.4f}, and you say {got:.4f}.")


class EwcPenalty(Exercise):
    """Elastic weight consolidation (Kirkpatrick et al. 2017, equation 3)."""

    name = "ewc-penalty"
    function = "penalty"
    notebook = FORGETTING
    prompt = """
    Write `penalty(weights, anchors, fisher, strength)` for three tensors of one shape: the weights
    now, the weights before the new task, and the Fisher information of the old one. Return
    (strength / 2) times the sum over weights of F times the squared distance that the weight has
    moved, a tensor with a gradient.
    """
    hint = "`((weights - anchors) ** 2 * fisher).sum()`, and half the strength in front."
    praise = "Right: a weight the old task does not need, F = 0, may go where it likes."

    @staticmethod
    def solution(
        weights: torch.Tensor, anchors: torch.Tensor, fisher: torch.Tensor, strength: float
    ) -> torch.Tensor:
        """A parabola around the anchors, steep where F is large."""
        return strength / 2 * (fisher * (weights - anchors) ** 2).sum()

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Random weights; and the gradient, which must be that of the parabola."""
        for _ in range(8):
            shape = (whole_number(draw, 2, 5), whole_number(draw, 2, 5))
            weights, anchors = (torch.randn(shape, generator=draw) for _ in range(2))
            fisher = torch.rand(shape, generator=draw) + 0.1
            strength = 1 + 9 * torch.rand((), generator=draw).item()
            weights.requires_grad_()
            value = answer(weights, anchors, fisher, strength)
            got = require_number(value.detach() if isinstance(value, torch.Tensor) else value, "It")
            moved = (weights - anchors).detach()
            want = float(self.solution(weights.detach(), anchors, fisher, strength))
            half = strength / 2
            slips = {
                "The half is missing.": 2 * want,
                "The distance is not squared.": half * float((fisher * moved).sum()),
                "All weights are held alike: F is missing.": half * float((moved**2).sum()),
                "This is the distance from zero, which is weight decay. Take it from the "
                "anchors.": half * float((fisher * weights.detach() ** 2).sum()),
                "F must not be squared, only the distance.": half
                * float(((fisher * moved) ** 2).sum()),
                "This is the mean over the weights. Take the sum.": want / moved.numel(),
            }
            for words, slip in slips.items():
                require(not near(got, slip), words)
            require(near(got, want), f"It should be {want:.4f}, yours is {got:.4f}.")
            require(
                isinstance(value, torch.Tensor) and value.requires_grad,
                "The value is right, but it has no gradient: compute it with tensors all the way.",
            )
