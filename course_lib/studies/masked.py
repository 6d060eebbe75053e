"""Masked language modeling: the recorded experiments of notebook 01."""

from collections.abc import Callable

import torch
from datasets import Dataset
from transformers import PreTrainedModel

from course_lib.corpora import World, encode_cloze
from course_lib.corpora.pinned import published_rows
from course_lib.corpora.world.tasks import TAGS, cloze, entities, sentiment
from course_lib.finetuning import EntityTask, SentimentTask, fine_tune
from course_lib.generation import cloze_accuracy, is_one_token
from course_lib.models.pinned import Published
from course_lib.studies.design import (
    TEST_EXAMPLES,
    measure_nothing_more,
    recipe,
    study,
    top_margin,
)
from course_lib.training import Optimization, Run, fresh_model

LABELLED = 200

MASKED_WORLD = recipe("bert-world")
MASKED_FACTBOOK = recipe("bert-factbook")
# The first length tried: too short to beat the bigram, and shown beside the longer one.
SHORT_FACTBOOK = MASKED_FACTBOOK.replace(name="bert-factbook-short", steps=2000)
# So few documents that each is read dozens of times.
FEW_MASKED = MASKED_FACTBOOK.replace(documents=150, steps=2500)

# In trials on two other seeds a rate of 3e-3 served the models trained from scratch better on
# entities, 1e-3 on sentiment; the difference between the starts was about the same with either.
FINE_TUNING = Optimization(steps=200, batch=16, learning_rate=3e-3, warmup=20)


@torch.no_grad()
def mat_margin_masked(run: Run) -> float:
    """How far "mat" is ahead in "The cat sat on the [MASK].", in nats."""
    tokenizer = run.tokenizer
    [ids] = encode_cloze([f"The cat sat on the {tokenizer.mask_token}."], tokenizer)
    place = ids.index(tokenizer.mask_token_id)
    logits = run.model.eval()(torch.tensor([ids], device=run.model.device)).logits[0, place]
    return top_margin(logits.log_softmax(dim=-1), tokenizer.convert_tokens_to_ids("mat"))


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
    world = World()

    def rows(draw: Callable[..., Dataset]) -> tuple[Dataset, Dataset]:
        return draw(world, LABELLED, seed=1000 + seed), draw(world, test_examples, seed=1)

    tasks = {
        "sentiment": (SentimentTask(), *rows(sentiment)),
        "entities": (EntityTask(len(TAGS)), *rows(entities)),
    }
    scratch = fresh_model(run.recipe, run.tokenizer)
    return _tuned(run, scratch, tasks, settings.replace(seed=seed))


def published_label_tasks(
    encoder: Published, seed: int, settings: Optimization, test_examples: int
) -> dict[str, float]:
    """The same for a published encoder on real text: SST-2, and CoNLL-2003 with its nine tags."""

    def rows(name: str) -> tuple[Dataset, Dataset]:
        return (
            published_rows(name, LABELLED, seed=seed),
            published_rows(name, test_examples, split="test"),
        )

    tasks = {
        "sentiment": (SentimentTask(), *rows("sst2")),
        "entities": (EntityTask(9), *rows("conll2003")),
    }
    return _tuned(encoder, encoder.fresh(seed), tasks, settings.replace(seed=seed))


def _tuned(
    start: Run | Published,
    scratch: PreTrainedModel,
    tasks: dict[str, tuple[SentimentTask | EntityTask, Dataset, Dataset]],
    settings: Optimization,
) -> dict[str, float]:
    bodies = {"pretrained": start.model, "scratch": scratch}
    return {
        f"{name}_{begun}": fine_tune(body, start.tokenizer, *task, settings)
        for name, task in tasks.items()
        for begun, body in bodies.items()
    }


def measure_masked_world(run: Run) -> dict[str, float]:
    """Cloze by side, the cat's place and, where both sides are seen, the labelled tasks."""
    scores = cloze_by_side(run) | {"mat_margin": mat_margin_masked(run)}
    if run.recipe.model.attention == "both":
        scores |= label_tasks(run, run.recipe.seed)
    return scores


STUDIES = (
    study(
        "masked-world",
        [MASKED_WORLD, MASKED_WORLD.replace(name="bert-left-world", attention="left")],
        measure_masked_world,
        tolerance=0.15,
    ),
    study(
        "masked-factbook",
        [MASKED_FACTBOOK, SHORT_FACTBOOK],
        measure_nothing_more,
        tolerance=0.15,
    ),
    study(
        "masking-static-dynamic",
        [
            FEW_MASKED.replace(name=f"bert-{objective}", objective=objective)
            for objective in ("masked", "masked-static")
        ],
        measure_nothing_more,
        tolerance=0.15,
    ),
)
