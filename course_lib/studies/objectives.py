"""Three objectives at the same price: the recorded experiment of notebook 04.

A BERT, a GPT-2 and a T5 of the same width read the same documents in rows of the same length, and
each trains until it has spent the same FLOPs. T5 has as many layers again in its decoder, and twice
the parameters, for the same price: each token passes through one of its two stacks only (Raffel et
al. 2020, section 3.2.2). All that is measured afterwards fits in a row of training, so that no
model is judged on positions it has never seen.
"""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import torch
from datasets import Dataset
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from course_lib.compute import recipe_flops
from course_lib.corpora import World, load, pack
from course_lib.corpora.packing import count_bytes, encode
from course_lib.corpora.world.tasks import TAGS, cloze, entities, sentiment
from course_lib.evaluation import candidate_log_probs, document_losses, pseudo_document_losses
from course_lib.finetuning import EntityTask, SentimentTask, fine_tune
from course_lib.generation import is_one_token
from course_lib.models import unfuse_attention
from course_lib.objectives import make_objective
from course_lib.objectives.loss import count_targets, kind_of, summed_loss
from course_lib.runtime import generator
from course_lib.studies.design import TEST_EXAMPLES, recipe, study
from course_lib.studies.translating import pair_price, short_pairs, translation_bleu, unseen
from course_lib.studies.writing import measure_writing
from course_lib.training import Optimization, Recipe, Run, fresh_model
from course_lib.training.data import tokenizer_of

FLOPS = 1e12  # of each run: about a minute of one core
LENGTH = 32
DOCUMENTS = 22_000  # more than any of the three gets to read, so no text is seen twice
EXAMPLES = (50, 200, 1000)
GAPS = 800


def at_price(recipe: Recipe, flops: float) -> Recipe:
    """The recipe with as many steps as the FLOPs pay for."""
    steps = max(1, round(flops * recipe.optimization.steps / recipe_flops(recipe)))
    return recipe.replace(steps=steps, warmup=min(recipe.optimization.warmup, steps))


def _tuned(base: str, flops: float = FLOPS, **settings: object) -> Recipe:
    same = {
        "length": LENGTH,
        "positions": None,
        "documents": DOCUMENTS,
        "batch": 32,
        "optimizer": "muon",
        "learning_rate": 1e-2,
    }
    return at_price(recipe(base).replace(**same | settings), flops)


# Corruption rates are those of notebooks 01 and 03. Of Muon at half, one and two hundredths, the
# middle one gave each of the three the lowest loss on held-out text, on seed 77.
MASKED = _tuned("bert-world", name="bert-priced")
CAUSAL = _tuned("gpt2-world", name="gpt2-priced")
SPAN = _tuned("t5-world", name="t5-priced")
RECIPES = {"masked": MASKED, "causal": CAUSAL, "span": SPAN}
# Four times the price, to see whether what sets the first two apart goes away with it.
LONGER = {"flops": 4 * FLOPS, "documents": 4 * DOCUMENTS}
MASKED_LONG = _tuned("bert-world", name="bert-priced-long", **LONGER)
CAUSAL_LONG = _tuned("gpt2-world", name="gpt2-priced-long", **LONGER)

# All weights are trained. Of AdamW and Muon at several rates, the best on validation examples of
# seed 77: for labels by the mean score over the three objectives, both tasks and both starts, for
# translation by BLEU, where both models had the same favourite.
FINE_TUNING = Optimization(steps=200, batch=16, optimizer="muon", learning_rate=3e-3, warmup=20)
TRANSLATION = Optimization(steps=200, batch=32, optimizer="muon", learning_rate=1e-2, warmup=20)


class Supervision(NamedTuple):
    """What one step of training reads and learns from."""

    tokens: int
    targets: int
    bytes: float
    flops: float


class _Step(NamedTuple):
    model: PreTrainedModel
    batch: dict[str, torch.Tensor]
    bytes: float


