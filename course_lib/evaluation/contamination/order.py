"""Does a model prefer a list in the order in which it was published? Then it has read it so.

Whoever has not read a benchmark has no reason to expect its items in one order rather than another,
as long as its authors put them in no order themselves. Whoever has read it may (Oren et al. 2024,
arXiv:2310.17623). So the canonical order is one of many that are as good, and a test by permutation
asks how often another comes out at least as likely. Its p-value needs no assumption on the model.

The assumption it does need is about the list: *exchangeable*, in no order of its own. Answers that
are sorted ("1990, 1995, 2001"), "none of the above" at the end, questions that grow harder, or that
follow a text in order are not; there a small p says that the model noticed, not that it has read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import BeforeValidator, Field
from torch import nn
from transformers import PreTrainedTokenizerBase

from course_lib.evaluation.likelihood.losses import document_losses
from course_lib.models import require_kind
from course_lib.runtime import generator, progress
from course_lib.runtime.checks import BadArgumentError, Count, SomeTexts, Whole, checked


def _as_table(value: Any) -> np.ndarray:
    try:
        table = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError("give rows of numbers, all of one length") from None
    if table.ndim != 2 or not len(table) or table.shape[1] < 2:
        raise ValueError("give rows of at least two numbers: the canonical order, then the others")
    if not np.isfinite(table).all():
        raise ValueError("some are nan or infinite: look at the model before testing")
    return table


Table = Annotated[np.ndarray, BeforeValidator(_as_table)]
AtLeastTwo = Annotated[Count, Field(ge=2)]


@dataclass(frozen=True)
class OrderTest:
    """How likely a model finds the canonical order, and others.

    Attributes:
        log_probs: nats, [lists, 1 + shuffles]; column 0 is the canonical order.
        p_value: `order_p_value` of these.
    """

    log_probs: np.ndarray
    p_value: float

    @property
    def gains(self) -> np.ndarray:
        """Of each list, the nats by which the canonical order is likelier than the mean shuffle."""
        return self.log_probs[:, 0] - self.log_probs[:, 1:].mean(axis=1)


@checked
def order_p_value(log_probs: Table) -> float:
    """P-value of "the canonical order is no likelier than another", from [lists, 1 + shuffles].

    Column 0 has the log-probabilities of the canonical orders, the others those of orders drawn at
    random, each list by itself. The sum of a column is what the model gives to a whole benchmark
    whose lists were shuffled. If the canonical order is one at random too, its sum is as likely to
    stand at any place among the sums, and p is the share of sums that are at least as high, itself
    among them: exact, and never below 1 / (1 + shuffles).

    Raises:
        BadArgumentError: no rows, fewer than two columns, or a number that is not finite.
    """
    sums = log_probs.sum(axis=0)
    return float((sums >= sums[0]).mean())


@checked
def order_of_items(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    items: SomeTexts,
    together: AtLeastTwo = 8,
    shuffles: Count = 99,
    seed: Whole = 0,
) -> OrderTest:
    """Test whether a causal model expects the items of a benchmark in their order.

    The items are cut into lists of `together` neighbours, a line each, which are shuffled within.
    Orders are compared within a list because a model reads only so far: choose `together` so that a
    list fits its context. One list takes 1 + `shuffles` looks, at most as many as it has orders.

    Oren et al. cut the benchmark into shards too. Their code takes a t-test over `gains`, which can
    give a smaller p than 1 / (1 + shuffles) and is right only for many shards; this one is exact.

    Raises:
        CourseError: the model is not causal, or the tokenizer another model's.
        BadArgumentError: fewer than two items, `together` below 2, or a count below 1.
    """
    if len(items) < 2:
        raise BadArgumentError("items has one text: an order takes at least two.")
    lists = [items[start : start + together] for start in range(0, len(items), together)]
    # A single text left over has one order only, and would tell nothing.
    lists = [listed for listed in lists if len(listed) > 1]
    return _test(model, tokenizer, lists, lambda _, parts: "\n".join(parts), shuffles, seed)


@checked
def order_of_choices(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    questions: SomeTexts,
    choices: list[SomeTexts],
    shuffles: Count = 99,
    seed: Whole = 0,
) -> OrderTest:
    """Test whether a causal model expects the choices of multiple-choice questions in their order.

    The same test with the choices of a question as the list. They are written as benchmarks write
    them, with letters that stay where they are: the question, then "A. Paris", "B. Rome", a line
    each. The order of four choices can be 24; each is looked at once, however many shuffles.

    Args:
        choices: for each question its choices in the order in which they were published.

    Raises:
        CourseError: the model is not causal, or the tokenizer another model's.
        BadArgumentError: not as many lists of choices as questions, a question with fewer than two
            choices or more than 26, or a count below 1.
    """
    if len(choices) != len(questions):
        raise BadArgumentError(
            f"{len(questions)} questions and {len(choices)} lists of choices: give one for each."
        )
    for number, listed in enumerate(choices):
        if not 2 <= len(listed) <= len(ascii_uppercase):
            raise BadArgumentError(
                f"Question {number} has {len(listed)} choice(s): an order takes 2 to 26."
            )

    def write(number: int, parts: Sequence[str]) -> str:
        lettered = (f"{letter}. {part}" for letter, part in zip(ascii_uppercase, parts))  # noqa: B905
        return "\n".join([questions[number], *lettered])

    return _test(model, tokenizer, choices, write, shuffles, seed)


def _test(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    lists: Sequence[Sequence[str]],
    write: Callable[[int, Sequence[str]], str],
    shuffles: int,
    seed: int,
) -> OrderTest:
    """Score the canonical and the shuffled orders of each list, one that comes twice but once."""
    require_kind(model, "causal", "the test by order", tokenizer)
    table = np.zeros((len(lists), 1 + shuffles))
    for number, listed in enumerate(progress(lists, desc="Scoring orders")):
        draw = generator(seed, "order", number)
        texts = [write(number, listed)]
        for _ in range(shuffles):
            order = torch.randperm(len(listed), generator=draw).tolist()
            texts.append(write(number, [listed[place] for place in order]))
        once = list(dict.fromkeys(texts))
        nats = dict(zip(once, document_losses(model, tokenizer, once)["nats"], strict=True))
        table[number] = [-nats[text] for text in texts]
    return OrderTest(table, order_p_value(table))
