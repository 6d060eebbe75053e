"""Guards what models write in notebook 04: `generate` of transformers as the loops written out.

pytest tests/studies/test_as_written_by_hand.py
"""

import pytest
import torch

from course_lib.corpora import encode
from course_lib.objectives import SpanCorruption
from course_lib.runtime import seed_of
from course_lib.studies import objectives, translating
from course_lib.studies.objectives import RECIPES
from course_lib.studies.writing import finished, write
from course_lib.training import Run, fresh_model

LENGTH = 12
SOURCES = ["The cat sat.", "The dog sat on the rug.", "Rain fell.", "The cat.", "A dog sat."]


def tiny_run(name):
    recipe = RECIPES[name].replace(width=16, heads=2, layers=1, length=LENGTH)
    tokenizer = objectives._tokenizers()[list(RECIPES).index(name)]
    return Run(fresh_model(recipe, tokenizer).eval(), tokenizer, recipe, [])


def drawn(logits):
    return torch.multinomial(logits.softmax(dim=-1), 1)


@torch.no_grad()
def causal_by_hand(run, documents):
    end = run.tokenizer.eos_token_id
    ids = torch.full((documents, 1), run.tokenizer.bos_token_id)
    going_on = torch.ones_like(ids, dtype=torch.bool)
    while going_on.any() and ids.shape[1] < LENGTH:
        token = drawn(run.model(ids).logits[:, -1]).masked_fill(~going_on, end)
        going_on &= token != end
        ids = torch.cat([ids, token], dim=1)
    return run.tokenizer.batch_decode(ids, skip_special_tokens=True)


@torch.no_grad()
def spans_by_hand(run, documents):
    """Each document by itself is another stream of draws, so all are written side by side."""
    tokenizer, model = run.tokenizer, run.model
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    sentinels = SpanCorruption.from_tokenizer(tokenizer).sentinel_ids.tolist()
    first = sentinels[0]
    texts, unfinished = [[] for _ in range(documents)], list(range(documents))
    while unfinished:
        asked = [[end, *texts[i], first, end] for i in unfinished]
        longest = max(map(len, asked))
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in asked])
        written = torch.tensor([[model.config.decoder_start_token_id, first]] * len(asked))
        going_on = torch.ones(len(asked), 1, dtype=torch.bool)
        while going_on.any() and written.shape[1] < LENGTH:
            logits = model(
                input_ids=ids, attention_mask=(ids != pad).long(), decoder_input_ids=written
            ).logits[:, -1]
            token = drawn(logits)
            going_on &= ~torch.isin(token, torch.tensor([*sentinels, end]))
            written = torch.cat([written, token.masked_fill(~going_on, pad)], dim=1)
        spans = [[t for t in row if t != pad] for row in written[:, 2:].tolist()]
        for i, span in zip(unfinished, spans, strict=True):
            texts[i] += span
        unfinished = [
            i
            for i, span in zip(unfinished, spans, strict=True)
            if span and len(texts[i]) < LENGTH - 1
        ]
    return tokenizer.batch_decode([t[: LENGTH - 1] for t in texts], skip_special_tokens=True)


@pytest.mark.parametrize(("name", "by_hand"), [("causal", causal_by_hand), ("span", spans_by_hand)])
@pytest.mark.parametrize("seed", [0, 1])
def test_documents_are_those_of_a_loop_written_out(name, by_hand, seed):
    run = tiny_run(name)
    with torch.random.fork_rng():
        torch.manual_seed(seed_of(seed, "write"))
        expected = [finished(text) for text in by_hand(run, 6)]
    assert write(run, 6, seed) == expected
    assert len(set(expected)) > 3


@torch.no_grad()
def test_translations_are_the_likeliest_tokens_one_by_one():
    run = tiny_run("causal")
    end, written = run.tokenizer.eos_token_id, []
    for source in SOURCES:
        [ids] = encode([source], run.tokenizer)
        given = [*ids, end]
        ids = torch.tensor([given])
        while ids.shape[1] < LENGTH and (ids.shape[1] == len(given) or ids[0, -1] != end):
            token = run.model(ids).logits[:, -1].argmax(dim=-1, keepdim=True)
            ids = torch.cat([ids, token], dim=1)
        written.append(run.tokenizer.decode(ids[0, len(given) :], skip_special_tokens=True))
    assert translating._continue(run.model, run, SOURCES) == written
    assert len(set(written)) > 2
