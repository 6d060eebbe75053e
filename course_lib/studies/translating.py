"""A decoder and an encoder-decoder learn to translate, for the same price: part of notebook 04.

Both are trained further on the same pairs, an English sentence and the same in Inglosh. The T5
reads the sentence in its encoder. The GPT-2 has no encoder: it reads sentence and translation as
one text with a boundary between them, and is scored on the translation only.
"""

import copy
from collections import defaultdict
from collections.abc import Sequence

import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_lib.compute import Row, Shape, training_flops
from course_lib.corpora import NO_TARGET, World
from course_lib.corpora.packing import encode
from course_lib.corpora.world import translation
from course_lib.evaluation import bleu
from course_lib.finetuning import fine_tune_seq2seq
from course_lib.finetuning.batches import random_batches
from course_lib.generation import generate_targets
from course_lib.models import evaluation_mode
from course_lib.objectives import Supervised
from course_lib.objectives.loss import kind_of
from course_lib.training import Optimization, Recipe, Run, fit

PAIR = ("source", "target")


def short_pairs(
    tokenizers: Sequence[PreTrainedTokenizerBase], n: int, seed: int, length: int
) -> Dataset:
    """Pairs whose two texts and their marks fit together in a row of `length`: about half."""
    drawn = translation(World(), 3 * n + 100, seed)
    fits = [True] * len(drawn)
    for tokenizer in tokenizers:
        source, target = (encode(drawn[column], tokenizer) for column in PAIR)
        both = [len(a) + len(b) + 1 for a, b in zip(source, target, strict=True)]
        fits = [fit and count <= length for fit, count in zip(fits, both, strict=True)]
    return drawn.select([place for place, fit in enumerate(fits) if fit][:n])


def unseen(test: Dataset, train: Dataset) -> Dataset:
    """The test pairs whose sentence is not among the training pairs: draws of a world repeat."""
    seen = set(train["source"])
    return test.select([i for i, source in enumerate(test["source"]) if source not in seen])


def translation_bleu(run: Run, train: Dataset, test: Dataset, settings: Optimization) -> float:
    """BLEU (0 to 100) on `test` of a copy of the model that was trained further on `train`."""
    if kind_of(run.model) == "seq2seq":
        tuned = fine_tune_seq2seq(run.model, run.tokenizer, train, settings)
        limit = run.recipe.data.length
        written = generate_targets(tuned, run.tokenizer, test["source"], max_new_tokens=limit)
    else:
        tuned = _tune_decoder(run, train, settings)
        written = _continue(tuned, run, test["source"])
    return bleu(written, list(test["target"]))


def pair_price(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, train: Dataset) -> float:
    """FLOPs for one pair of this training, on average and padding left out."""
    source, target = (
        sum(map(len, encode(train[column], tokenizer))) / len(train) for column in PAIR
    )
    # A decoder reads all as one row, and scores every position of it.
    whole = source + target + 1
    row = Row(source, target, target) if recipe.model.family == "t5" else Row(whole, scored=whole)
    names = ("family", "width", "layers", "heads", "vocab_size")
    return training_flops(Shape(**{name: recipe[name] for name in names}), row)


def _tune_decoder(run: Run, train: Dataset, settings: Optimization) -> PreTrainedModel:
    """Train a copy on rows `<|endoftext|> source <|endoftext|> target <|endoftext|>`."""
    end = run.tokenizer.eos_token_id
    examples = []
    for source, target in zip(*(encode(train[c], run.tokenizer) for c in PAIR), strict=True):
        text = [*source, *target, end]  # the target's own start is the boundary
        given = len(source) + 1
        examples.append({"input_ids": text, "labels": [NO_TARGET] * given + text[given:]})
    pad, draw = Supervised(run.tokenizer), random_batches(len(train), settings)

    def batch_at(step: int) -> dict[str, Tensor]:
        batch = pad([examples[place] for place in draw(step).tolist()])
        # Padding stands to the right, where a decoder never looks, and has no target.
        return {name: batch[name] for name in ("input_ids", "labels")}

    tuned = copy.deepcopy(run.model)
    fit(tuned, batch_at, settings)
    return tuned.eval()


def _continue(model: PreTrainedModel, run: Run, sources: Sequence[str]) -> list[str]:
    """The likeliest next token, again and again, behind each sentence and a boundary.

    Sentences of one length are read together, so that no row needs padding.
    """
    end = run.tokenizer.eos_token_id
    by_length = defaultdict(list)
    for place, ids in enumerate(encode(sources, run.tokenizer)):
        by_length[len(ids)].append((place, [*ids, end]))
    written = [""] * len(sources)
    for rows in by_length.values():
        places, given = zip(*rows, strict=True)
        asked = torch.tensor(given)
        with evaluation_mode(model) as device:
            ids = model.generate(
                input_ids=asked.to(device),
                attention_mask=torch.ones_like(asked).to(device),
                max_length=run.recipe.data.length,
                do_sample=False,
                eos_token_id=end,
                pad_token_id=end,
            )
        ids = ids[:, asked.shape[1] :].cpu()
        texts = run.tokenizer.batch_decode(ids, skip_special_tokens=True)
        for place, text in zip(places, texts, strict=True):
            written[place] = text
    return written
