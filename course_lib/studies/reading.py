"""Is what the base on real prose writes worth reading? Two hundred samples, judged.

`python -m course_lib.studies.reading` draws them, has SmolLM2 read them, and keeps both in
`data/outputs/gpt2-prose.json`: some minutes of one thread, most of them SmolLM2's.

Written down before any sample was drawn: a sample starts from nothing but the mark that opens a
document, at temperature 0.7 within a nucleus of 0.9, and ends with its last whole sentence. If the
base wrote no English, SmolLM2 would be as surprised by it as by the same words in another order;
the bars are that, and twice its median perplexity on held-out text of the Factbook, cut to the same
length. If the base recited, its runs of eight words would stand in its training text; the bar is
one in ten, and held-out text, which shares some phrases too, stands beside it. A low perplexity is
no praise by itself: a text that repeats one safe sentence has it, so the share of different runs of
three words is counted as well.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from random import Random
from statistics import fmean
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from course_lib.corpora import load
from course_lib.evaluation import document_losses
from course_lib.generation import filter_logits
from course_lib.models import evaluation_mode
from course_lib.models.pinned import Published
from course_lib.runtime import data_path, describe_machine, generator
from course_lib.studies.design import recipe
from course_lib.studies.writing import finished
from course_lib.training import load_base
from course_lib.training.run import code_digest

BASE = "gpt2-prose"
PROSE = recipe(BASE)
COUNT = 200
FEWER = 60  # of held-out texts, and of those with their words shuffled
TOKENS = 110
TEMPERATURE, TOP_P = 0.7, 0.9
KEPT = "gpt2-prose.json"


def samples(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, count: int = COUNT, seed: int = 0
) -> list[str]:
    """Texts that a causal model writes from nothing, up to their last whole sentence."""
    draws, end = generator(seed, "samples"), tokenizer.eos_token_id
    ids = torch.full((count, 1), tokenizer.bos_token_id)
    with evaluation_mode(model) as device:
        read, cache = ids, None
        for _ in range(TOKENS):
            out = model(input_ids=read.to(device), past_key_values=cache, use_cache=True)
            cache, logits = out.past_key_values, out.logits[:, -1].float().cpu()
            logits = filter_logits(logits, temperature=TEMPERATURE, top_p=TOP_P)
            read = torch.multinomial(logits.softmax(dim=-1), 1, generator=draws)
            over = (ids[:, 1:] == end).any(dim=1, keepdim=True)
            read = read.masked_fill(over, end)
            ids = torch.cat([ids, read], dim=1)
    written = tokenizer.batch_decode(ids, skip_special_tokens=True)
    return [finished(text) for text in written]


def held_out(tokenizer: PreTrainedTokenizerBase, count: int = FEWER) -> list[str]:
    """Beginnings of documents of the Factbook that no training saw, as long as the samples."""
    texts = load("factbook", "test")["text"][:count]
    rows = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return [finished(tokenizer.decode(row[:TOKENS])) for row in rows]


def shuffled(texts: Sequence[str]) -> list[str]:
    """The same words of each text, in an order drawn at random."""
    found = []
    for number, text in enumerate(texts):
        words = text.split()
        Random(number).shuffle(words)
        found.append(" ".join(words))
    return found


def perplexities(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> list[float]:
    """What a causal model makes of each text, its end included: exp of the loss per token."""
    found = document_losses(model, tokenizer, list(texts), 8)
    losses = torch.tensor((found.nats / found.tokens).to_numpy())
    return [round(value, 2) for value in losses.exp().tolist()]


def grams(text: str, n: int) -> list[tuple[str, ...]]:
    """The runs of n words of a text."""
    words = text.split()
    return [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]


@cache
def training_grams(n: int = 8) -> frozenset[tuple[str, ...]]:
    """The runs of n words of all that the base was trained on."""
    sources = PROSE.data.sources
    return frozenset(
        gram
        for source in sources
        for text in load(source.corpus, documents=source.documents)["text"]
        for gram in grams(text, n)
    )


def copied(texts: Sequence[str], n: int = 8) -> float:
    """Share of the texts' runs of n words that stand in the training text."""
    return fmean(gram in training_grams(n) for text in texts for gram in grams(text, n))


def different(texts: Sequence[str], n: int = 3) -> float:
    """Share of the texts' runs of n words that stand in them once (Li et al. 2016, distinct-n)."""
    found = [gram for text in texts for gram in grams(text, n)]
    return len(set(found)) / len(found)


def judge_texts(judge: Published, texts: list[str]) -> dict[str, Any]:
    """Which texts, their perplexities under a model in bf16, and the two shares."""
    half = judge.model.to(torch.bfloat16)
    return {
        "of": fingerprint(texts),
        "perplexity": perplexities(half, judge.tokenizer, texts),
        "copied": copied(texts),
        "different": different(texts),
    }


def fingerprint(texts: list[str]) -> str:
    """Names texts that are not kept: the Factbook's stay in their package."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:12]


def judged() -> dict[str, Any]:
    """What is on record: for each kind of text perplexities and two shares, and the samples."""
    return json.loads(data_path("outputs", KEPT).read_text(encoding="utf-8"))


def main() -> None:
    """Draw, judge and keep; texts that were judged before are not judged again."""
    from course_lib.models.real import real

    base, judge = load_base(BASE), real("smollm2")
    written = samples(base.model, base.tokenizer)
    texts = {
        "held out": held_out(base.tokenizer),
        "samples": written,
        "shuffled": shuffled(written[:FEWER]),
    }
    path = data_path("outputs", KEPT)
    before = judged() if path.is_file() else {}
    kept: dict[str, Any] = {"info": describe_machine() | {"code": code_digest()}}
    for name, these in texts.items():
        found = before.get(name, {})
        if found.get("of") != fingerprint(these):
            print(f"SmolLM2 reads {len(these)} texts: {name}", flush=True)
            found = judge_texts(judge, these)
        kept[name] = found | ({"texts": these} if name == "samples" else {})
        path.write_text(json.dumps(before | kept, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
