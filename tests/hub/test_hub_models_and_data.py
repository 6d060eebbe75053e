"""Guards the hub track's loaders: pinned revisions, safetensors, no code, errors that help.

Against a hub on loopback, each in a process that knows no other hub and none of the reader's
caches. A process takes seconds to start, so each tries many things.

pytest tests/hub/test_hub_models_and_data.py
"""

import copy
import hashlib
import re
import shutil
from pathlib import Path

import pytest
from contents import OLD_NAMES, PINNED
from loopback import LoopbackHub, Repository, Request

ROOT = Path(__file__).resolve().parents[2]
REVISIONS = {name: entry["revision"] for kind in PINNED.values() for name, entry in kind.items()}
MODELS, DATA = list(PINNED["models"]), list(PINNED["data"])
BEGIN = f"""
    from course_lib.classroom import begin
    from course_lib.corpora.pinned import published_rows
    from course_lib.models.pinned import published_model
    from course_lib.runtime import CourseError

    course = begin("01_masked_language_modeling", budget="smoke", track="hub")

    def attempt(models={MODELS}, data={DATA}):
        '''What each model and data set gave: its size, or the sentence that says why not.'''
        told = {{}}
        for load, names in ((published_model, models), (published_rows, data)):
            for name in names:
                try:
                    if load is published_model:
                        told[name] = sum(p.numel() for p in load(name).model.parameters())
                    else:
                        told[name] = len(load(name, 20, split="test"))
                except CourseError as error:
                    told[name] = str(error)
        return told
"""


def repositories(hub: LoopbackHub) -> dict[str, tuple[tuple[str, str], Repository]]:
    """What the hub holds, and where, by the table's names."""
    keys = {name: ("models", OLD_NAMES.get(name, name)) for name in MODELS}
    keys |= {name: ("datasets", PINNED["data"][name]["id"]) for name in DATA}
    return {name: (key, hub.repositories[key]) for name, key in keys.items()}


def downloads(hub: LoopbackHub) -> list[str]:
    """The large files that were fetched, whole or in part."""
    return [r.path for r in hub.requests if r.method == "GET" and "/storage/" in r.path]


def asked_of(hub: LoopbackHub) -> list[tuple[str, Request]]:
    """Requests for files and lists of files, each with the revision it names."""
    pattern = re.compile("/(?:resolve|tree)/([^/?]+)")
    return [(match[1], r) for r in hub.requests if (match := pattern.search(r.path))]


def test_every_revision_is_a_whole_commit():
    for revision in REVISIONS.values():
        assert re.fullmatch("[0-9a-f]{40}", revision)


def test_all_comes_at_its_revision_and_stays(hub, client, tmp_path):
    """A disk that takes nothing; one that does, and a line that breaks; then no line at all."""
    _, weights = repositories(hub)["bert-base-uncased"]
    weights.cut = 30_000
    first = client(
        BEGIN
        + f"""
    import errno, torch, huggingface_hub.constants
    import huggingface_hub.file_download as files, huggingface_hub.hf_file_system as system

    whole = files.http_get
    result = {{}}
    for number in ("ENOSPC", "EACCES"):
        def http_get(*args, **kwargs):
            raise OSError(getattr(errno, number), "as the system says it")
        files.http_get = system.http_get = http_get
        result[number] = attempt()
    files.http_get = system.http_get = whole
    huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 10_000  # of files that are small themselves

    models = course.published(*{MODELS})
    for name, one in models.items():
        assert one.model.dtype == torch.float32 and not one.model.training
        parameters, fresh, again = (
            dict(m.named_parameters()) for m in (one.model, one.fresh(0), one.fresh(0))
        )
        assert fresh.keys() == parameters.keys()
        assert all(torch.equal(fresh[key], again[key]) for key in fresh)
        assert any(not torch.equal(fresh[key], parameters[key]) for key in fresh)
    for name in {DATA}:
        drawn = {{split: published_rows(name, 20, split=split) for split in ("train", "test")}}
        other = published_rows(name, 20, seed=1)
        result[name] = [[str(row) for row in rows] for rows in (*drawn.values(), other)]
        result[name].append(other.column_names)
    """
    )
    assert "Trying to resume" in first["stderr"]
    assert len(first["stderr"].splitlines()) == 2, first["stderr"]
    for number, sentence in {"ENOSPC": "disk is full", "EACCES": "a folder that you can"}.items():
        for name in MODELS + DATA:
            assert sentence in first[number][name], first[number][name]
            assert name in first[number][name]
    for name in DATA:
        train, test, other, columns = first[name]
        assert columns == list(PINNED["data"][name]["columns"])
        assert len(set(train)) == len(set(test)) == len(set(other)) == 20
        assert not set(train) & set(test)
        assert set(train) != set(other)

    assert weights.cut is None, "the download did not break off"
    resumed = [(request.range, request.status) for request in hub.requests if request.range]
    assert resumed == [("bytes=30000-", 206)]
    content = weights.revisions[REVISIONS["bert-base-uncased"]]["model.safetensors"]
    digest = hashlib.sha256(content).hexdigest()
    (blob,) = (tmp_path / "hf" / "hub").glob(f"models--bert-base-uncased/blobs/{digest}")
    assert blob.read_bytes() == content

    pinned = set(REVISIONS.values())
    assert {revision for revision, _ in asked_of(hub)} == pinned
    kept = {path.name for path in (tmp_path / "hf" / "hub").glob("*/snapshots/*")}
    assert kept == pinned
    fetched = [r.path for r in hub.requests if r.method == "GET"]
    assert not [path for path in fetched if path.endswith((".py", ".bin", ".msgpack", ".h5"))]
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file()] == []

    hub.requests.clear()
    gone = {"gpt2": "hub/models--gpt2", "conll2003": "datasets/eriktks___conll2003"}
    for folder in gone.values():
        shutil.rmtree(tmp_path / "hf" / folder)
    second = client(f"{BEGIN}\n    result = attempt()", HF_HUB_OFFLINE="1")
    assert second.pop("stderr") == ""
    for name, told in second.items():
        assert isinstance(told, int) or (name in gone and "HF_HUB_OFFLINE" in told), told
    assert hub.requests == [], "what was fetched once needs no network"


