"""The exercises of notebook 04."""

import math
from collections.abc import Callable
from typing import Any

import torch

from course_lib.classroom.exercises.base import Exercise, near, require, require_number

WORDS = ("mat", "rug", "nest", "hill", "sty", "pond", "barn", "roof")
GAP = "{}"


class EqualPrice(Exercise):
    """Training steps that a budget of FLOPs pays for."""

    name = "equal-price"
    function = "affordable_steps"
    notebook = "04_objectives_compared"
    prompt = """
    Write `affordable_steps(budget, width, layers, vocab, tokens, targets)`: how many whole steps of
    training a budget of FLOPs pays for. A step pushes `tokens` tokens through the layers and
    `targets` of them through the vocabulary layer. A layer has `12 * width**2` weights (four
    attention projections, two feed-forward matrices four times as wide), the vocabulary layer
    `vocab * width`. Each weight costs each position that passes it 2 FLOPs, and the backward pass
    twice as much as the forward pass. Attention scores, norms and biases are left out.
    """
    hint = """
    Forward: `2 * (12 * layers * width**2 * tokens + vocab * width * targets)`. With the backward
    pass three times that. Whole steps: `//`.
    """
    praise = (
        "Right: the same budget buys a masked model more steps, since it scores fewer positions."
    )

    @staticmethod
    def solution(
        budget: float, width: int, layers: int, vocab: int, tokens: int, targets: int
    ) -> int:
        """The budget over three times the forward pass, rounded down."""
        forward = 2 * (12 * layers * width**2 * tokens + vocab * width * targets)
        return budget // (3 * forward)

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Random shapes, with 15 % targets and with all."""
        for share in (0.15, 1.0):
            width, layers = (int(torch.randint(2, 9, (), generator=draw)) for _ in range(2))
            shape = {"width": 16 * width, "layers": layers, "vocab": 1000 + 8 * width}
            tokens = 1000 + 20 * int(torch.randint(5, 60, (), generator=draw))
            shape |= {"tokens": tokens, "targets": round(share * tokens)}
            steps = 1000 + int(torch.randint(2000, (), generator=draw))
            budget = (steps + 0.4) * self._step(**shape)
            got = require_number(answer(budget, *shape.values()), "The number of steps")
            self._explain(got, budget, shape)

    def _step(self, width: int, layers: int, vocab: int, tokens: int, targets: int) -> int:
        return 6 * (12 * layers * width**2 * tokens + vocab * width * targets)

    def _explain(self, got: float, budget: float, shape: dict[str, int]) -> None:
        step = self._step(**shape)
        want = budget // step
        if got == want:
            return
        require(not want < got <= want + 1, f"{budget / step:.1f} steps are {want:g} whole ones: "
                                            "round down (`//`).")  # fmt: skip
        slips = [
            (step / 3, "That is the price of the forward pass alone. The backward pass costs twice "
                       "as much again."),
            (step / 2, "Each weight costs 2 FLOPs a position: a multiplication and an addition."),
            (self._step(**shape | {"targets": shape["tokens"]}),
             "You push all tokens through the vocabulary layer; only the targets need it."),
            (self._step(**shape | {"targets": 0}), "The vocabulary layer is missing. At this size "
                                                   "it is a large part of the price."),
            (self._step(**shape | {"tokens": shape["targets"]}),
             "You push only the targets through the layers. The model reads all tokens."),
            (self._step(**shape | {"layers": 1}), "You count one layer only."),
        ]  # fmt: skip
        for price, words in slips:
            require(not abs(got - budget / price) <= 1, words)
        require(False, f"{shape}: {budget:.4g} FLOPs pay for {want:g} steps, you say {got:g}.")


class GapByWholeText(Exercise):
    """A gap filled by a model that only knows how likely whole texts are."""

    name = "gap-by-whole-text"
    function = "gap_odds"
    notebook = "04_objectives_compared"
    prompt = """
    A causal model cannot be asked about a gap, but it can say how likely a whole text is. Write
    `gap_odds(log_prob, text, candidates)`: `log_prob(text)` gives the log-probability of a text in
    nats, the gap in `text` is written `{}`, and `candidates` is a list of words. Return a list with
    the probability of each candidate, given the rest of the text and that it is one of them.
    """
    hint = """
    Bayes: p(word | rest) is p(text with that word), divided by the sum over all candidates. Put
    each word in with `text.replace("{}", word)`. Log-probabilities of long texts are very negative
    and `exp` of them is 0: subtract the largest first, or use `torch.softmax`.
    """
    praise = "Right: with a look for each candidate, a left-to-right model sees both sides."

    @staticmethod
    def solution(log_prob, text: str, candidates: list[str]) -> list[float]:
        """Softmax of the log-probabilities of the filled texts."""
        scores = [log_prob(text.replace("{}", word)) for word in candidates]
        return torch.tensor(scores).softmax(0).tolist()

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """A model that likes some words on the left and others on the right of a gap."""
        for base in (-20.0, -1000.0):
            words = [WORDS[i] for i in torch.randperm(len(WORDS), generator=draw)[:4].tolist()]
            left, right = torch.randn(2, 4, generator=draw, dtype=torch.float64).mul(2).tolist()
            text = f"The cat sat on the {GAP}, and nobody was angry."
            tables = dict(zip(words, left, strict=True)), dict(zip(words, right, strict=True))
            asked: list[str] = []

            def log_prob(sentence: str, tables=tables, base=base, asked=asked) -> float:
                asked.append(sentence)
                found = next((word for word in tables[0] if f" {word}" in sentence), None)
                score = base + (tables[0][found] if found else 0.0)
                return score + (tables[1][found] if found and "angry" in sentence else 0.0)

            got = answer(log_prob, text, list(words))
            require(isinstance(got, list | tuple) or hasattr(got, "tolist"), "Return a list.")
            got = [require_number(value, "A probability") for value in got]
            require(len(got) == 4, f"4 candidates, but {len(got)} numbers: one for each, in order.")
            self._explain(got, left, right, asked)

    def _explain(
        self, got: list[float], left: list[float], right: list[float], asked: list[str]
    ) -> None:
        require(
            not any(GAP in sentence for sentence in asked),
            "You asked for the probability of a text that still has `{}` in it: fill it first.",
        )
        require(
            all(math.isfinite(value) for value in got),
            "Not all are finite. `exp` of a very negative number is 0, and 0/0 is nan: subtract "
            "the largest log-probability first.",
        )
        both = torch.tensor([a + b for a, b in zip(left, right, strict=True)])
        want = both.softmax(0).tolist()
        slips = [
            (torch.tensor(left).softmax(0).tolist(), "These look at the text up to the gap only. "
                                                     "The right side is evidence, too."),
            ((-both).softmax(0).tolist(), "The sign is turned: the likeliest text should win."),
            (both.log_softmax(0).tolist(), "These are log-probabilities; take `exp` of them."),
        ]  # fmt: skip
        for values, words in slips:
            require(not _close(got, values), words)
        require(min(got) >= 0, "Some are negative: a log-probability is not a probability yet.")
        require(
            near(sum(got), 1),
            f"They sum to {sum(got):.3g}. One of the candidates is right: divide by their sum.",
        )
        require(
            _close(got, want),
            "They sum to 1 but are not p(text with the word) over the sum of all: compare the "
            "ratio of two of them with exp(the difference of their log-probabilities).",
        )


def _close(got: list[float], want: list[float]) -> bool:
    # float32 keeps a log-probability near -1000 to four digits behind the point only.
    return all(math.isclose(a, b, rel_tol=1e-3) for a, b in zip(got, want, strict=True))


class PseudoEntropy(Exercise):
    """What a perfect masked model's loss is, and that it is not the entropy."""

    name = "pseudo-entropy"
    function = "perfect_losses"
    notebook = "04_objectives_compared"
    prompt = """
    A text has two tokens. `joint` is a tensor `[V, V]`: the probability of first token i and second
    token j. Write `perfect_losses(joint)`; it returns two numbers in nats per text: what a perfect
    *causal* model loses (the first token, then the second given the first), and what a perfect
    *masked* model loses (each token given the other one, the two added up). No entry is 0.
    """
    hint = """
    Causal: the chain rule gives `-(joint * joint.log()).sum()`, the entropy. Masked:
    p(first | second) is `joint / joint.sum(0, keepdim=True)`, p(second | first)
    `joint / joint.sum(1, keepdim=True)`. Each loss is the mean of -log p under `joint`.
    """
    praise = (
        "Right: what the two tokens share is asked for twice and each time the answer stands next "
        "to it. So the masked loss lies below the entropy, and it is no probability of the text."
    )

    @staticmethod
    def solution(joint: torch.Tensor) -> tuple[float, float]:
        """The entropy, and the sum of both conditional entropies."""
        causal = -(joint * joint.log()).sum()
        first = joint / joint.sum(0, keepdim=True)
        second = joint / joint.sum(1, keepdim=True)
        masked = -(joint * (first.log() + second.log())).sum()
        return float(causal), float(masked)

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Random tables in which the two tokens depend on each other."""
        for size in (2, 3, 5):
            weights = torch.rand(size, size, generator=draw, dtype=torch.float64) + 0.05
            weights += 2 * torch.eye(size, dtype=torch.float64)
            weights *= 1 + torch.arange(size)[:, None]
            joint = weights / weights.sum()
            pair = answer(joint.clone())
            require(isinstance(pair, tuple | list) and len(pair) == 2, "Return (causal, masked).")
            causal, masked = (require_number(value, "A loss") for value in pair)
            self._explain(causal, masked, joint)

    def _explain(self, causal: float, masked: float, joint: torch.Tensor) -> None:
        want, pseudo = self.solution(joint)
        first, second = (_entropy(joint.sum(dim)) for dim in (1, 0))
        require(not near(causal, want / math.log(2)), "The causal loss is in bits: use `log`.")
        require(not near(causal, first + second), "Causal: these are two tokens that know nothing "
                "of each other. The second is predicted from the first.")  # fmt: skip
        require(
            not near(causal, -want), "The causal loss is negative: a loss is *minus* a mean log."
        )
        require(
            near(causal, want), f"A perfect causal model loses {want:.4f} nats, not {causal:.4f}."
        )
        slips = [
            (want, "The masked loss is not the entropy: when the first token is asked for, the "
                   "second is there to be seen, and the other way round."),
            (first + second, "Masked: each token is given the *other* one, so do not use the "
                             "tokens' own frequencies."),
            (want - second, "That is the first token's part. The second is masked in its turn."),
            (want - first, "That is the second token's part. The first is masked in its turn."),
            (pseudo / 2, "You divided by the two tokens; the sum per text is asked for."),
        ]  # fmt: skip
        for value, words in slips:
            require(not near(masked, value), words)
        require(near(masked, pseudo), f"A perfect masked model loses {pseudo:.4f} nats, not "
                                      f"{masked:.4f}.")  # fmt: skip


def _entropy(probabilities: torch.Tensor) -> float:
    return float(-(probabilities * probabilities.log()).sum())
