"""Causal language modeling: the recorded experiments of notebook 02."""

import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from course_lib.corpora import World, load, pack, pad_documents, world_of
from course_lib.corpora.templates import encode_inside
from course_lib.corpora.world.tasks import completions
from course_lib.evaluation import document_losses, loss_by_position, sequence_log_prob
from course_lib.generation import prompt_ids
from course_lib.models.pinned import Published
from course_lib.runtime import generator
from course_lib.studies.design import recipe, study, top_margin
from course_lib.training import Run

SHOTS = (0, 1, 2, 4)

CAUSAL_WORLD = recipe("gpt2-world")
CAUSAL_WORLD_LONG = recipe("gpt2-world-long")
CAUSAL_FACTBOOK = recipe("gpt2-factbook")
ALIBI_FACTBOOK = recipe("bloom-factbook")
# Tokens in the rows that test models trained on shorter ones.
LONGER = CAUSAL_FACTBOOK.model.positions


@torch.no_grad()
def mat_margin_causal(run: Run) -> float:
    """How far " mat" is ahead after "The cat sat on the", in nats, by its first token."""
    ids = torch.tensor([prompt_ids(run.tokenizer, "The cat sat on the")], device=run.model.device)
    answer = encode_inside([" mat"], run.tokenizer)[0][0]
    logits = run.model.eval()(input_ids=ids).logits[0, -1]
    return top_margin(logits.log_softmax(dim=-1), answer)


def floor_gap(run: Run, documents: int = 1000) -> dict[str, float]:
    """Loss per token on whole held-out documents of the run's world, and the floor under it."""
    world = world_of(run.recipe.data.corpus)
    texts = load(run.recipe.data.corpus, "test", documents=documents)["text"]
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


def shots_accuracy(run: Run | Published, examples: int = 200) -> dict[str, float]:
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


def review_accuracy(writer: Published, examples: Dataset, questions: Dataset) -> dict[str, float]:
    """Share of reviews whose verdict is the likelier word, behind 0 to 4 reviews with theirs.

    The examples of a question are drawn anew for each question, and are the same for every model.
    """
    scores = {}
    for shots in SHOTS:
        hits = 0
        for number, question in enumerate(questions):
            order = torch.randperm(len(examples), generator=generator("review", shots, number))
            shown = [_review(**examples[i]) for i in order[:shots].tolist()]
            prompt = "".join([*shown, _review(question["text"])])
            good, bad = (
                sequence_log_prob(writer.model, writer.tokenizer, prompt, f" {verdict}")
                for verdict in ("good", "bad")
            )
            hits += (good > bad) == bool(question["label"])
        scores[f"shots_{shots}"] = hits / len(questions)
    return scores


def _review(text: str, label: int | None = None) -> str:
    verdict = "" if label is None else f" {('bad', 'good')[label]}\n\n"
    return f"Review: {text.strip()}\nVerdict:{verdict}"


def measure_causal_world(run: Run) -> dict[str, float]:
    """The gap to the floor, the cat's place, and accuracy by the number of examples shown."""
    return floor_gap(run) | {"mat_margin": mat_margin_causal(run)} | shots_accuracy(run)


def measure_positions(run: Run) -> dict[str, object]:
    """Loss at each position of rows four times as long as those of training.

    GPT-2's table of positions has rows for all of them; those beyond the training length are as
    untrained as on the first day. BLOOM's ALiBi needs no table.
    """
    held_out = [
        *load(run.recipe.data.corpus, "validation")["text"],
        *load(run.recipe.data.corpus, "test")["text"],
    ]
    trained = run.recipe.data.length
    inside = loss_by_position(run.model, pack(held_out, run.tokenizer, trained)).mean
    longer = loss_by_position(run.model, pack(held_out, run.tokenizer, LONGER)).mean
    return {
        "first": float(inside[:4].mean()),
        "last": float(inside[-16:].mean()),
        "beyond": float(longer[trained - 1 :].mean()),
        "inside": [round(value, 4) for value in inside.tolist()],
        "by_position": [round(value, 4) for value in longer.tolist()],
    }


STUDIES = (
    study(
        "causal-world",
        [CAUSAL_WORLD, CAUSAL_WORLD_LONG],
        measure_causal_world,
        tolerance=0.15,
    ),
    study(
        "causal-positions",
        [CAUSAL_FACTBOOK, ALIBI_FACTBOOK],
        measure_positions,
        tolerance=0.15,
    ),
)
