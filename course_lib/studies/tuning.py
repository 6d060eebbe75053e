"""SmolLM2 tuned on two hundred film reviews: the recorded experiment of notebooks 10 and 11.

A model of 135 million weights that follows instructions learns one narrow task: thirty steps of
eight reviews, the loss on the one word of the answer. Asked before and after: is a held-out review
judged rightly; and four things that may be lost, which must be told apart:

- format: is a question still answered in four words or more? (`sentences`)
- access: does the answer that it writes hold the right one? (`generated`)
- knowledge: of four answers, is the right one the likeliest? (`ranked` behind the question as it
  is asked in a chat, `ranked_plain` behind the beginning of a sentence, without any chat)
- language: the perplexity of ordinary prose (`perplexity`), and how far the distribution over next
  words has moved where nobody asked for a review (`drift_first`, at the first word of an answer,
  and `drift_later`).

Written down before the runs were made:

- If tuning a pre-trained model were no better than counting words, `reviews` would end where a bag
  of words ends that learnt from the same 200; the class prior is the floor (0.53). Raters of single
  sentences do not agree perfectly, so the ceiling is below 1.
- If the notes' sentence on forgetting were false, `generated` and `sentences` would stay where they
  were. If forgetting were loss of knowledge, `ranked` and `ranked_plain` would fall with
  `generated`; both have 0.25 as their floor and, for what the model knows well, 1 as a ceiling that
  hides small losses, which is why the margin in nats is recorded beside them (`margin`).
- If reminding a model by its own answers were no cure, `replayed` would lose what `tuned` loses. It
  would be a poor one if it cost more than a fifth of what is gained on reviews: it sees a quarter
  fewer of them.
- If low-rank adapters protected a model, `lora` at a rate that learns as much as full tuning would
  lose less.

Questions on countries (`course_lib.corpora.countries`) were chosen by the Factbook and by size, not
by what the model knows; the questions that remind share none of their relations or countries.
"""

from functools import cache
from statistics import fmean
from typing import Any

from torch import nn

from course_lib.corpora import load
from course_lib.corpora.countries import country_questions, holds
from course_lib.corpora.examples import load_pairs
from course_lib.corpora.instructions import own_answers
from course_lib.finetuning import answers, choice_log_probs, drift, text_perplexity
from course_lib.finetuning.divergence import by_place
from course_lib.models.adapters import merged
from course_lib.models.pinned import Published
from course_lib.studies.design import as_digits, recipe, study
from course_lib.training import Run

REVIEWS = 200
LABELS = ("negative", "positive")
SENTENCE = 4  # words, at the least
NEW_TOKENS = 24
TEXTS = 40
FIRST_TOKENS = 128
SHOWN = 12  # answers kept word by word, of general questions and of countries each

TUNED = recipe("tuned-smollm2")
REPLAYED = recipe("replayed-smollm2")
LORA = recipe("lora-smollm2").replace(checkpoint_every=30)
CONDITIONS = {"tuned": TUNED, "replayed": REPLAYED, "lora": LORA}


def measure_tuning(run: Run) -> dict[str, Any]:
    """All of it of the run's model, and under `before` of the model that it started from."""
    start = start_model()
    after = measured(Published(run.recipe.name, merged(run.model), run.tokenizer), start)
    return after | {"before": before()}


@cache
def start_model() -> Published:
    """SmolLM2 as set-up made it."""
    from course_lib.models.real import real

    return real("smollm2")


@cache
def before() -> dict[str, Any]:
    """What is measured of the model before any tuning."""
    return measured(start_model(), start_model())


def measured(asked: Published, start: Published, *, count: int | None = None) -> dict[str, Any]:
    """Shares and means; with them, as texts of 0 and 1, which question was answered how.

    `count` limits the questions of each kind, for a look that does not take minutes.
    """
    model, tokenizer = asked.model, asked.tokenizer
    judged = reviews_right(model, tokenizer, "test", count or REVIEWS)
    found = {"reviews": fmean(judged), "reviews_right": as_digits(judged)}
    found |= _of_countries(asked, count) | _of_general(asked, start, count)
    texts = load("factbook", "test", documents=count or TEXTS)["text"]
    return found | {
        "perplexity": text_perplexity(model, tokenizer, list(texts), length=FIRST_TOKENS)
    }


def reviews_right(model: nn.Module, tokenizer: Any, split: str, count: int) -> list[bool]:
    """Whether the likelier of the two words is the label, review by review."""
    rows = load_pairs("reviews/film", split, documents=count)
    scores = choice_log_probs(model, tokenizer, rows["prompt"], [LABELS] * len(rows))
    return [
        LABELS[int(score.argmax())] == label
        for score, label in zip(scores, rows["completion"], strict=True)
    ]


def _of_countries(asked: Published, count: int | None) -> dict[str, Any]:
    questions = country_questions()[:: _stride(len(country_questions()), count)]
    choices = [question.choices for question in questions]
    options = (asked.model, asked.tokenizer)
    texts = [question.question for question in questions]
    written = answers(*options, texts, new_tokens=NEW_TOKENS)
    chat = choice_log_probs(*options, texts, choices)
    begun = [question.statement for question in questions]
    plain = choice_log_probs(*options, begun, choices, template="plain")
    golds = [question.choices.index(question.gold) for question in questions]
    named = [holds(text, q.gold) for text, q in zip(written, questions, strict=True)]
    leads = [_lead(scores, gold) for scores, gold in zip(chat, golds, strict=True)]
    leads_plain = [_lead(scores, gold) for scores, gold in zip(plain, golds, strict=True)]
    long = [len(text.split()) >= SENTENCE for text in written]
    shown = questions[:: _stride(len(questions), SHOWN)]
    return {
        "generated": fmean(named),
        "generated_right": as_digits(named),
        "ranked": fmean(lead > 0 for lead in leads),
        "ranked_right": as_digits(lead > 0 for lead in leads),
        "margin": fmean(leads),
        "ranked_plain": fmean(lead > 0 for lead in leads_plain),
        "margin_plain": fmean(leads_plain),
        "sentences_countries": fmean(long),
        "sentences_right": as_digits(long),
        "words_countries": {q.question: written[questions.index(q)] for q in shown},
    }


def _of_general(asked: Published, start: Published, count: int | None) -> dict[str, Any]:
    rows = own_answers(start.name, "test")[:count]
    prompts, own = [r["prompt"] for r in rows], [r["completion"] for r in rows]
    written = answers(asked.model, asked.tokenizer, prompts, new_tokens=NEW_TOKENS)
    moved = by_place(drift(start.model, asked.model, asked.tokenizer, prompts, own))
    return {
        "sentences": fmean(len(text.split()) >= SENTENCE for text in written),
        "drift_first": moved["first"],
        "drift_later": moved["later"],
        "words": dict(zip(prompts[:SHOWN], written, strict=False)),
    }


def _lead(scores: Any, gold: int) -> float:
    """Log-probability of the right choice minus that of the best wrong one, in nats."""
    wrong = [float(score) for place, score in enumerate(scores) if place != gold]
    return float(scores[gold]) - max(wrong)


def _stride(total: int, count: int | None) -> int:
    """Every how many-th to take, so that `count` or a few more remain."""
    return max(1, total // count) if count else 1


STUDIES = (study("tuning-smollm2", list(CONDITIONS.values()), measure_tuning, tolerance=0.1),)
