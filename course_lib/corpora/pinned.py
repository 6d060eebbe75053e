"""Real data sets of the hub for the hub track, and what `data/hub.toml` pins.

The call is the one that anyone would write, `load_dataset`; what is added is the pinned revision
and errors that say what to do. No code from a repository is ever run.
"""

import tomllib
from typing import TYPE_CHECKING, Any, Literal

from datasets import Dataset

from course_lib.runtime import CourseError, data_path, generator
from course_lib.runtime.checks import Count, Text, Whole, checked
from course_lib.runtime.hub_errors import hub_errors

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@checked
def published_rows(
    name: Text, count: Count, *, split: Literal["train", "test"] = "train", seed: Whole = 0
) -> Dataset:
    """Rows of a data set of `data/hub.toml`, drawn without replacement, under the course's names.

    sst2 has `text` and `label` (1 is good), conll2003 `tokens` and `tags` (0 is none), opus_books
    (English and French) and cnn_dailymail (article and highlights) `source` and `target`. A row is
    never in both splits. Fewer than `count` come if there are no more.

    Raises:
        CourseError: a name that is not in the table; as `hub_errors`.
        BadArgumentError: another split, or no rows asked for.
    """
    entry = pinned("data", name)
    import torch

    with hub_errors(name):
        rows = _load(entry, entry[split])
    columns = entry["columns"]
    rows = rows.flatten().select_columns(list(columns.values()))
    rows = rows.rename_columns({theirs: ours for ours, theirs in columns.items() if ours != theirs})
    order = torch.randperm(len(rows), generator=generator(seed, name, split))
    return rows.select(order[:count].tolist())


def _load(entry: dict[str, Any], split: str) -> Dataset:
    from datasets import load_dataset
    from huggingface_hub import hf_hub_download

    id, revision = entry["id"], entry["revision"]
    if "file" not in entry:
        return load_dataset(id, entry.get("config"), revision=revision, split=split)
    # `load_dataset` would fetch every split of the repository, which here is far too much.
    path = hf_hub_download(id, entry["file"], repo_type="dataset", revision=revision)
    return load_dataset("parquet", data_files=path, split=split)


@checked
def published_tokenizer(name: Text) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model of `data/hub.toml`, for training a fresh model with it.

    One that puts no mark around a document, as GPT-2's, puts its end of text before each, so that
    documents that are packed can be told apart; one without padding pads with that, too.

    Raises:
        CourseError: a name that is not in the table; as `hub_errors`.
    """
    from tokenizers.processors import Sequence, TemplateProcessing
    from transformers import AutoTokenizer

    with hub_errors(name):
        found = AutoTokenizer.from_pretrained(name, revision=pinned("models", name)["revision"])
    found.pad_token = found.pad_token or found.eos_token
    if not found("")["input_ids"]:
        mark, core = found.eos_token, found.backend_tokenizer
        ids = [(mark, found.eos_token_id)]
        marked = TemplateProcessing(single=f"{mark} $A", pair=f"{mark} $A $B", special_tokens=ids)
        before = [core.post_processor] if core.post_processor else []
        core.post_processor = Sequence([*before, marked])
    return found


@checked
def pinned(kind: Literal["models", "data"], name: Text) -> dict[str, Any]:
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
