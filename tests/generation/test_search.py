"""Guards greedy and beam search: against `generate` of transformers, and by definition.

pytest tests/generation/test_search.py
"""

import pytest
import torch
from tiny import closing_tokenizer, documents, tiny_model
from torch import nn

from course_lib.corpora import encode_sources
from course_lib.evaluation import teacher_forcing
from course_lib.generation import beam_search, generate_targets, greedy_search

LIMIT = 12


def lively(family, seed):
    """Random weights, large enough that sources get different answers, some of which end early."""
    model = tiny_model(family, seed=seed, length=40)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            nn.init.normal_(parameter, std=1.5 if "ttn" in name or "Attention" in name else 0.5)
    with torch.no_grad():
        model.get_input_embeddings().weight[model.config.eos_token_id] *= 2.0
    return model.eval()


def batch_of(model, family, count=12, seed=0):
    return encode_sources(closing_tokenizer(family), documents(count, "decoding", seed))


def reference(model, batch, **settings):
    """What transformers writes, without the start token."""
    ids = model.generate(
        **batch, do_sample=False, max_new_tokens=LIMIT, forced_eos_token_id=None, **settings
    )
    return ids[:, 1:]


def texts_of(ids, model):
    """Each row up to its end token. (Behind it, transformers' beam search may repeat the end.)"""
    end = model.config.eos_token_id
    return [row[: row.index(end) + 1] if end in row else row for row in ids.tolist()]


@pytest.mark.parametrize("family", ["t5", "bart"])
@pytest.mark.parametrize("seed", range(3))
def test_greedy_search_writes_what_transformers_writes(family, seed):
    model = lively(family, seed)
    batch = batch_of(model, family, seed=seed)
    ours, theirs = greedy_search(model, batch, LIMIT), reference(model, batch)
    assert texts_of(ours, model) == texts_of(theirs, model)


@pytest.mark.parametrize("family", ["t5", "bart"])
@pytest.mark.parametrize("beams", [1, 2, 5])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
def test_beam_search_finds_what_transformers_finds(family, beams, length_penalty):
    for seed in range(3):
        model = lively(family, seed)
        batch = batch_of(model, family, seed=seed)
        ours = beam_search(model, batch, beams, LIMIT, length_penalty)
        if beams == 1:
            assert torch.equal(ours, greedy_search(model, batch, LIMIT))
            continue
        theirs = reference(model, batch, num_beams=beams, length_penalty=length_penalty)
        assert texts_of(ours, model) == texts_of(theirs, model)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_the_texts_compared_differ_and_end_early_and_late(family):
    """Otherwise the comparisons above would say little."""
    for beams in (1, 5):
        texts = []
        for seed in range(3):
            model = lively(family, seed)
            batch = batch_of(model, family, seed=seed)
            texts += texts_of(beam_search(model, batch, beams, LIMIT), model)
        lengths = [len(text) for text in texts]
        assert min(lengths) < LIMIT / 2
        assert max(lengths) == LIMIT
        assert len(set(map(tuple, texts))) > len(texts) / 3


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_each_greedy_token_is_the_likeliest_after_those_before_it(family):
    """In one pass over the finished text, without anything remembered from earlier tokens."""
    model = lively(family, 7)
    batch = batch_of(model, family)
    ids = greedy_search(model, batch, LIMIT)
    with torch.no_grad():
        logits = model(**batch, labels=ids).logits
    written = ids != model.config.pad_token_id
    assert torch.equal(logits.argmax(dim=-1)[written], ids[written])


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_a_beam_as_wide_as_the_vocabulary_finds_the_best_text_there_is(length_penalty):
    """Of all texts of one or two tokens."""
    model, tokenizer = lively("bart", 1), closing_tokenizer("bart")
    batch = encode_sources(tokenizer, ["the cat sat"])
    size, end = len(tokenizer), model.config.eos_token_id
    [found] = texts_of(beam_search(model, batch, size, 2, length_penalty), model)
    with torch.no_grad():
        first_tokens = nn.functional.pad(torch.arange(size)[:, None], (0, 1))
        copies = {name: value.expand(size, -1) for name, value in batch.items()}
        log_probs = model(**copies, labels=first_tokens).logits.log_softmax(dim=-1)
    first, second = log_probs[0, 0], log_probs[:, 1]
    scores = (first[:, None] + second) / 2**length_penalty
    scores[end] = first[end]  # whatever would come after it
    pad = model.config.pad_token_id  # which this model may write, and which is cut off at the end
    place = (found[0], found[1] if len(found) > 1 else pad)
    assert scores[place].item() == pytest.approx(scores.max().item(), rel=1e-5)


@pytest.mark.parametrize("family", ["t5", "bart"])
@pytest.mark.parametrize("beams", [1, 3])
def test_a_source_is_answered_alone_as_among_others(family, beams):
    """Padding and the order of sources change nothing."""
    model, tokenizer = lively(family, 2), closing_tokenizer(family)
    sources = documents(9, "alone")
    assert len({len(source.split()) for source in sources}) > 3
    settings = {"beams": beams, "max_new_tokens": 8}
    together = generate_targets(model, tokenizer, sources, batch_size=4, **settings)
    alone = [generate_targets(model, tokenizer, [source], **settings)[0] for source in sources]
    assert together == alone
    assert len(set(together)) > 3


def test_the_model_is_left_in_its_mode():
    model = lively("t5", 0).train()
    generate_targets(model, closing_tokenizer("t5"), ["the cat"], max_new_tokens=2)
    assert model.training


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_teacher_forcing_adds_up_to_the_models_own_loss(family):
    model, tokenizer = lively(family, 2), closing_tokenizer(family)
    sources, targets = documents(7, "sources"), documents(7, "targets")
    scores = teacher_forcing(model, tokenizer, sources, targets, batch_size=3)
    for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
        batch = dict(tokenizer(source, return_tensors="pt"))
        batch.pop("token_type_ids", None)
        labels = tokenizer(target, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            output = model(**batch, labels=labels)
        assert scores.tokens[row] == labels.numel()
        assert scores.nats[row] == pytest.approx(output.loss.item() * labels.numel(), rel=1e-4)
        assert scores.right[row] == (output.logits.argmax(dim=-1) == labels).sum()
