"""Published models and real data sets for the hub track, as pinned in `data/hub.toml`.

The calls are those that anyone would write, `AutoModel...from_pretrained` and `load_dataset`; what
is added is the pinned revision, weights from safetensors only, and errors that say what to do. No
code from a repository is ever run.
"""

import copy
import tomllib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from course_lib.runtime import CourseError, choose_device, data_path, generator, seed_of
from course_lib.runtime.hub_errors import hub_errors

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, eq=False)
class Published:
    """A published model with its tokenizer; `model` and `tokenizer` are where a `Run` has them."""

    name: str
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"

    def fresh(self, seed: int) -> "PreTrainedModel":
        """The same architecture with random weights."""
        import torch

        torch.manual_seed(seed_of(seed, "weights"))
        return type(self.model)(copy.deepcopy(self.model.config)).to(self.model.device)


@cache
def published_model(name: str) -> Published:
    """A model of `data/hub.toml` in fp32 on this session's device, fetched once and then cached.

    Raises:
        CourseError: a name that is not in the table; as `hub_errors`.
    """
    entry = pinned("models", name)
    import transformers

    model_class = getattr(transformers, entry["class"])
    revision = entry["revision"]
    with hub_errors(name):
        # Half precision, in which BLOOM is stored, is slow on a CPU and coarse for a loss.
        model = model_class.from_pretrained(
            name, revision=revision, use_safetensors=True, dtype="float32"
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, revision=revision)
    # GPT-2 was trained without padding. Padding is masked, so any token will do.
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return Published(name, model.to(choose_device()).eval(), tokenizer)


def published_rows(
    name: str, count: int, *, split: Literal["train", "test"] = "train", seed: int = 0
) -> "Dataset":
    """Rows of a data set of `data/hub.toml`, drawn without replacement, under the course's names.

    sst2 has `text` and `label` (1 is good), conll2003 `tokens` and `tags` (0 is none), opus_books
    (English and French) and cnn_dailymail (article and highlights) `source` and `target`. A row is
    never in both splits. Fewer than `count` come if there are no more.

    Raises:
        CourseError: a name that is not in the table; as `hub_errors`.
        ValueError: another split, or no rows asked for.
    """
    entry = pinned("data", name)
    if split not in ("train", "test") or count < 1:
        raise ValueError(f'split={split!r}, count={count}: "train" or "test", at least one row.')
    import torch

    with hub_errors(name):
        rows = _load(entry, entry[split])
    columns = entry["columns"]
    rows = rows.flatten().select_columns(list(columns.values()))
    rows = rows.rename_columns({theirs: ours for ours, theirs in columns.items() if ours != theirs})
    order = torch.randperm(len(rows), generator=generator(seed, name, split))
    return rows.select(order[:count].tolist())


def _load(entry: dict[str, Any], split: str) -> "Dataset":
    from datasets import load_dataset
    from huggingface_hub import hf_hub_download

    id, revision = entry["id"], entry["revision"]
    if "file" not in entry:
        return load_dataset(id, entry.get("config"), revision=revision, split=split)
    # `load_dataset` would fetch every split of the repository, which here is far too much.
    path = hf_hub_download(id, entry["file"], repo_type="dataset", revision=revision)
    return load_dataset("parquet", data_files=path, split=split)


def pinned(kind: Literal["models", "data"], name: str) -> dict[str, Any]:
    """The entry of a model or a data set in `data/hub.toml`.

    Raises:
        CourseError: there is none of that name.
    """
    table = tomllib.loads(data_path("hub.toml").read_text(encoding="utf-8"))[kind]
    if name not in table:
        raise CourseError(
            f"{name!r} is not pinned in data/hub.toml: choose one of {', '.join(table)}, or add it."
        )
    return table[name]
