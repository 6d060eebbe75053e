"""Guards fine-tuning with a new head: the body is reused, labels stand where they should.

pytest tests/finetuning/test_heads.py
"""

import pytest
import torch
from datasets import Dataset

from course_lib.corpora import World, load, train_tokenizer
from course_lib.corpora.world.tasks import TAGS, entities, sentiment
from course_lib.finetuning import EntityTask, SentimentTask, fine_tune
from course_lib.finetuning.heads import _with_head
from course_lib.models import build
from course_lib.training import Optimization

SETTINGS = Optimization(steps=3, batch=4, warmup=0, learning_rate=1e-3)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer("bert", load("world", documents=300)["text"], vocab_size=512)


@pytest.fixture(scope="module")
def body(tokenizer):
    torch.manual_seed(0)
    return build("bert", tokenizer, width=16, layers=1, heads=2, length=128)


def test_the_body_is_taken_over_weight_for_weight(body):
    model = _with_head(body, SentimentTask(), seed=0)
    ours, theirs = body.base_model.state_dict(), model.base_model.state_dict()
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)


def test_the_head_follows_the_seed_and_fine_tuning_leaves_the_body_alone(body, tokenizer):
    heads = [_with_head(body, SentimentTask(), seed).classifier.weight for seed in (0, 0, 1)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    before = {name: tensor.clone() for name, tensor in body.state_dict().items()}
    data = sentiment(World(), 8)
    fine_tune(body, tokenizer, SentimentTask(), data, data, SETTINGS)
    assert all(torch.equal(tensor, before[name]) for name, tensor in body.state_dict().items())


def test_each_word_has_its_tag_once_at_its_first_piece(tokenizer):
    data = entities(World(), 20)
    encoded = EntityTask(len(TAGS)).encode(data, tokenizer)
    for row, tags in enumerate(data["tags"]):
        labels = encoded["labels"][row]
        assert labels[labels != -100].tolist() == tags
        assert labels[encoded["attention_mask"][row] == 0].eq(-100).all()


def test_an_easy_task_is_learned(body, tokenizer):
    data = Dataset.from_dict(
        {"text": ["The cat sat on the mat.", "The dog sat on the rug."] * 8, "label": [0, 1] * 8}
    )
    settings = Optimization(steps=60, batch=8, warmup=5, learning_rate=5e-3)
    assert fine_tune(body, tokenizer, SentimentTask(), data, data, settings) == 1.0


def test_the_same_seed_gives_the_same_score(body, tokenizer):
    data = sentiment(World(), 24)
    scores = [fine_tune(body, tokenizer, SentimentTask(), data, data, SETTINGS) for _ in range(2)]
    assert scores[0] == scores[1]


def test_no_examples_are_refused(body, tokenizer):
    data = sentiment(World(), 4)
    with pytest.raises(ValueError, match="at least one"):
        fine_tune(body, tokenizer, SentimentTask(), data.select([]), data, SETTINGS)
