"""A real model goes on reading documentation: the recorded experiment of notebook 09 on SmolLM2.

SmolLM2 (135 million weights, trained on about two trillion tokens) reads a hundred steps of the
documentation of scientific packages, through an adapter. What it says of held-out text is measured
before and after: of documentation (other modules), of the Factbook and of film reviews, which it
does not read here.

Written down before the runs were made:

- If a domain as near as this one had nothing to teach so large a model, the perplexity of
  documentation would stay. If what is learnt were only how rows are packed and opened, the gain
  would be as large on the words that all text has as on those of the domain (`api`, `other`).
- The next word of the domain is also a *choice*: right where the model, writing greedily, would
  write that word whole. Two lazy opponents guess the word of the domain that the text named last,
  and the one that the training text has most often. A model that only copies is no better than the
  first. On all other words the same count says whether what is gained is the domain's.
- If going on reading cost nothing, the perplexity of the Factbook and of reviews would stay. It
  may also fall: this model was tuned to chat, and any plain prose may bring it nearer to prose.
- The floor of real text is not known. The artefacts: SmolLM2 has surely read documentation of
  this kind, if not this; the corpus holds paragraphs of sentences alone, without the tables of
  parameters that documentation is full of, so what the model writes behind such a heading is
  likely to turn into prose.
"""

import re
from collections import Counter
from functools import cache
from statistics import fmean
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_lib.corpora import load
from course_lib.evaluation import token_losses
from course_lib.finetuning import answers, text_perplexity
from course_lib.models import evaluation_mode
from course_lib.models.adapters import merged
from course_lib.models.real import real
from course_lib.studies.design import recipe, study
from course_lib.training import Run

DOCSTRINGS = recipe("docstrings-smollm2")
TEXTS = {"docstrings": 24, "factbook": 24, "reviews": 80}  # held-out texts of each corpus
FIRST_TOKENS = 128
CHOICES = 100  # held-out documents whose words are to be chosen
OFTEN = 20  # times that a word of the domain stands in the training text, at the least
PROMPTS = (
    "Parameters\n----------\n",
    "Return the sum of the array elements over",
    "The capital of the country is",
)
NEW_TOKENS = 32

_WORD = re.compile(r"[A-Za-z_]+")


@cache
def domain_words() -> frozenset[str]:
    """Words that documentation has often, and that neither the Factbook nor reviews have at all."""
    counts = Counter(word for text in load("docstrings")["text"] for word in _WORD.findall(text))
    elsewhere = {
        word.lower()
        for corpus in ("factbook", "reviews")
        for text in load(corpus)["text"]
        for word in _WORD.findall(text)
    }
    return frozenset(w for w, n in counts.items() if n >= OFTEN and w.lower() not in elsewhere)


def losses_by_word(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str]
) -> dict[str, float]:
    """Nats per token within words of the domain, and within all the rest of the texts."""
    words, found = domain_words(), {"api": [], "other": []}
    for text in texts:
        spans = [m.span() for m in _WORD.finditer(text) if m[0] in words]
        ids, places = _beginning(tokenizer, text)
        losses = token_losses(model, {"input_ids": ids, "labels": ids})[0].tolist()
        for loss, (start, end) in list(zip(losses, places, strict=True))[1:]:
            inside = any(first < end and start < last for first, last in spans)
            found["api" if inside else "other"].append(loss)
    return {name: sum(losses) / len(losses) for name, losses in found.items()}


def words_chosen(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str]
) -> dict[str, float]:
    """Share of the words, of the domain and others, that greedy decoding would write whole."""
    domain, right = domain_words(), {"api": [], "other": []}
    with evaluation_mode(model) as device:
        for text in texts:
            ids, places = _beginning(tokenizer, text)
            best = model(input_ids=ids.to(device)).logits[0, :-1].argmax(dim=-1).cpu()
            hit = [False, *(best == ids[0, 1:]).tolist()]
            for word in _WORD.finditer(text[: places[-1][0]]):
                kind = "api" if word[0] in domain else "other"
                if word.start() >= places[0][1]:  # the first token has nothing to be foreseen from
                    right[kind].append(all(hit[at] for at in _tokens_of(word.span(), places)))
    return {kind: fmean(found) for kind, found in right.items()}


def lazy_choices(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> dict[str, float]:
    """How often the two opponents that read no meaning are right about the same domain words."""
    domain = domain_words()
    counts = Counter(word for text in load("docstrings")["text"] for word in _WORD.findall(text))
    commonest = max(domain, key=counts.__getitem__)
    last, common = [], []
    for text in texts:
        _, places = _beginning(tokenizer, text)
        words = [w for w in _WORD.finditer(text[: places[-1][0]]) if w[0] in domain]
        named = [None, *(word[0] for word in words)]
        for before, word in zip(named, words, strict=False):
            if word.start() >= places[0][1]:
                last.append(word[0] == before)
                common.append(word[0] == commonest)
    return {"last": fmean(last), "commonest": fmean(common), "words": len(last)}


def _beginning(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[torch.Tensor, list]:
    """The first tokens of a text, [1, tokens], and which characters each stands for."""
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    ids = torch.tensor([encoded.input_ids[:FIRST_TOKENS]])
    return ids, encoded.offset_mapping[:FIRST_TOKENS]


def _tokens_of(span: tuple[int, int], places: list[tuple[int, int]]) -> list[int]:
    return [at for at, (start, end) in enumerate(places) if start < span[1] and span[0] < end]


def measured(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Perplexity of each corpus, words foreseen, and how the model goes on writing."""
    held_out = {
        name: list(load(name, "test", documents=count)["text"]) for name, count in TEXTS.items()
    }
    plain = {"template": "plain", "new_tokens": NEW_TOKENS}
    return {
        "perplexity": {
            name: text_perplexity(model, tokenizer, texts, length=FIRST_TOKENS)
            for name, texts in held_out.items()
        },
        "chosen": words_chosen(model, tokenizer, to_choose()),
        "losses": losses_by_word(model, tokenizer, held_out["docstrings"]),
        "words": dict(zip(PROMPTS, answers(model, tokenizer, list(PROMPTS), **plain), strict=True)),
    }


def to_choose() -> list[str]:
    """The held-out documents whose words are to be chosen."""
    return list(load("docstrings", "test", documents=CHOICES)["text"])


@cache
def before() -> dict[str, Any]:
    """What is measured of the model before it reads any documentation."""
    start = real("smollm2")
    return measured(start.model, start.tokenizer)


def measure_docstrings(run: Run) -> dict[str, Any]:
    """All of it of the run's model, of the model that it started from, and of two opponents."""
    lazy = lazy_choices(run.tokenizer, to_choose())
    return measured(merged(run.model), run.tokenizer) | {"before": before(), "lazy": lazy}


STUDIES = (study("docstrings-smollm2", [DOCSTRINGS], measure_docstrings, tolerance=0.1),)
