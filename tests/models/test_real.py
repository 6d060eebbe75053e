"""Guards the two real models: they answer, in fp32, offline, from a cold start; no hub is asked.

Skipped where `python -m course_lib setup` has not been run; `make test` runs it first.

pytest tests/models/test_real.py
"""

import json
import subprocess
import sys
import types

import pytest
import torch
import transformers
from refusals import assert_refused

from course_lib.models import Published
from course_lib.models import real as module
from course_lib.models.real import REAL, chat, real
from course_lib.runtime.packaged import packaged_path

here = pytest.mark.skipif(
    not all(packaged_path(name).is_dir() for name in REAL),
    reason="the real models are not here: run `python -m course_lib setup`",
)

COLD = """
import json, resource, socket

def refuse(*arguments, **options):
    raise OSError("the network is cut")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from course_lib.models.real import chat, real
from course_lib.runtime.resident import peak_memory

smol = real("smollm2")
answer = chat(smol.model, smol.tokenizer, "What is the capital of Peru?")
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([answer, used.ru_utime + used.ru_stime, peak_memory() / 1e6]))
"""


@here
def test_a_cold_start_without_a_network_names_the_capital_of_peru():
    """Seconds of the processor, on one thread: those of the clock depend on who else computes."""
    done = subprocess.run([sys.executable, "-c", COLD], capture_output=True, text=True, check=True)
    answer, seconds, megabytes = json.loads(done.stdout)
    assert "Lima" in answer
    assert seconds < 15
    assert megabytes < 1500
    assert done.stderr == "", "a stored output would show this"


@here
def test_the_answer_is_that_of_the_plain_library_call():
    """The three lines that anyone would write, on the folder that set-up made."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = packaged_path("smollm2")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    turns = [{"role": "user", "content": "Name a fruit."}]
    text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    assert text.endswith("<|im_start|>assistant\n")
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    written = model.generate(ids, max_new_tokens=8, do_sample=False)
    plain = tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True)
    assert chat(model, tokenizer, "Name a fruit.", tokens=8) == plain


@here
@pytest.mark.parametrize("name", REAL)
def test_no_file_tells_which_release_of_transformers_made_it(name):
    """A run is named by the hashes of what it started from: the same on every machine."""
    for file in ("config.json", "generation_config.json"):
        path = packaged_path(name, file)
        assert not path.exists() or transformers.__version__ not in path.read_text("utf-8")


@here
def test_the_tokenizer_is_the_published_one():
    """It splits off each digit first, then spaces: "  12" begins with one token of two spaces."""
    tokenizer = real("smollm2").tokenizer
    assert tokenizer.tokenize("  12 x") == ["ĠĠ", "1", "2", "Ġx"]
    special = [tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token]
    assert special == ["<|im_start|>", "<|im_end|>", "<|im_end|>", "<|endoftext|>"]
    assert (tokenizer.eos_token_id, len(tokenizer)) == (2, 49_152)
    assert tokenizer("no marks are added")["input_ids"][0] > 16
    text = "It is 3.14 , isn't it ?\n\n  Café: 100,000 €"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@here
@pytest.mark.parametrize(("name", "weights"), [("smollm2", 134_515_008), ("minilm", 22_713_216)])
def test_a_model_is_whole_in_fp32_ready_to_measure_and_the_callers_own(name, weights):
    one, other = real(name), real(name)
    assert isinstance(one, Published)
    assert one.name == name
    assert sum(p.numel() for p in one.model.parameters()) == weights
    assert {p.dtype for p in one.model.parameters()} == {torch.float32}
    assert not one.model.training
    assert one.tokenizer.pad_token is not None
    assert one.tokenizer.model_max_length == one.model.config.max_position_embeddings
    with torch.no_grad():
        next(one.model.parameters()).zero_()
    assert next(other.model.parameters()).abs().sum() > 0


@here
def test_sentences_of_one_meaning_lie_closer_for_the_encoder():
    """Cosine of the mean vector over the tokens, as its card prescribes."""
    minilm = real("minilm")
    texts = ["The film was wonderful.", "I loved this movie.", "The train leaves at noon."]
    batch = minilm.tokenizer(texts, padding=True, return_tensors="pt").to(minilm.model.device)
    with torch.no_grad():
        states = minilm.model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    vectors = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
    same, different = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert same > different + 0.3


@here
def test_one_that_watches_is_told_how_large_it_is_and_how_long_it_took(monkeypatch, capsys):
    monkeypatch.delenv("COURSE_QUIET")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    real("minilm")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("minilm: 22.7 million weights, 91 MB in fp32, ")


@pytest.mark.parametrize("name", REAL)
def test_without_set_up_the_remedy_is_named(monkeypatch, tmp_path, name):
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path))
    assert_refused(lambda: real(name), f"{name} is not in", "python -m course_lib setup")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "smollm"}, ["name='smollm'", "'smollm2' or 'minilm'"]),
        ({"name": None}, ["name=None"]),
        ({"name": "minilm", "track": "online"}, ["track='online'", "'offline' or 'hub'"]),
    ],
)
def test_names_that_are_none_are_refused(arguments, words):
    assert_refused(lambda: real(**arguments), "real: ", *words)


def test_on_the_hub_track_the_pinned_repository_is_asked_and_nothing_is_shared(monkeypatch):
    asked = []

    def publish(repository):
        asked.append(repository)
        return Published(repository, object(), object())

    monkeypatch.setattr(module, "published_model", types.SimpleNamespace(__wrapped__=publish))
    found = [real("smollm2", track="hub") for _ in range(2)]
    assert [one.name for one in found] == ["smollm2"] * 2
    assert asked == ["HuggingFaceTB/SmolLM2-135M-Instruct"] * 2
    assert found[0].model is not found[1].model