@cache
def _first_step(recipe: Recipe) -> _Step:
    """A fresh model and the first batch of a small part of the recipe's text."""
    tokenizer = tokenizer_of(recipe)
    texts = list(load(recipe.data.corpus, documents=300)["text"])
    rows = pack(texts, tokenizer, recipe.data.length)[: recipe.optimization.batch]
    objective = make_objective(recipe.objective_name, tokenizer, rate=recipe.objective.rate)
    per_token = count_bytes(texts) / sum(map(len, encode(texts, tokenizer)))
    batch = objective(rows, generator(recipe.seed, "corruption", 0))
    return _Step(fresh_model(recipe, tokenizer), batch, rows.numel() * per_token)


def supervision(recipe: Recipe) -> Supervision:
    """Counted on a batch of the recipe; bytes are those of the text behind its tokens."""
    model, batch, size = _first_step(recipe)
    flops = recipe_flops(recipe) / recipe.optimization.steps
    tokens = recipe.optimization.batch * recipe.data.length
    return Supervision(tokens, count_targets(model, batch), size, flops)


def counted_flops(recipe: Recipe) -> int:
    """FLOPs of a step of the recipe, forward and backward, as PyTorch counts them.

    Its counter does not know the fused attention of a CPU, so attention is computed unfused here.
    """
    model, batch, _ = _first_step(recipe)
    unfuse_attention(model)
    with FlopCounterMode(display=False) as counter:
        summed_loss(model, batch).backward()
    return counter.get_total_flops()


def fitting(texts: list[str], length: int = LENGTH) -> list[bool]:
    """Which texts fit in a row with their marks, for each of the three tokenizers."""
    counts = [[len(ids) for ids in encode(texts, t)] for t in _tokenizers()]
    return [max(count) < length for count in zip(*counts, strict=True)]


@cache
def _world() -> World:
    return World()


@cache
def _tokenizers() -> tuple:
    return tuple(map(tokenizer_of, RECIPES.values()))


# A tag stands at the last piece of its word: at the first, a model that sees the left side only
# would not have read the word yet.
LABEL_TASKS = {
    "sentiment": (SentimentTask(), sentiment),
    "entities": (EntityTask(len(TAGS), "last"), entities),
}


@cache
def short_examples(task: str, n: int, seed: int = 0) -> Dataset:
    """Examples as the task draws them, but only those that fit in a row: one review in four."""
    drawn = LABEL_TASKS[task][1](_world(), 6 * n + 100, seed)
    texts = drawn["text"] if task == "sentiment" else map(" ".join, drawn["tokens"])
    places = [place for place, fits in enumerate(fitting(list(texts))) if fits]
    if len(places) < n:
        raise ValueError(f"n={n}: only {len(places)} of {len(drawn)} examples were short enough")
    return drawn.select(places[:n])


def label_scores(
    run: Run,
    seed: int,
    examples: tuple[int, ...] = EXAMPLES,
    test_examples: int = TEST_EXAMPLES,
    settings: Optimization = FINE_TUNING,
    tasks: Iterable[str] = tuple(LABEL_TASKS),
) -> dict[str, float]:
    """Macro F1 by task, start and number of labelled examples, such as `entities_scratch_50`.

    The examples are drawn by `seed`, the smaller sets being part of the larger; pre-trained and
    fresh weights see the same ones in the same order.
    """
    scores, settings = {}, settings.replace(seed=seed)
    bodies = {"pretrained": run.model, "scratch": fresh_model(run.recipe, run.tokenizer)}
    for name in tasks:
        task = LABEL_TASKS[name][0]
        train = short_examples(name, max(examples), 1000 + seed)
        test = short_examples(name, test_examples, 1)
        for start, body in bodies.items():
            for n in examples:
                part = train.select(range(n))
                key = f"{name}_{start}_{n}"
                scores[key] = fine_tune(body, run.tokenizer, task, part, test, settings)
    return scores


class Gaps(NamedTuple):
    """Sentences with a gap: the right word's place among the candidates, the evidence's side."""

    texts: list[str]
    answers: torch.LongTensor
    sides: list[str]
    candidates: list[str]