# What is wrong with each, and what the reader is told.
TROUBLE = {
    "bert-base-uncased": ("missing", "There is no bert-base-uncased on the hub"),
    "roberta-base": ("gated", "accept its terms|do so on its page"),
    "gpt2": (429, "takes no more requests"),
    "bigscience/bloom-560m": ("moved", "has no such revision any more"),
    "t5-small": (503, r"trouble of its own \(503\)"),
    "facebook/bart-base": ("pickled", "has no weights as safetensors"),
    "HuggingFaceTB/SmolLM2-135M-Instruct": (401, r"refuses HuggingFaceTB/SmolLM2.* \(401\)"),
    "HuggingFaceTB/SmolLM2-135M": (503, r"trouble of its own \(503\)"),
    "google/flan-t5-small": ("moved", "has no such revision any more"),
    "sentence-transformers/all-MiniLM-L6-v2": ("missing", "There is no sentence-transformers/all"),
    "sst2": ("missing", "There is no sst2 on the hub"),
    "conll2003": ("gated", "accept its terms|do so on its page"),
    "opus_books": (429, "takes no more requests"),
    "cnn_dailymail": (403, r"refuses cnn_dailymail \(403\)"),
    "dolly": ("missing", "There is no dolly on the hub"),
}


def troubled(hub: LoopbackHub) -> LoopbackHub:
    """The same hub, where every repository has a trouble of its own."""
    broken = LoopbackHub()
    broken.old_names = dict(hub.old_names)
    for name, (key, repository) in repositories(hub).items():
        trouble = TROUBLE[name][0]
        repository = copy.deepcopy(repository)
        if trouble == "moved":
            del repository.revisions[REVISIONS[name]]
        elif trouble == "pickled":
            files = repository.revisions[REVISIONS[name]]
            files["pytorch_model.bin"] = files.pop("model.safetensors")
        elif trouble == "gated":
            repository.gated = True
        elif trouble != "missing":
            repository.status = trouble
        if trouble != "missing":
            broken.repositories[key] = repository
    return broken


def test_each_trouble_is_one_sentence_that_says_what_to_do(hub, client):
    broken = troubled(hub)
    with broken.serve() as address:
        told = client(f"{BEGIN}\n    result = attempt()", endpoint=address, patient=False)
    for name, (_, sentence) in TROUBLE.items():
        assert re.search(sentence, str(told[name])), told[name]
        assert "\n" not in told[name]
        assert told[name].endswith(".")
    assert downloads(broken) == []


def test_without_a_network_it_says_so(client):
    told = client(f"{BEGIN}\n    result = attempt()", "http://127.0.0.1:9", patient=False)
    for name in TROUBLE:
        assert str(told[name]).startswith(f"Cannot reach the hub for {name}: connect"), told[name]


def test_a_name_that_is_not_pinned_is_refused():
    from course_lib.corpora.pinned import published_rows
    from course_lib.models.pinned import published_model
    from course_lib.runtime import CourseError

    with pytest.raises(CourseError, match=r"'bert-large' is not pinned .* bert-base-uncased"):
        published_model("bert-large")
    with pytest.raises(CourseError, match=r"'imdb' is not pinned .* sst2"):
        published_rows("imdb", 5)
    with pytest.raises(ValueError, match="split='validation'"):
        published_rows("sst2", 5, split="validation")


def test_the_code_of_a_repository_is_never_trusted():
    sources = [*(ROOT / "course_lib").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]
    assert not [path for path in sources if "trust_remote_code" in path.read_text()]


def test_the_real_models_come_from_the_hub_too_and_each_call_gives_its_own(client):
    result = client(f"""{BEGIN}
    from course_lib.models.real import chat, real

    smol, again, minilm = (real(n, track="hub") for n in ("smollm2", "smollm2", "minilm"))
    result = {{
        "names": [smol.name, minilm.name],
        "classes": [type(smol.model).__name__, type(minilm.model).__name__],
        "shared": smol.model is again.model,
        "answer": chat(smol.model, smol.tokenizer, "Where is it?", tokens=4),
    }}
    """)
    assert result["names"] == ["smollm2", "minilm"]
    assert result["classes"] == ["LlamaForCausalLM", "BertModel"]
    assert not result["shared"]
    assert isinstance(result["answer"], str)
