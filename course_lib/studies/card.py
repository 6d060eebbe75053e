"""SmolLM2 before and after tuning by HELM's measures: a recorded experiment of notebook 15.

The models are those of notebooks 10 and 11: SmolLM2, and the same tuned on 200 film reviews (five
seeds). Kept are raw answers, so that the notebook computes every measure itself: for each held-out
review and each of its versions the probability of "positive", and what is written to requests on
trades and to requests that invite rudeness.

Written down before the runs were made:

- If accuracy told all, the tuned model would be at least as good by every other measure. The floor
  of accuracy is the commoner label (0.53 of the training reviews), the laziest opponent a bag of
  words from the same 200; MiniLM with a linear layer is the cheap one that may win.
- Of calibration, the floor is not 0 but what a perfectly calibrated model of the same confidences
  would show on so few answers; of fairness and robustness, what is lost by *any* rewriting, so
  names and typos are compared with each other and not with nothing.
- An artefact to rule out in bias and toxicity: a model that writes one word has no words to be
  counted. So the words it writes are counted too, and bias is asked in a second way, which needs no
  writing: is "he" or "she" the likelier word behind "The nurse said that"?
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from course_lib.corpora.examples import load_pairs
from course_lib.corpora.world.lexicon import with_article
from course_lib.evaluation.card import changed_case, in_dialect, paraphrased, signed, with_typos
from course_lib.evaluation.card.tables import table
from course_lib.finetuning import answers, choice_log_probs
from course_lib.models.adapters import merged
from course_lib.models.real import real
from course_lib.studies.design import study
from course_lib.studies.tuning import LABELS, REVIEWS, TUNED
from course_lib.training import Run

NEW_TOKENS = 32
CHANGED = 100  # of the reviews stand in every version, all of them as written
ASKED = "Is this text positive or negative? "


def versions(texts: Sequence[str], changed: int = CHANGED) -> dict[str, list[str]]:
    """The reviews as they are, and the first of them in every version that keeps their label."""
    names, written, texts = table("names"), list(texts), texts[:changed]
    return {
        "as written": written,
        "typo": [with_typos(text) for text in texts],
        "case": [changed_case(text) for text in texts],
        "paraphrase": [paraphrased(text) for text in texts],
        "dialect": [in_dialect(text) for text in texts],
        # Two names a group, in turn.
        "first names": [signed(t, names["first"][i % 2]) for i, t in enumerate(texts)],
        "second names": [signed(t, names["second"][i % 2]) for i, t in enumerate(texts)],
    }


def reviews(split: str, count: int = REVIEWS) -> tuple[list[str], list[int]]:
    """Film reviews that notebook 11 tunes and tests on, and their labels (1 is positive)."""
    rows = load_pairs("reviews/film", split, documents=count)
    texts = [prompt.removeprefix(ASKED) for prompt in rows["prompt"]]
    return texts, [LABELS.index(label) for label in rows["completion"]]


def positive(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> list[float]:
    """The probability of "positive" among the two labels, of each review."""
    prompts = [ASKED + text for text in texts]
    found = choice_log_probs(model, tokenizer, prompts, [LABELS] * len(prompts))
    return [round(float(log_probs.softmax(0)[1]), 4) for log_probs in found]


def trade_requests() -> list[str]:
    """Requests for a few sentences about somebody of a trade, all trades in turn."""
    asked = table("bias")
    each = map(with_article, asked["trades"])
    return [request.format(someone=one) for one in each for request in asked["requests"]]


def she_over_he(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> dict[str, float]:
    """Of each trade, log p(she) - log p(he) behind "The nurse said that", in nats."""
    asked = table("bias")
    begun = [asked["begun"].format(trade=trade) for trade in asked["trades"]]
    pairs = [("she", "he")] * len(begun)
    found = choice_log_probs(model, tokenizer, begun, pairs, template="plain")
    return {
        trade: round(float(f[0] - f[1]), 3) for trade, f in zip(asked["trades"], found, strict=True)
    }


def asked_of(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """All that the card needs of a model that writes."""
    texts, _ = reviews("test")
    write = {"new_tokens": NEW_TOKENS}
    return {
        "positive": {
            name: positive(model, tokenizer, changed) for name, changed in versions(texts).items()
        },
        "trades": answers(model, tokenizer, trade_requests(), **write),
        "rude": answers(model, tokenizer, table("toxicity")["requests"], **write),
        "she_over_he": she_over_he(model, tokenizer),
    }


@cache
def before() -> dict[str, Any]:
    """The same of SmolLM2 as set-up made it."""
    start = real("smollm2")
    return asked_of(start.model, start.tokenizer)


@cache
def small_ones() -> dict[str, dict[str, list[float]]]:
    """The same probabilities from a bag of words and from MiniLM's vectors, each under a linear
    layer that has learnt from the 200 reviews of training."""
    from sklearn.feature_extraction.text import CountVectorizer

    encoder, bag = real("minilm"), CountVectorizer(binary=True)
    bag.fit(reviews("train")[0])
    return {
        "bag of words": linear(bag.transform),
        "MiniLM": linear(lambda texts: vectors(encoder.model, encoder.tokenizer, texts)),
    }


def linear(features: Callable[[Sequence[str]], Any]) -> dict[str, list[float]]:
    """Probabilities of "positive" of each version, by logistic regression on features of a text."""
    from sklearn.linear_model import LogisticRegression

    learnt, labels = reviews("train")
    head = LogisticRegression(max_iter=1000).fit(features(learnt), labels)
    return {
        name: [round(float(p), 4) for p in head.predict_proba(features(changed))[:, 1]]
        for name, changed in versions(reviews("test")[0]).items()
    }


@torch.inference_mode()
def vectors(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> torch.Tensor:
    """A vector for each text: the mean over its tokens, of length 1 `[texts, width]`."""
    rows = []
    for text in texts:  # one by one, so that none is padded
        ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=256).to(model.device)
        rows.append(model(**ids).last_hidden_state[0].mean(dim=0).cpu())
    return nn.functional.normalize(torch.stack(rows), dim=1)


def measure_card(run: Run) -> dict[str, Any]:
    """What the tuned model answers, SmolLM2 before, and the small ones; `gold` are the labels."""
    return asked_of(merged(run.model), run.tokenizer) | {
        "before": before(),
        "small": small_ones(),
        "gold": reviews("test")[1],
        "prior": sum(reviews("train")[1]) / REVIEWS,
    }


STUDIES = (study("card-smollm2", [TUNED], measure_card, tolerance=0.1),)
