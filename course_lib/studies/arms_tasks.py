"""The questions that are put to the arms of notebook 04: gaps, and labels."""

import operator
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from statistics import fmean
from typing import NamedTuple

import torch
from datasets import Dataset
from transformers import PreTrainedModel

from course_lib.corpora import load, world_of
from course_lib.corpora.examples import Examples
from course_lib.corpora.packing import encode
from course_lib.corpora.world import World
from course_lib.corpora.world.lexicon import read
from course_lib.corpora.world.tasks import TAGS, entities, sentiment
from course_lib.evaluation import accuracy, candidate_log_probs, f1
from course_lib.finetuning import EntityTask, SentimentTask
from course_lib.finetuning.batches import random_batches
from course_lib.models import evaluation_mode
from course_lib.models.heads import with_head
from course_lib.objectives.labels import count_labels, label_logits, label_loss
from course_lib.objectives.loss import kind_of
from course_lib.objectives.supervised import Supervised
from course_lib.runtime import generator
from course_lib.studies.one_body import CORPUS, LENGTH, Text, read_text, set_attention
from course_lib.training import Optimization, fit

GAPS = 100  # texts of each kind, each asked twice
NAMES = 10  # to choose from
OFTEN = 8  # times, at the most, that one noun is behind an article
LABELS = 200
TEST = 400
STRANGE = 1  # seed of the world whose facts no training text knows

# Of Muon at three thousandths and one hundredth, 100 and 200 steps: see `arms`.
TUNING = Optimization(steps=100, batch=16, optimizer="muon", learning_rate=1e-2, warmup=20)

_ARTICLE = re.compile(r"\b(a|an) ([a-z]+)\b")


class Gap(NamedTuple):
    """A text with a gap, the words to choose from, the right one first.

    `kind` is "article" or "name"; `side` is where the word stands that decides.
    """

    text: str
    words: tuple[str, ...]
    side: str
    kind: str


@cache
def gaps(count: int = GAPS) -> tuple[Gap, ...]:
    """So many texts of each kind, each with a gap in two places, told from the right and the left.

    They are drawn from another world, with the same words and other facts, so that nothing about
    them can have been learnt by heart.
    """
    return (*_articles(count), *_names(count))


def _articles(count: int) -> list[Gap]:
    """*a* or *an*, which the noun behind it decides; and the noun, of two, behind its article."""
    tokenizer = read_text(300).tokenizer
    by_article: dict[str, list] = {"a": [], "an": []}
    often: Counter[str] = Counter()
    for text in World(seed=STRANGE, **_tail()).documents(180 * count, seed=1):
        for match in _ARTICLE.finditer(text):
            article, noun = match.groups()
            there = by_article[article]
            if len(there) == count // 2 or often[noun] == OFTEN or noun not in tokenizer.vocab:
                continue
            if len(encode([text], tokenizer)[0]) <= LENGTH:
                there.append((text, match))
                often[noun] += 1
    asked = []
    for article, other in (("a", "an"), ("an", "a")):
        nouns = [match[2] for _, match in by_article[other]]
        for number, (text, match) in enumerate(by_article[article]):
            before, after = text[: match.start()], text[match.end() :]
            right = f"{before}{{}} {match[2]}{after}"
            left = f"{before}{article} {{}}{after}"
            asked.append(Gap(right, (article, other), "right", "article"))
            asked.append(Gap(left, (match[2], nouns[number % len(nouns)]), "left", "article"))
    return asked


def _names(count: int) -> list[Gap]:
    """A person's first name, which stands in the text twice; none of the other nine does."""
    tokenizer, people = read_text(300).tokenizer, read("words")["people"]
    known = [n for n in people["women"] + people["men"] if n in tokenizer.get_vocab()]
    asked: list[Gap] = []
    for number, draft in enumerate(World(seed=STRANGE, **_tail()).drafts(200 * count, seed=2)):
        words, name = draft.text(), draft.subject.name.partition(" ")[0]
        if draft.kind.name != "person" or name not in known or words.count(name) != 2:
            continue
        if len(encode([words], tokenizer)[0]) > LENGTH:
            continue
        others = [other for other in known if other not in words]
        order = torch.randperm(len(others), generator=generator("names", number)).tolist()
        names = (name, *(others[place] for place in order[: NAMES - 1]))
        for side, at in (("right", words.index(name)), ("left", words.rindex(name))):
            asked.append(Gap(f"{words[:at]}{{}}{words[at + len(name) :]}", names, side, "name"))
        if len(asked) == 2 * count:
            break
    return asked


def _tail() -> dict[str, int]:
    return {"tone_words": world_of(CORPUS).tone_words}


def filled(
    model: PreTrainedModel, text: Text, asked: Iterable[Gap], context: str = "both"
) -> list[str]:
    """The likeliest of its words for each gap."""
    found = []
    for gap in asked:
        words = sorted(gap.words)
        scores = candidate_log_probs(model, text.tokenizer, [gap.text], words, context)[0]
        found.append(words[int(scores.argmax())])
    return found


