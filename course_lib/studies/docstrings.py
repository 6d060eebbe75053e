"""A real model goes on reading documentation: the recorded experiment of notebook 09 on SmolLM2.

SmolLM2 (135 million weights, trained on about two trillion tokens) reads a hundred steps of the
documentation of scientific packages, through an adapter. What it says of held-out text is measured
before and after: of documentation (other modules), of the Factbook and of film reviews, which it
does not read here.

Written down before the runs were made:

- If a domain as near as this one had nothing to teach so large a model, the perplexity of
  documentation would stay. If what is learnt were only how rows are packed and opened, the gain
  would be as large on the words that all text has as on those of the domain (`api`, `other`).
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
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_lib.corpora import load
from course_lib.evaluation import token_losses
from course_lib.finetuning import answers, text_perplexity
from course_lib.models.adapters import merged
from course_lib.models.real import real
from course_lib.studies.design import recipe, study
from course_lib.training import Run

DOCSTRINGS = recipe("docstrings-smollm2")
TEXTS = {"docstrings": 24, "factbook": 24, "reviews": 80}  # held-out texts of each corpus
FIRST_TOKENS = 128
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
        encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
        ids = torch.tensor([encoded.input_ids[:FIRST_TOKENS]])
        losses = token_losses(model, {"input_ids": ids, "labels": ids})[0].tolist()
        places = encoded.offset_mapping[:FIRST_TOKENS]
        for loss, (start, end) in list(zip(losses, places, strict=True))[1:]:
            inside = any(first < end and start < last for first, last in spans)
            found["api" if inside else "other"].append(loss)
    return {name: sum(losses) / len(losses) for name, losses in found.items()}


def measured(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Perplexity of each corpus, losses by kind of word, and how the model goes on writing."""
    held_out = {
        name: list(load(name, "test", documents=count)["text"]) for name, count in TEXTS.items()
    }
    plain = {"template": "plain", "new_tokens": NEW_TOKENS}
    return {
        "perplexity": {
            name: text_perplexity(model, tokenizer, texts, length=FIRST_TOKENS)
            for name, texts in held_out.items()
        },
        "losses": losses_by_word(model, tokenizer, held_out["docstrings"]),
        "words": dict(zip(PROMPTS, answers(model, tokenizer, list(PROMPTS), **plain), strict=True)),
    }


@cache
def before() -> dict[str, Any]:
    """What is measured of the model before it reads any documentation."""
    start = real("smollm2")
    return measured(start.model, start.tokenizer)


def measure_docstrings(run: Run) -> dict[str, Any]:
    """All of it of the run's model, and under `before` of the model that it started from."""
    return measured(merged(run.model), run.tokenizer) | {"before": before()}


STUDIES = (study("docstrings-smollm2", [DOCSTRINGS], measure_docstrings, tolerance=0.1),)
