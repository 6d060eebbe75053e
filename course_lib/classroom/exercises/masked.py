"""The exercises of notebook 01."""

import math
from collections.abc import Callable
from typing import Any

import torch

from course_lib.classroom.exercises.base import (
    Exercise,
    WrongError,
    near,
    require,
    require_number,
    require_tensor,
)

MASK_ID = 4
VOCAB_SIZE = 1000
ROWS, LENGTH = 128, 256


class MaskTokens(Exercise):
    """BERT's masking by hand (Devlin et al. 2019, section 3.1)."""

    name = "mask-tokens"
    function = "mask"
    notebook = "01_masked_language_modeling"
    prompt = """
    Write `mask(ids, special, generator)`, BERT's masking. `ids` holds token ids, `[batch, length]`;
    `special` is True where a token must never be chosen. Return `(inputs, labels)`:

    - choose 15 % of the tokens that are not special, each on its own;
    - `labels`: the original id where chosen, -100 elsewhere;
    - `inputs`: of the chosen, 80 % become `MASK_ID`, 10 % a random id below `VOCAB_SIZE`, 10 % stay
      as they are; all others stay as they are.

    `MASK_ID` is 4 and `VOCAB_SIZE` is 1000. Leave `ids` itself unchanged and draw everything from
    `generator`.
    """
    hint = """
    `torch.rand(ids.shape, generator=generator)` gives one number between 0 and 1 for each token.
    A first such tensor decides *whether* a token is chosen (`< 0.15`). A second, fresh one decides
    *what becomes of it*: below 0.8 the mask, from 0.8 to 0.9 a random id. `torch.where(condition,
    a, b)` picks without a loop.
    """
    praise = "Right: 15 % chosen, 80/10/10 among them, and the same generator gives the same masks."

    @staticmethod
    def solution(
        ids: torch.Tensor, special: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Choose 15 %, then decide the fate of each chosen token with a second draw."""
        chosen = (torch.rand(ids.shape, generator=generator) < 0.15) & ~special
        labels = torch.where(chosen, ids, -100)

        fate = torch.rand(ids.shape, generator=generator)
        random_ids = torch.randint(VOCAB_SIZE, ids.shape, generator=generator)
        inputs = torch.where(chosen & (fate < 0.8), MASK_ID, ids)
        inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), random_ids, inputs)
        return inputs, labels

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Shapes, specials, labels, rate, split, and randomness from the generator alone."""
        ids = torch.randint(5, VOCAB_SIZE, (ROWS, LENGTH), generator=draw)
        special = torch.rand(ids.shape, generator=draw) < 0.1
        seed = int(torch.randint(2**31, (), generator=draw))

        def ask(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
            given = ids.clone()
            pair = answer(given, special.clone(), torch.Generator().manual_seed(seed))
            require(
                torch.equal(given, ids),
                "Your function changed `ids` itself. Work on a copy (`ids.clone()`) or use "
                "`torch.where`: the labels need the original.",
            )
            require(isinstance(pair, tuple | list) and len(pair) == 2, "Return (inputs, labels).")
            return tuple(
                require_tensor(part, ids.shape, f"`{what}`")
                for part, what in zip(pair, ("inputs", "labels"), strict=True)
            )

        inputs, labels = ask(seed)
        chosen = labels != -100
        _check_labels(ids, special, inputs, labels, chosen)
        _check_rate(chosen, special)
        _check_split(ids, inputs, chosen)
        again = ask(seed)
        require(
            torch.equal(inputs, again[0]) and torch.equal(labels, again[1]),
            "The same generator state gave two different results. Hand `generator=generator` to "
            "every random call.",
        )
        require(
            not torch.equal(labels, ask(seed + 1)[1]),
            "Two different seeds chose the same tokens: nothing comes from `generator`.",
        )


def _check_labels(ids, special, inputs, labels, chosen) -> None:
    require(chosen.any(), "No token was chosen: every label is -100.")
    require(
        not chosen.all(),
        "Every position has a label. Only the chosen ones carry a target; the others get -100, "
        "which the loss skips.",
    )
    require(
        torch.equal(labels[chosen], ids[chosen]),
        "A label should be the *original* id; yours hold something else (the masked input?).",
    )
    require(
        not (chosen & special).any(),
        f"{int((chosen & special).sum())} special tokens were chosen. Exclude them with "
        "`& ~special`.",
    )
    require(
        torch.equal(inputs[~chosen], ids[~chosen]),
        "Tokens that were not chosen changed in `inputs`, or a changed token has no label.",
    )


def _check_rate(chosen: torch.Tensor, special: torch.Tensor) -> None:
    candidates = int((~special).sum())
    share = int(chosen.sum()) / candidates
    require(
        _near(share, 0.15, candidates),
        f"You chose {share:.1%} of the tokens that may be chosen; it should be 15 %.",
    )


def _check_split(ids: torch.Tensor, inputs: torch.Tensor, chosen: torch.Tensor) -> None:
    count = int(chosen.sum())
    before, after = ids[chosen], inputs[chosen]
    masked = after == MASK_ID
    kept = after == before
    other = after[~masked & ~kept]
    shares = [float(masked.float().mean()), len(other) / count, float(kept.float().mean())]
    require(
        all(_near(s, target, count) for s, target in zip(shares, (0.8, 0.1, 0.1), strict=True)),
        f"Of the chosen tokens, {shares[0]:.0%} became the mask, {shares[1]:.0%} a random id, "
        f"{shares[2]:.0%} stayed; it should be 80, 10 and 10 %. Is the second draw a fresh one, "
        "and are these shares of *the chosen*?",
    )
    distinct = other.unique()
    wide = len(distinct) > len(other) / 4 and int(other.max()) > 0.9 * VOCAB_SIZE
    require(
        wide and int(other.min()) >= 0 and int(other.max()) < VOCAB_SIZE,
        f"The random ids should be drawn for each token, from all of 0 to {VOCAB_SIZE - 1}; yours "
        f"take {len(distinct)} values between {int(other.min())} and {int(other.max())}.",
    )


def _near(share: float, target: float, count: int) -> bool:
    """Within six standard errors: a right answer fails once in half a billion checks."""
    return abs(share - target) < 6 * math.sqrt(target * (1 - target) / count) + 0.002


class UnigramLoss(Exercise):
    """The loss of a model that knows only how often each token occurs."""

    name = "unigram-loss"
    function = "unigram_loss"
    notebook = "01_masked_language_modeling"
    prompt = """
    The simplest language model predicts every token by its frequency. Write
    `unigram_loss(counts, held_out)`: `counts` is a tensor `[vocabulary]`, how often each token id
    occurs in the training text; `held_out` a tensor `[n]` of token ids of new text. With add-one
    smoothing the model gives token i the probability (count of i + 1) / (all counts + vocabulary).
    Return its mean loss on `held_out` in nats per token.
    """
    hint = """
    Three steps: probabilities from `counts` (they sum to 1), the probability of each held-out token
    (`probabilities[held_out]`), minus the mean of its natural logarithm.
    """
    praise = "Right. A trained model must get below this number to have learned about context."

    @staticmethod
    def solution(counts: torch.Tensor, held_out: torch.Tensor) -> float:
        """Minus the mean log of the smoothed frequencies."""
        probabilities = (counts + 1) / (counts.sum() + len(counts))
        return float(-probabilities[held_out].log().mean())

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Random counts with unseen tokens; each common slip is recognised by its number."""
        for _ in range(5):
            size = int(torch.randint(20, 60, (), generator=draw))
            train = (torch.rand(400, generator=draw) ** 3 * (size - 5)).long()
            counts = torch.bincount(train, minlength=size)
            held_out = torch.randint(size, (90,), generator=draw)
            got = require_number(answer(counts.clone(), held_out.clone()), "The loss")
            _explain_unigram(got, counts, held_out)


def _explain_unigram(got: float, counts: torch.Tensor, held_out: torch.Tensor) -> None:
    want, total, size = UnigramLoss.solution(counts, held_out), counts.sum(), len(counts)
    if near(got, want):
        return
    partly = float(-((counts + 1) / total)[held_out].log().mean())
    slips = [
        (-want, "The sign is turned: a loss is *minus* the log probability."),
        (want / math.log(2), "That is in bits. For nats take the natural logarithm."),
        (want * len(held_out), "That is the sum over tokens; divide by their number."),
        (partly, "Your probabilities do not sum to 1: adding 1 to each of the counts adds the "
                 "vocabulary's size to their total."),
    ]  # fmt: skip
    for value, words in slips:
        require(not near(got, value), words)
    require(
        math.isfinite(got),
        "The loss is not finite: a token that training never saw got probability 0. Add one to "
        "every count.",
    )
    raise WrongError(f"With {size} token types the loss should be {want:.4f} nats, not {got:.4f}.")


class MacroF1(Exercise):
    """Macro F1 from scratch; the conventions of scikit-learn's `f1_score`, zero_division=0."""

    name = "macro-f1"
    function = "macro_f1"
    notebook = "01_masked_language_modeling"
    prompt = """
    Write `macro_f1(expected, predicted)` for two lists of labels, without scikit-learn. For each
    label that occurs in *either* list, F1 is 2 TP / (2 TP + FP + FN): TP counts the places where
    both lists have the label, FP those where only `predicted` has it, FN those where only
    `expected` has it. Macro F1 is the plain mean over these labels.
    """
    hint = """
    Loop over `set(expected) | set(predicted)`. `zip(expected, predicted)` walks both lists; a label
    that is never right has TP = 0 and so F1 = 0, which counts in the mean like any other.
    """
    praise = "Right, and equal to scikit-learn's. A rare label weighs as much as a frequent one."

    @staticmethod
    def solution(expected: list, predicted: list) -> float:
        """The mean over labels of 2 TP / (2 TP + FP + FN)."""
        labels = set(expected) | set(predicted)
        total = 0.0
        for label in labels:
            pairs = [(e == label, p == label) for e, p in zip(expected, predicted, strict=True)]
            tp = pairs.count((True, True))
            fp = pairs.count((False, True))
            fn = pairs.count((True, False))
            total += 2 * tp / (2 * tp + fp + fn)
        return total / len(labels)

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Against scikit-learn on unbalanced labels, one of them predicted but never expected."""
        from sklearn.metrics import f1_score

        names = ["up", "down", "flat", "mixed"]
        for _ in range(10):
            expected = (torch.rand(60, generator=draw) ** 2 * 3).long().tolist()
            noise = torch.randint(4, (60,), generator=draw).tolist()
            swap = (torch.rand(60, generator=draw) < 0.4).tolist()
            guess = [n if s else e for e, n, s in zip(expected, noise, swap, strict=True)]
            guess[0] = 3  # a label that is never expected
            pair = [names[i] for i in expected], [names[i] for i in guess]
            got = require_number(answer(*(list(part) for part in pair)), "Macro F1")
            want = f1_score(*pair, average="macro", zero_division=0)
            if not near(got, want):
                _explain_f1(got, want, *pair)
        _expect(answer, ["a", "b"], ["a", "b"], 1.0, "every prediction is right")
        _expect(answer, ["a", "a"], ["b", "b"], 0.0, "no prediction is right")


def _explain_f1(got: float, want: float, expected: list, predicted: list) -> None:
    from sklearn.metrics import f1_score

    only = sorted(set(expected))
    slips = [
        (f1_score(expected, predicted, average="micro"),
         "That is the accuracy (for single labels also micro F1). Macro averages over labels."),
        (f1_score(expected, predicted, average="weighted", zero_division=0),
         "That is weighted by how often a label is expected; macro gives every label one voice."),
        (f1_score(expected, predicted, labels=only, average="macro"),
         "You leave out a label that was predicted but never expected: its F1 is 0 and counts."),
    ]  # fmt: skip
    for value, words in slips:
        require(not near(got, value), words)
    raise WrongError(f"Macro F1 should be {want:.4f} here (scikit-learn agrees), not {got:.4f}.")


def _expect(answer: Callable, expected: list, predicted: list, want: float, when: str) -> None:
    got = require_number(answer(expected, predicted), "Macro F1")
    require(abs(got - want) < 1e-9, f"When {when}, macro F1 is {want:g}; yours is {got:g}.")
