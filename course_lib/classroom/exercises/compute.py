"""The exercises of notebook 05."""

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
from course_lib.compute import from_petaflops_days, six_nd

SECONDS_PER_DAY = 24 * 60 * 60


def _refuse(got: float, slips: dict[str, float]) -> None:
    """Name the slip whose result this is."""
    for words, value in slips.items():
        require(not near(got, value), words)


class LayerFlops(Exercise):
    """The operations of one layer of a GPT (Kaplan et al. 2020, table 1)."""

    name = "layer-flops"
    function = "layer_flops"
    notebook = "05_compute"
    prompt = """
    Write `layer_flops(width, inner, length)`: the FLOPs of the forward pass of one GPT layer on
    one row of `length` tokens, two for each multiply-add.

    - Four projections (queries, keys, values, output), each from `width` to `width`.
    - Two feed-forward matrices, from `width` to `inner` and back.
    - Attention between positions: `length` queries with `length` keys, `width` numbers each (all
      heads together), then as many weights times values. What the causal mask hides is computed
      and thrown away.
    """
    hint = """
    An (m × k) matrix times a (k × n) matrix takes 2mkn FLOPs. A projection of the row is
    (`length` × `width`) times (`width` × `width`). The scores are (`length` × `width`) times
    (`width` × `length`), and the weighted values (`length` × `length`) times
    (`length` × `width`).
    """
    praise = "Right. Only the attention between positions grows with the square of the length."

    @staticmethod
    def solution(width: int, inner: int, length: int) -> int:
        """Projections, feed-forward, attention between positions."""
        projections = 4 * 2 * length * width * width
        feed_forward = 2 * 2 * length * width * inner
        scores_and_values = 2 * 2 * length * length * width
        return projections + feed_forward + scores_and_values

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Odd sizes, so that no two slips meet."""
        for _ in range(10):
            width, length = 2 * whole_number(draw, 20, 200) + 1, 2 * whole_number(draw, 20, 200)
            inner = 3 * width + whole_number(draw, 1, width)
            got = require_number(answer(width, inner, length), "The count")
            square, both = 2 * length * width**2, 4 * length * width * inner
            pairs = 4 * length**2 * width
            want = 4 * square + both + pairs
            _refuse(
                got,
                {
                    "You count a multiplication and the addition behind it as one. They are two "
                    "operations.": want / 2,
                    "Attention between positions is missing: scores and weighted values.": want
                    - pairs,
                    "You have the scores, but not the products of weights and values.": want
                    - pairs / 2,
                    "This is for one token. A row has `length` of them.": want / length,
                    "Each of `length` queries meets `length` keys: attention grows with the "
                    "square of the length.": 4 * square + both + pairs / length,
                    "One projection is missing: after queries, keys and values comes the "
                    "output.": want - square,
                    "There are two feed-forward matrices, up and down again.": want - both / 2,
                    "This is forward and backward. The forward pass alone was asked for.": 3 * want,
                    "The mask hides half of the scores, but they are computed all the same.": want
                    - pairs / 2
                    + 2 * length * width,
                },
            )
            require(
                near(got, want),
                f"width {width}, inner {inner}, length {length}: {want:,} FLOPs, you say "
                f"{got:,.0f}. Add up 2mkn over the products.",
            )


class PetaflopsDays(Exercise):
    """From parameters and tokens to petaFLOP/s-days."""

    name = "petaflops-days"
    function = "petaflops_days"
    notebook = "05_compute"
    prompt = """
    Write `petaflops_days(parameters, tokens)`: the training of a model in petaFLOP/s-days, by six
    operations a parameter and token. One petaFLOP/s-day is 10^15 operations a second, for a day.
    """
    hint = """
    How many operations does the training take? How many are in one petaFLOP/s-day: 10^15 times the
    seconds of a day? Then divide. GPT-3 (174.6e9 parameters, 300e9 tokens) comes to about 3,640.
    """
    praise = "Right. Now you can read the compute column of any paper."

    @staticmethod
    def solution(parameters: float, tokens: float) -> float:
        """6ND over the operations in one petaFLOP/s-day."""
        return 6 * parameters * tokens / (1e15 * 24 * 60 * 60)

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Sizes from 10 million parameters to 100 billion."""
        for _ in range(10):
            parameters = whole_number(draw, 10, 10_000) * 1e7
            tokens = whole_number(draw, 1, 2000) * 1e9
            got = require_number(answer(parameters, tokens), "The answer")
            flops = six_nd(parameters, tokens)
            want = flops / from_petaflops_days(1)
            _refuse(
                got,
                {
                    "Two operations a parameter and token are the forward pass alone. Backward "
                    "takes four more.": want / 3,
                    "These are FLOPs. How many of them make a petaFLOP/s-day?": flops,
                    "You divided by 10^15. That leaves the *seconds* a petaFLOP/s machine needs; "
                    "a day has 86,400.": want * SECONDS_PER_DAY,
                    "Your day has 3,600 seconds. That is an hour.": want * 24,
                    "Tera is 10^12. Peta is 10^15.": want * 1000,
                    "Exa is 10^18. Peta is 10^15.": want / 1000,
                },
            )
            require(
                near(got, want),
                f"{parameters:.3g} parameters, {tokens:.3g} tokens: {flops:.4g} FLOPs, which is "
                f"{want:.4g} petaFLOP/s-days. You say {got:.4g}.",
            )


