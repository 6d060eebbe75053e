"""The recorded experiments of the notebooks: which recipes, how many seeds, what is measured.

`make runs` makes those that are missing. A notebook takes its live recipe from here too, with a
seed of its own, so the reader's run is one more of the recorded kind.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from transformers import PreTrainedTokenizerBase

from course_lib.corpora import World, load, pack, pad_documents
from course_lib.corpora.world.tasks import TAGS, cloze, completions, entities, sentiment
from course_lib.evaluation import (
    cloze_accuracy,
    document_losses,
    is_one_token,
    loss_by_position,
    sequence_log_prob,
)
from course_lib.finetuning import EntityTask, SentimentTask, fine_tune
from course_lib.runtime import data_path
from course_lib.training import Optimization, Recipe, Run, Study, fresh_model

SEEDS = range(5)
LIVE_SEED = 100  # of the reader's own runs: not among the recorded ones
SHOTS = (0, 1, 2, 4)
LABELLED = 200
TOKENS_A_DOCUMENT = 50  # of the world, at the least
TEST_EXAMPLES = 1000  # of labelled tasks and cloze sentences; drawn with seed 1, training with 0


def _recipe(name: str) -> Recipe:
    return Recipe.load(data_path("recipes", f"{name}.toml"))


MASKED_WORLD = _recipe("bert-world")
MASKED_FACTBOOK = _recipe("bert-factbook")
# So few documents that each is read dozens of times.
FEW_MASKED = MASKED_FACTBOOK.replace(documents=150, steps=2500)
CAUSAL_WORLD = _recipe("gpt2-world")
CAUSAL_WORLD_LONG = _recipe("gpt2-world-long")
CAUSAL_FACTBOOK = _recipe("gpt2-factbook")
ALIBI_FACTBOOK = _recipe("bloom-factbook")
LONGER = CAUSAL_FACTBOOK.positions  # tokens in the rows that test models trained on shorter ones

# Of 1e-3 and 3e-3, the rate that served the models trained from scratch better.
FINE_TUNING = Optimization(steps=200, batch=16, learning_rate=3e-3, warmup=20)


def live(recipe: Recipe, steps: int) -> Recipe:
    """The recipe with the reader's seed and budget, logged as often as the recorded runs.

    A short run reads little of the world, so it is not made to wait for more.
    """
    if recipe.corpus == "world":
        readable = max(300, steps * recipe.batch * recipe.length // TOKENS_A_DOCUMENT)
        if readable < (recipe.documents or 20_000):
            recipe = recipe.replace(documents=readable)
    return recipe.replace(
        seed=LIVE_SEED,
        steps=steps,
        warmup=min(recipe.warmup, steps),
        evaluate_every=max(1, steps // 20),
    )


def top_margin(log_probs: torch.Tensor, answer: int) -> float:
    """Log-probability of a token minus that of the likeliest other: above 0 if it comes first."""
    others = log_probs.clone()
    others[answer] = -math.inf
    return float(log_probs[answer] - others.max())


@torch.no_grad()
def mat_margin_masked(run: Run) -> float:
    """How far "mat" is ahead in "The cat sat on the [MASK].", in nats."""
    tokenizer = run.tokenizer
    batch = tokenizer(f"The cat sat on the {tokenizer.mask_token}.", return_tensors="pt")
    place = batch["input_ids"][0].tolist().index(tokenizer.mask_token_id)
    logits = run.model.eval()(**batch).logits[0, place]
    return top_margin(logits.log_softmax(dim=-1), tokenizer.convert_tokens_to_ids("mat"))


@torch.no_grad()
def mat_margin_causal(run: Run) -> float:
    """How far " mat" is ahead after "The cat sat on the", in nats, by its first token."""
    ids = run.tokenizer("The cat sat on the", return_tensors="pt")["input_ids"]
    answer = run.tokenizer(" mat", add_special_tokens=False)["input_ids"][0]
    logits = run.model.eval()(input_ids=ids).logits[0, -1]
    return top_margin(logits.log_softmax(dim=-1), answer)


def cloze_by_side(run: Run) -> dict[str, float]:
    """Accuracy on facts of the world, by the side of the gap that the subject stands on."""
    rows = cloze(World(), TEST_EXAMPLES, seed=1)
    mask, scores = run.tokenizer.mask_token, {}
    for side in ("left", "right"):
        chosen = [(r["text"].format(mask), r["answer"]) for r in rows if r["evidence"] == side]
        chosen = [pair for pair in chosen if is_one_token(run.tokenizer, *pair)]
        texts, answers = zip(*chosen, strict=True)
        scores[f"cloze_{side}"] = cloze_accuracy(run.model, run.tokenizer, texts, answers)
    return scores


def label_tasks(
    run: Run, seed: int, settings: Optimization = FINE_TUNING, test_examples: int = TEST_EXAMPLES
) -> dict[str, float]:
    """Macro F1 on sentiment and entities from 200 examples: pre-trained and from scratch.

    Both start from the same architecture and see the same examples in the same order; the
    examples, too, are drawn by `seed`.
    """
    world, scores = World(), {}
    tasks = {
        "sentiment": (SentimentTask(), sentiment),
        "entities": (EntityTask(len(TAGS)), entities),
    }
    bodies = {"pretrained": run.model, "scratch": fresh_model(run.recipe, run.tokenizer)}
    settings = replace(settings, seed=seed)
    for name, (task, draw) in tasks.items():
        train, test = draw(world, LABELLED, seed=1000 + seed), draw(world, test_examples, seed=1)
        for start, body in bodies.items():
            scores[f"{name}_{start}"] = fine_tune(body, run.tokenizer, task, train, test, settings)
    return scores


def measure_masked_world(run: Run) -> dict[str, float]:
    """Cloze by side, the cat's place and, where both sides are seen, the labelled tasks."""
    scores = cloze_by_side(run) | {"mat_margin": mat_margin_masked(run)}
    if run.recipe.attention == "both":
        scores |= label_tasks(run, run.recipe.seed)
    return scores


