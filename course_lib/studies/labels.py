"""What pre-training is worth to a real encoder: 200 labelled film reviews, three opponents.

If pre-training taught the encoder nothing of use, it would do as well as the same network with
fresh weights. The lazier opponents: a bag of words that is fitted to the same 200 reviews, and the
class prior, which answers the more frequent label always. The ceiling is what people agree on: each
label is the mean of twenty ratings, and reviews on which it is near zero are left out.

MiniLM was distilled from a larger encoder and then trained by contrast on pairs of sentences (Wang
et al. 2020; Reimers and Gurevych 2019), so what it is ahead by is the worth of pre-training in
general, not of masking alone.
"""

from collections import Counter

import numpy as np
import torch
from datasets import Dataset

from course_lib.corpora import load_labelled
from course_lib.evaluation import f1
from course_lib.finetuning import SentimentTask, fine_tune
from course_lib.models import evaluation_mode
from course_lib.models.real import real
from course_lib.objectives.labels import label_logits
from course_lib.objectives.supervised import Supervised
from course_lib.studies.design import recipe, study
from course_lib.training import Run

MINILM_REVIEWS = recipe("head-minilm")
REVIEWS = MINILM_REVIEWS.data.corpus
LABELLED = MINILM_REVIEWS.data.documents


def labelled_reviews() -> tuple[Dataset, Dataset]:
    """The 200 reviews that are learnt from, and the held-out ones of other documents."""
    return load_labelled(REVIEWS, "train", documents=LABELLED), load_labelled(REVIEWS, "test")


def predicted_labels(run: Run, texts: list[str]) -> list[int]:
    """The likelier label of each text."""
    pad, found = Supervised(run.tokenizer, text_labels=True), []
    ids = run.tokenizer(texts, split_special_tokens=True)["input_ids"]
    with evaluation_mode(run.model) as device:
        for part in torch.arange(len(ids)).split(64):
            batch = pad([{"input_ids": ids[i], "labels": [0]} for i in part.tolist()])
            here = {key: value.to(device) for key, value in batch.items()}
            found += label_logits(run.model, here).argmax(dim=1).tolist()
    return found


def bag_of_words(train: Dataset, test: Dataset) -> list[int]:
    """Labels by logistic regression on which words occur, fitted to the same reviews."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    words = CountVectorizer(binary=True, min_df=1)
    fitted = LogisticRegression(max_iter=1000).fit(
        words.fit_transform(train["text"]), train["label"]
    )
    return fitted.predict(words.transform(test["text"])).tolist()


def measure_reviews(run: Run) -> dict[str, float]:
    """Macro F1 on held-out reviews: tuned, the same network fresh, bag of words, class prior."""
    train, test = labelled_reviews()
    right = list(test["label"])
    fresh = real("minilm").fresh(run.recipe.seed)
    prior = Counter(train["label"]).most_common(1)[0][0]
    scores = {
        "pretrained": f1(predicted_labels(run, list(test["text"])), right, average="macro"),
        "fresh": fine_tune(
            fresh, run.tokenizer, SentimentTask(), train, test, run.recipe.optimization
        ),
        "bag_of_words": f1(bag_of_words(train, test), right, average="macro"),
        "class_prior": f1([prior] * len(right), right, average="macro"),
    }
    return {name: float(np.round(score, 6)) for name, score in scores.items()}


STUDIES = (study("minilm-reviews", [MINILM_REVIEWS], measure_reviews, tolerance=0.05),)