class Utilisation(Exercise):
    """Model FLOPs utilisation from throughput (Chowdhery et al. 2022, section 4.1)."""

    name = "utilisation"
    function = "my_utilisation"
    notebook = "05_compute"
    prompt = """
    A cluster reads `tokens_per_second` tokens a second, all cards together, while it trains a model
    with `parameters` parameters. Write
    `my_utilisation(parameters, tokens_per_second, cards, peak_teraflops)`: the share of the cards'
    peak that training uses, from 0 to 1. `peak_teraflops` is the peak of *one* card in teraFLOP/s
    (10^12 a second). Count six operations a parameter and token.
    """
    hint = """
    What the model needs in a second, over what the hardware could do in a second. LLaMA-65B:
    65.2e9 parameters, 2048 cards of 312 teraFLOP/s, 380 tokens a second *and card*; that is 0.48.
    """
    praise = "Right. Hold published runs against that, and your own."

    @staticmethod
    def solution(
        parameters: float, tokens_per_second: float, cards: int, peak_teraflops: float
    ) -> float:
        """Needed over possible, per second."""
        return 6 * parameters * tokens_per_second / (cards * peak_teraflops * 1e12)

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Clusters between a tenth and six tenths of their peak."""
        for _ in range(10):
            parameters, cards = whole_number(draw, 1, 200) * 1e9, 2 * whole_number(draw, 2, 1000)
            peak = whole_number(draw, 100, 1000)
            share = whole_number(draw, 100, 600) / 1000
            tokens = share * cards * peak * 1e12 / (6 * parameters)
            got = require_number(answer(parameters, tokens, cards, peak), "The share")
            _refuse(
                got,
                {
                    "That is in percent. A share lies between 0 and 1.": 100 * share,
                    "You held the whole cluster against the peak of one card.": share * cards,
                    "The tokens are those of all cards together already.": share * cards**2,
                    "Two operations a parameter and token are the forward pass alone.": share / 3,
                    "A teraFLOP/s is 10^12 FLOP/s: the peak is in another unit than your "
                    "count.": share * 1e12,
                    "Tera is 10^12, not 10^15.": share / 1000,
                    "Upside down: what was used over what was possible.": 1 / share,
                },
            )
            require(
                near(got, share),
                f"{parameters:.3g} parameters, {tokens:.4g} tokens a second, {cards} cards of "
                f"{peak} teraFLOP/s: a share of {share:.3f}, you say {got:.4g}.",
            )