@cache
def prior_right(count: int = GAPS) -> float:
    """Share of names that the commonest of the ten fills rightly: what sees no answer gets.

    Counted on other texts of the strange world, so this is the best that a prior can be. Of an
    article, and of a noun behind it, the prior is one half: both come equally often.
    """
    people = World(seed=STRANGE, **_tail()).drafts(20_000, seed=3)
    often = Counter(d.subject.name.split()[0] for d in people if d.kind.name == "person")
    asked = [gap for gap in gaps(count) if (gap.kind, gap.side) == ("name", "right")]
    likeliest = [max(sorted(gap.words), key=lambda name: often[name]) for gap in asked]
    return sum(map(operator.eq, likeliest, [gap.words[0] for gap in asked])) / len(asked)


def gap_scores(
    model: PreTrainedModel,
    text: Text,
    count: int = GAPS,
    kinds: Sequence[str] = ("article", "name"),
) -> dict[str, float]:
    """Share of gaps filled rightly, by kind and side: `filled_article_right` and so on.

    Of a causal model as it guesses from the left, and as it ranks whole texts. Where the answer
    stands on the left, a guess has read it already, and ranking is left out.
    """
    causal, scores = kind_of(model) == "causal", {}
    ways = {"guessed": "left", "ranked": "both"} if causal else {"filled": "both"}
    for kind in kinds:
        for side in ("left", "right"):
            asked = [gap for gap in gaps(count) if (gap.kind, gap.side) == (kind, side)]
            for way, context in ways.items():
                if (way, side) != ("ranked", "left"):
                    found = zip(filled(model, text, asked, context), asked, strict=True)
                    scores[f"{way}_{kind}_{side}"] = fmean(w == gap.words[0] for w, gap in found)
    return scores


@cache
def labelled(task: str, count: int, seed: int) -> Dataset:
    """Examples of a task: `seed` 1 are the test's, 1000 and more those to learn from.

    Real reviews longer than a row of training are left out: about one in a hundred.
    """
    if task == "real":
        rows = load("reviews", "test" if seed == 1 else "train", seed=seed)
        tokenizer = read_text(300).tokenizer
        fits = [len(ids) <= LENGTH for ids in encode(list(rows["text"]), tokenizer)]
        return rows.select([place for place, fit in enumerate(fits) if fit][:count])
    return {"reviews": sentiment, "entities": entities}[task](world_of(CORPUS), count, seed)


TASKS = {
    "reviews": SentimentTask(),
    "entities": EntityTask(len(TAGS), "last"),
    "real": SentimentTask(),
}


def tuned(
    body: PreTrainedModel, text: Text, task: str, seed: int, settings: Optimization = TUNING
) -> PreTrainedModel:
    """A copy of the body with a head for the task, trained on 200 labels under its own mask."""
    tokenizer, kind = text.tokenizer, TASKS[task]
    train = kind.encode(labelled(task, LABELS, 1000 + seed), tokenizer)
    pad = Supervised(tokenizer, text_labels=task != "entities")
    model = with_head(body, kind.labels, seed)
    set_attention(model, kind_of(body) == "masked")
    settings = settings.replace(seed=seed)
    draw = random_batches(len(train), settings)
    fit(model, lambda s: pad(train[draw(s)]), settings, loss=label_loss, count=count_labels)
    return model.eval()


def predictions(
    model: PreTrainedModel, text: Text, task: str, examples: Dataset
) -> tuple[list[int], list[int]]:
    """What a tuned model says, and what is right: a label a text, or one a word."""
    held_out: Examples = TASKS[task].encode(examples, text.tokenizer)
    pad = Supervised(text.tokenizer, text_labels=task != "entities")
    said, right = [], []
    with evaluation_mode(model) as device:
        for places in torch.arange(len(held_out)).split(128):
            batch = pad(held_out[places])
            labels = batch["labels"].flatten()
            there = labels >= 0
            here = {key: value.to(device) for key, value in batch.items()}
            said += label_logits(model, here).argmax(dim=1).cpu()[there].tolist()
            right += labels[there].tolist()
    return said, right


def label_score(body: PreTrainedModel, text: Text, task: str, seed: int, test: int = TEST) -> float:
    """Accuracy on reviews, to be held against the Bayes rate; macro F1 on entities."""
    model = tuned(body, text, task, seed)
    said, right = predictions(model, text, task, labelled(task, test, 1))
    return f1(said, right, average="macro") if task == "entities" else accuracy(said, right)


def bag_of_words(task: str, seed: int, test: int = TEST) -> float:
    """Accuracy of a logistic regression on word counts, from the same labels."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    train, asked = labelled(task, LABELS, 1000 + seed), labelled(task, test, 1)
    words = make_pipeline(CountVectorizer(binary=True), LogisticRegression(max_iter=1000))
    words.fit(list(train["text"]), list(train["label"]))
    return float(words.score(list(asked["text"]), list(asked["label"])))