def gaps(count: int = GAPS) -> Gaps:
    """Facts of the world to be filled in, each by one of the words that are an answer somewhere.

    A masked model can be asked for one token only, so words that are several to BERT's tokenizer
    are left out for all three.
    """
    bert = _tokenizers()[0]
    rows = [
        row
        for row in cloze(_world(), 5 * count, seed=1)
        if is_one_token(bert, row["text"].format(bert.mask_token), row["answer"])
    ]
    candidates = sorted({row["answer"] for row in rows})
    rows = rows[:count]
    return Gaps(
        [row["text"] for row in rows],
        torch.tensor([candidates.index(row["answer"]) for row in rows]),
        [row["evidence"] for row in rows],
        candidates,
    )


def gap_scores(run: Run, asked: Gaps, context: str = "both") -> dict[str, float]:
    """Share of gaps filled rightly and nats of the right word, by the side of the evidence."""
    found = candidate_log_probs(run.model, run.tokenizer, asked.texts, asked.candidates, context)
    right = found.argmax(dim=1) == asked.answers
    nats = -found.gather(1, asked.answers[:, None]).squeeze(1)
    scores = {}
    for side in ("left", "right"):
        there = torch.tensor([s == side for s in asked.sides])
        scores[f"filled_{side}"] = float(right[there].double().mean())
        scores[f"nats_{side}"] = float(nats[there].mean())
    return scores


def translation_score(run: Run, seed: int, pairs: int = 4000, test_pairs: int = 200) -> float:
    """BLEU after training on pairs; a decoder gets as many steps as cost what T5's do."""
    train = short_pairs(_tokenizers()[1:], pairs, 1000 + seed, LENGTH)
    test = unseen(short_pairs(_tokenizers()[1:], 10 * test_pairs, 1, LENGTH), train)
    settings = TRANSLATION.replace(seed=seed)
    if kind_of(run.model) == "causal":
        price = pair_price(SPAN, _tokenizers()[2], train)
        steps = round(settings.steps * price / pair_price(CAUSAL, _tokenizers()[1], train))
        settings = settings.replace(steps=steps)
    return translation_bleu(run, train, test.select(range(test_pairs)), settings)


def loss_per_byte(run: Run, documents: int = 150) -> dict[str, float]:
    """What a model makes of whole documents that fit in a row, in nats per byte.

    Only of a causal model it is minus the log of a probability. A masked model's is its
    pseudo-log-likelihood, and an encoder-decoder is asked for hidden spans and nothing else.
    """
    drawn = list(load("world", "test", documents=30 * documents)["text"])
    texts = [text for text, fits in zip(drawn, fitting(drawn), strict=True) if fits][:documents]
    kind = kind_of(run.model)
    scores = {"floor_per_byte": -sum(map(_world().log_prob, texts)) / count_bytes(texts)}
    if kind == "causal":
        scores["per_byte"] = document_losses(run.model, run.tokenizer, texts)["nats"].sum()
    elif kind == "masked":
        scores["per_byte"] = pseudo_document_losses(run.model, run.tokenizer, texts)["nats"].sum()
    if "per_byte" in scores:
        scores["per_byte"] = float(scores["per_byte"]) / count_bytes(texts)
    return scores


def measure_gaps(run: Run) -> dict[str, float]:
    """Gaps filled; by a causal model also as it guesses from the left side alone."""
    asked = gaps()
    scores = gap_scores(run, asked)
    if kind_of(run.model) == "causal":
        guessed = gap_scores(run, asked, context="left")
        scores |= {f"guessed_{key}": value for key, value in guessed.items()}
    return scores


def measure_long(run: Run) -> dict[str, float]:
    """What a larger price might change: gaps, and labels at 200 examples."""
    return measure_gaps(run) | label_scores(run, run.recipe.seed, examples=(200,))


def measure_objective(run: Run) -> dict[str, float]:
    """Everything notebook 04 compares."""
    scores = loss_per_byte(run) | measure_gaps(run) | measure_writing(run)
    if kind_of(run.model) != "masked":
        scores["bleu"] = translation_score(run, run.recipe.seed)
    return scores | label_scores(run, run.recipe.seed)


STUDIES = (
    study("objectives", list(RECIPES.values()), measure_objective, tolerance=0.15),
    study("objectives-long", [MASKED_LONG, CAUSAL_LONG], measure_long, tolerance=0.15),
)