def measure_nothing_more(run: Run) -> dict[str, float]:
    """Only what training logs: the validation loss at the end."""
    return {"validation_loss": run.validation_loss}


def floor_gap(run: Run, documents: int = 1000) -> dict[str, float]:
    """Loss per token on whole held-out documents of the world, and the entropy of the same."""
    world = World()
    texts = load("world", "test", documents=documents)["text"]
    losses = document_losses(run.model, run.tokenizer, texts)
    tokens = losses["tokens"].sum()
    return {
        "loss": losses["nats"].sum() / tokens,
        "floor": -sum(map(world.log_prob, texts)) / tokens,
    }


def unigram_loss(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> float:
    """Loss per token of knowing only how often each token occurs in the training text."""
    training = pad_documents(load("world", documents=5000)["text"], tokenizer, LONGER)
    counts = torch.bincount(_scored(training), minlength=len(tokenizer)).double() + 1
    scored = _scored(pad_documents(texts, tokenizer, LONGER))
    return -float((counts / counts.sum()).log()[scored].mean())


def _scored(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The tokens that a causal model is scored on: all but the first and the padding."""
    return batch["input_ids"][:, 1:][batch["attention_mask"][:, 1:].bool()]


def shots_accuracy(run: Run, examples: int = 200) -> dict[str, float]:
    """Share of prompts where the right one of an animal's four facts is the likeliest."""
    scores = {}
    for shots in SHOTS:
        rows = completions(World(), examples, seed=1, shots=shots)
        hits = 0
        for row in rows:
            choices = {
                choice: sequence_log_prob(run.model, run.tokenizer, row["prompt"], f" {choice}.")
                for choice in row["choices"]
            }
            hits += max(choices, key=choices.get) == row["answer"]
        scores[f"shots_{shots}"] = hits / len(rows)
    return scores


def measure_causal_world(run: Run) -> dict[str, float]:
    """The gap to the floor, the cat's place, and accuracy by the number of examples shown."""
    return floor_gap(run) | {"mat_margin": mat_margin_causal(run)} | shots_accuracy(run)


def measure_positions(run: Run) -> dict[str, object]:
    """Loss at each position of rows four times as long as those of training.

    GPT-2's table of positions has rows for all of them; those beyond the training length are as
    untrained as on the first day. BLOOM's ALiBi needs no table.
    """
    held_out = [
        *load(run.recipe.corpus, "validation")["text"],
        *load(run.recipe.corpus, "test")["text"],
    ]
    trained = run.recipe.length
    inside = loss_by_position(run.model, pack(held_out, run.tokenizer, trained)).mean
    longer = loss_by_position(run.model, pack(held_out, run.tokenizer, LONGER)).mean
    return {
        "first": float(inside[:4].mean()),
        "last": float(inside[-16:].mean()),
        "beyond": float(longer[trained - 1 :].mean()),
        "inside": [round(value, 4) for value in inside.tolist()],
        "by_position": [round(value, 4) for value in longer.tolist()],
    }


BASES = {
    "bert-world": MASKED_WORLD,
    "gpt2-world": CAUSAL_WORLD_LONG,
}


def _seeds(recipe: Recipe) -> list[Recipe]:
    return [recipe.replace(seed=seed) for seed in SEEDS]


def _study(
    name: str, recipes: list[Recipe], measure: Callable[[Run], dict], tolerance: float
) -> Study:
    return Study(name, tuple(r for recipe in recipes for r in _seeds(recipe)), measure, tolerance)


STUDIES = {
    study.name: study
    for study in (
        _study(
            "masked-world",
            [MASKED_WORLD, MASKED_WORLD.replace(name="bert-left-world", attention="left")],
            measure_masked_world,
            tolerance=0.15,
        ),
        _study("masked-factbook", [MASKED_FACTBOOK], measure_nothing_more, tolerance=0.15),
        _study(
            "masking-static-dynamic",
            [
                FEW_MASKED.replace(name=f"bert-{objective}", objective=objective)
                for objective in ("masked", "masked-static")
            ],
            measure_nothing_more,
            tolerance=0.15,
        ),
        _study(
            "causal-world",
            [CAUSAL_WORLD, CAUSAL_WORLD_LONG],
            measure_causal_world,
            tolerance=0.15,
        ),
        _study(
            "causal-positions",
            [CAUSAL_FACTBOOK, ALIBI_FACTBOOK],
            measure_positions,
            tolerance=0.15,
        ),
    )
}
