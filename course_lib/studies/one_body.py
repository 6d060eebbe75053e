"""One body for two objectives: what is toggled is the attention mask and the loss, nothing else.

The body is pre-norm, with rotary positions and gated feed-forward layers: the `Llama` classes of
transformers, a few hundred thousand weights (Gisserot-Boukhlef et al. 2025 trained such bodies of
210 million to 1 billion). A GPT-2 body under the same two masks was tried first (seed 77, 384
steps): its learned positions keep a masked model on a plateau, a loss of 4.10 nats where this body
had 2.44. That is a difference between bodies, and would have passed for one between objectives.

A branch of a run costs its last fifth only. Warm-up, then a flat rate, then down to zero in the
last fifth (warmup-stable-decay, Hu et al. 2024): runs of one seed at five prices share all that
comes before each goes down, and `prices_of` walks along that trunk once. What it gives at a price
is, weight for weight, what a run of that price alone would have given.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from course_lib.corpora import tokenizer_for
from course_lib.corpora.blocks import Blocks, blocks
from course_lib.objectives import make_objective
from course_lib.objectives.loss import count_targets, summed_loss, to_device
from course_lib.runtime import seed_of
from course_lib.training import Optimization
from course_lib.training.data import Batches
from course_lib.training.optimizer import DECAY_SHARE, learning_rate_at, make_optimizers

CORPUS = "world-tone"
VOCABULARY = 2048
WIDTH, LAYERS, HEADS = 64, 2, 4
FEED_FORWARD = 8 * WIDTH // 3  # three matrices of this size for the two of a classic layer
LENGTH, BATCH = 96, 16
RATE = 0.3  # of the tokens are hidden, as in notebook 01
DOCUMENTS = 72_000  # more than any run reads, so no row is seen twice
OBJECTIVES = ("masked", "causal")
ARMS = ("masked", "causal", "causal then masked")

UNIT = 1e11  # FLOPs: about three seconds of one core
PRICES = (2, 4, 8, 16, 32)  # in units
SWITCH = 0.5  # of the price of the third arm is paid for causal training


class LlamaForMaskedLM(LlamaForCausalLM):
    """The same weights and the same head; every position sees both sides."""


def set_attention(model: PreTrainedModel, both: bool) -> None:
    """Let every position see both sides, or the left side alone. No weight changes."""
    model.config.is_causal = not both
    for part in model.modules():
        if hasattr(part, "is_causal"):
            part.is_causal = not both


def fresh_body(tokenizer: PreTrainedTokenizerBase, objective: str, seed: int) -> PreTrainedModel:
    """A body before training; of one seed, both objectives start from the same weights."""
    torch.manual_seed(seed_of(seed, "weights"))
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=2 * LENGTH,
        initializer_range=0.8 / WIDTH**0.5,  # as the course's other narrow models
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
    )
    model = (LlamaForMaskedLM if objective == "masked" else LlamaForCausalLM)(config)
    set_attention(model, objective == "masked")
    return model


def step_flops(objective: str) -> float:
    """FLOPs of a step, forward and backward: six for each weight and token that meet.

    The vocabulary layer meets the hidden tokens of the masked arm, and all of the causal one.
    """
    layers = LAYERS * (4 * WIDTH**2 + 3 * WIDTH * FEED_FORWARD)
    attention = LAYERS * 2 * WIDTH * LENGTH
    scored = RATE if objective == "masked" else 1.0
    return 6 * BATCH * LENGTH * (layers + attention + scored * VOCABULARY * WIDTH)


def steps_for(objective: str, price: float) -> int:
    """How many steps a price in units pays for."""
    return round(price * UNIT / step_flops(objective))


def settings_for(steps: int, seed: int) -> Optimization:
    """Of Muon at one, two and four hundredths, the middle one served both objectives (seed 77)."""
    return Optimization(
        steps=steps,
        batch=BATCH,
        optimizer="muon",
        learning_rate=2e-2,
        schedule="wsd",
        warmup=min(50, steps),
        seed=seed,
    )


@dataclass
class Learner:
    """A model and what updates it, which go on from where they are."""

    model: PreTrainedModel
    optimizers: list[torch.optim.Optimizer]

    @classmethod
    def fresh(
        cls, tokenizer: PreTrainedTokenizerBase, objective: str, settings: Optimization
    ) -> "Learner":
        """Before the first step."""
        model = fresh_body(tokenizer, objective, settings.seed)
        return cls(model, make_optimizers(model, settings))

    def turned_to(self, objective: str, tokenizer: PreTrainedTokenizerBase) -> "Learner":
        """A copy with the mask of another objective; weights and moments stay as they are."""
        model = fresh_body(tokenizer, objective, 0)
        model.load_state_dict(self.model.state_dict())
        optimizers = make_optimizers(model, settings_for(1, 0))
        for new, old in zip(optimizers, self.optimizers, strict=True):
            new.load_state_dict(copy.deepcopy(old.state_dict()))
        return Learner(model, optimizers)

    def advance(
        self, batches: Callable[[int], dict], settings: Optimization, first: int, last: int
    ) -> list[float]:
        """Steps `first` to `last - 1` of a run; gives the loss per target of each."""
        losses = []
        self.model.train()
        for step in range(first, last):
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate_at(step, settings)
            batch = to_device(self.model, batches(step), self.model.device)
            loss = summed_loss(self.model, batch) / count_targets(self.model, batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip)
            for optimizer in self.optimizers:
                optimizer.step()
                optimizer.zero_grad()
            losses.append(float(loss.detach()))
        self.model.eval()
        return losses


@dataclass(frozen=True)
class Text:
    """The rows that all arms read, in the same order where the seed is the same."""

    tokenizer: PreTrainedTokenizerBase
    rows: Blocks

    def batches(self, objective: str, seed: int) -> Batches:
        """The batch of each step."""
        rate = RATE if objective == "masked" else None
        made = make_objective(objective, self.tokenizer, rate=rate)
        return Batches([self.rows], made, BATCH, seed)


def read_text(documents: int = DOCUMENTS, split: str = "train") -> Text:
    """The corpus in rows, with the one tokenizer of all arms."""
    tokenizer = tokenizer_for("bert", CORPUS, VOCABULARY)
    return Text(tokenizer, blocks(CORPUS, split, tokenizer, LENGTH, documents=documents))


def prices_of(
    text: Text,
    seed: int,
    prices: Sequence[float] = PRICES,
    arms: Sequence[str] = ARMS,
) -> Iterator[tuple[str, float, PreTrainedModel, list[float]]]:
    """Each arm's model at each price, with its losses from the first step on."""
    for objective in OBJECTIVES:
        leaves = sorted(_leaves(objective, prices, arms))
        batches, done, losses = text.batches(objective, seed), 0, []
        for turn, arm, price in leaves:
            settings = settings_for(steps_for(objective, price), seed)
            if done == 0:
                trunk = Learner.fresh(text.tokenizer, objective, settings)
            losses += trunk.advance(batches, settings, done, turn)
            done = turn
            if arm == objective:
                branch, goes_on, end = copy.deepcopy(trunk), batches, settings.steps
            else:
                branch = trunk.turned_to("masked", text.tokenizer)
                goes_on = text.batches("masked", seed)
                end = turn + steps_for("masked", (1 - SWITCH) * price)
                settings = settings_for(end, seed)
            yield arm, price, branch.model, losses + branch.advance(goes_on, settings, turn, end)


def _leaves(
    objective: str, prices: Sequence[float], arms: Sequence[str]
) -> Iterator[tuple[int, str, float]]:
    """After how many steps of the trunk a branch leaves it, and which."""
    for price in prices:
        steps = steps_for(objective, price)
        if objective in arms:
            yield int((1 - DECAY_SHARE) * steps), objective, price
        if objective == "causal" and ARMS[2] in arms:
            yield int(SWITCH * steps), ARMS[2], price
