"""Guards what a causal model writes: `generate` of transformers as the loops written out.

pytest tests/studies/test_as_written_by_hand.py
"""

import pytest
import torch

from course_lib.corpora import encode
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


@pytest.mark.parametrize("seed", [0, 1])
def test_documents_are_those_of_a_loop_written_out(seed):
    run = tiny_run("causal")
    with torch.random.fork_rng():
        torch.manual_seed(seed_of(seed, "write"))
        expected = [finished(text) for text in causal_by_hand(run, 6)]
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
