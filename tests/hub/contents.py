"""What the loopback hub holds: the repositories of `data/hub.toml`, with tiny random models.

Files, tokenizer classes and special tokens are those of the real repositories, since that is where
they differ from the models of the course: GPT-2 has no padding token and opens no text, BERT reads
lower case, RoBERTa and BART number their special tokens as fairseq did, BLOOM pads on the left.
"""

import io
import json
import tempfile
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import datasets
import torch
from loopback import LoopbackHub
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    GPT2Tokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    RobertaTokenizer,
)
from transformers.utils import logging

from course_lib.corpora import World, train_tokenizer
from course_lib.corpora.vocabularies import train_byte_bpe, train_wordpiece
from course_lib.corpora.world.tasks import entities, sentiment
from course_lib.models import build
from course_lib.runtime import data_path

PINNED = tomllib.loads(data_path("hub.toml").read_text())
OLD_NAMES = {
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "roberta-base": "FacebookAI/roberta-base",
    "gpt2": "openai-community/gpt2",
    "t5-small": "google-t5/t5-small",
}
NEWER = "f" * 40  # what `main` is in every repository: a commit that lacks what was pinned
FAIRSEQ = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
VOCABULARY = 700
ROWS = {"train": 400, "validation": 120, "test": 100}


def fill(hub: LoopbackHub) -> None:
    """Put all models and data sets of the table into a hub."""
    logging.disable_progress_bar()
    datasets.disable_progress_bars()
    world = World()
    texts = world.documents(400, seed=1)
    tokenizers = {
        "bert-base-uncased": (bert_tokenizer, "bert", {"do_lower_case": True}),
        "roberta-base": (fairseq_tokenizer, "roberta", {}),
        "gpt2": (gpt2_tokenizer, "gpt2", {}),
        "bigscience/bloom-560m": (bloom_tokenizer, "bloom", BLOOM),
        "t5-small": (lambda t: train_tokenizer("t5", t, VOCABULARY), "t5", None),
        "facebook/bart-base": (fairseq_tokenizer, "bart", None),
        "HuggingFaceTB/SmolLM2-135M-Instruct": (chat_tokenizer, "llama", None),
        "HuggingFaceTB/SmolLM2-135M": (smollm_tokenizer, "llama", None),
        "google/flan-t5-small": (lambda t: train_tokenizer("t5", t, VOCABULARY), "t5", None),
        "sentence-transformers/all-MiniLM-L6-v2": (bert_tokenizer, "encoder", None),
    }
    assert sorted(tokenizers) == sorted(PINNED["models"])
    for name, (make, family, settings) in tokenizers.items():
        files = model_files(family, make(texts), settings)
        hub.add("models", OLD_NAMES.get(name, name), PINNED["models"][name]["revision"], files)
    hub.old_names.update(OLD_NAMES)

    makers = {
        "sst2": sst2_files,
        "conll2003": conll_files,
        "opus_books": books_files,
        "cnn_dailymail": news_files,
        "dolly": dolly_files,
    }
    assert sorted(makers) == sorted(PINNED["data"])
    for name, make in makers.items():
        entry = PINNED["data"][name]
        hub.add("datasets", entry["id"], entry["revision"], make(world))
    for kind, name in list(hub.repositories):
        hub.add(kind, name, NEWER, {"README.md": b"The files of this one are elsewhere today."})


def model_files(
    family: str, tokenizer: PreTrainedTokenizerBase, settings: dict[str, Any] | None
) -> dict[str, bytes]:
    """The files of a model repository; `settings` is what its tokenizer_config.json says.

    With None the tokenizer's own settings are kept.
    """
    padded = tokenizer.pad_token
    tokenizer.pad_token = padded or tokenizer.eos_token  # for the sizes of the model alone
    torch.manual_seed(0)
    model = tiny_model(family, tokenizer)
    tokenizer.pad_token = padded
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        model.save_pretrained(folder)
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    if settings is not None:
        files["tokenizer_config.json"] = json.dumps(settings | {"model_max_length": 512}).encode()
    return files


def tiny_model(family: str, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """One layer of a family of the course, of a Llama, or of an encoder without a head."""
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    shape |= {"vocab_size": len(tokenizer), "intermediate_size": 32}
    if family == "llama":
        ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
        return LlamaForCausalLM(LlamaConfig(**shape, **ids, num_key_value_heads=1))
    if family == "encoder":
        return BertModel(BertConfig(**shape))
    return build(family, tokenizer, width=16, layers=1, heads=2, length=512)


def chat_tokenizer(texts: list[str]) -> PreTrainedTokenizerBase:
    """Padded with its end, as SmolLM2's: <|im_end|> closes a turn and a text alike."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    names = {"bos_token": special[1], "eos_token": special[2], "pad_token": special[2]}
    tokenizer = GPT2Tokenizer(**_vocabulary(texts, special), **names)
    turn = "<|im_start|>{{ turn['role'] }}\\n{{ turn['content'] }}<|im_end|>\\n"
    ours = "{% if add_generation_prompt %}<|im_start|>assistant\\n{% endif %}"
    tokenizer.chat_template = f"{{% for turn in messages %}}{turn}{{% endfor %}}{ours}"
    return tokenizer


def smollm_tokenizer(texts: list[str]) -> PreTrainedTokenizerBase:
    """The base's: one token opens and ends a text, there is no padding and no template."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return GPT2Tokenizer(**_vocabulary(texts, special))


def bert_tokenizer(texts: list[str]) -> PreTrainedTokenizerBase:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    lower = [text.lower() for text in texts]
    return BertTokenizer(vocab=train_wordpiece(lower, VOCABULARY, special).get_vocab())


def gpt2_tokenizer(texts: list[str]) -> PreTrainedTokenizerBase:
    return GPT2Tokenizer(**_vocabulary(texts, ["<|endoftext|>"]))


def fairseq_tokenizer(texts: list[str]) -> PreTrainedTokenizerBase:
    return RobertaTokenizer(**_vocabulary(texts, FAIRSEQ))


BLOOM = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "padding_side": "left",
    "tokenizer_class": "BloomTokenizerFast",
}


def bloom_tokenizer(texts: list[str]) -> PreTrainedTokenizerBase:
    backend = train_byte_bpe(texts, VOCABULARY, ["<unk>", "<s>", "</s>", "<pad>"])
    names = {key: token for key, token in BLOOM.items() if key.endswith("_token")}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def _vocabulary(texts: list[str], special: list[str]) -> dict[str, Any]:
    model = json.loads(train_byte_bpe(texts, VOCABULARY, special).to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(pair) for pair in model["merges"]]}


def sst2_files(world: World) -> dict[str, bytes]:
    """Parquet below data/, described in the card; the labels of the test split are hidden."""
    label = datasets.ClassLabel(names=["negative", "positive"])
    features = {"idx": "int32", "sentence": "string", "label": label}

    def rows(split: str, count: int) -> dict[str, list]:
        drawn = sentiment(world, count, seed=len(split))
        labels = [-1] * count if split == "test" else list(drawn["label"])
        texts = _numbered(drawn["text"], split)
        return {"idx": list(range(count)), "sentence": texts, "label": labels}

    return _card_and_parquet({"default": "data"}, features, rows)


def conll_files(world: World) -> dict[str, bytes]:
    """The hub's own conversion to Parquet: no card, one folder a split."""
    kinds = ["PER", "ORG", "LOC", "MISC"]
    names = ["O", *(f"{start}-{kind}" for kind in kinds for start in "BI")]
    tags = datasets.List(datasets.ClassLabel(names=names))
    features = _features({"id": "string", "tokens": datasets.List(datasets.Value("string"))})
    features["ner_tags"] = tags
    files = {}
    for split, count in ROWS.items():
        drawn = entities(world, count, seed=len(split))
        tagged = [[2 * tag - 1 if 0 < tag < 5 else 0 for tag in row] + [0] for row in drawn["tags"]]
        tokens = [[*words, f"{split}{i}"] for i, words in enumerate(drawn["tokens"])]
        rows = {"id": [str(i) for i in range(count)], "tokens": tokens}
        files[f"conll2003/{split}/0000.parquet"] = _parquet(rows | {"ner_tags": tagged}, features)
    return files


def books_files(world: World) -> dict[str, bytes]:
    """One split, and pairs as one column of two texts."""
    pair = datasets.Translation(languages=["en", "fr"])

    def rows(split: str, count: int) -> dict[str, list]:
        texts = _numbered(world.documents(count, seed=2), split)
        pairs = [{"en": text, "fr": text.replace("The", "Le")} for text in texts]
        return {"id": [str(i) for i in range(count)], "translation": pairs}

    features = {"id": "string", "translation": pair}
    return _card_and_parquet({"de-en": "de-en", "en-fr": "en-fr"}, features, rows, ("train",))


def news_files(world: World) -> dict[str, bytes]:
    """Three configurations of three splits; the newest is the default of none."""

    def rows(split: str, count: int) -> dict[str, list]:
        parts = [world.documents(count, seed=10 * len(split) + part) for part in range(3)]
        articles = _numbered([" ".join(three) for three in zip(*parts, strict=True)], split)
        highlights = [
            f"{a.split('. ')[0]}.\n{b.split('. ')[0]}." for a, b, _ in zip(*parts, strict=True)
        ]
        return {"article": articles, "highlights": highlights, "id": [str(i) for i in range(count)]}

    features = {"article": "string", "highlights": "string", "id": "string"}
    return _card_and_parquet({v: v for v in ("1.0.0", "2.0.0", "3.0.0")}, features, rows)


def dolly_files(world: World) -> dict[str, bytes]:
    """Lines of JSON, one split; of a third of the instructions the answer is in a text beside."""
    rows = []
    for number, text in enumerate(world.documents(400, seed=3)):
        asked = {"instruction": f"What happened? ({number})", "context": ""}
        if number % 3 == 0:
            asked = {"instruction": f"Sum this up. ({number})", "context": text}
        rows.append(asked | {"response": text.split(". ")[0], "category": "open_qa"})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    return {"databricks-dolly-15k.jsonl": lines.encode()}


def _numbered(texts: Iterable[str], split: str) -> list[str]:
    """Texts that are all different, so that a row tells where it is from."""
    return [f"{text} {split} {number}" for number, text in enumerate(texts)]


def _card_and_parquet(
    folders: dict[str, str],
    features: dict[str, Any],
    rows: Callable[[str, int], dict[str, list]],
    splits: tuple[str, ...] = tuple(ROWS),
) -> dict[str, bytes]:
    """A repository as `push_to_hub` writes it: a card that lists configurations, and Parquet."""
    described = _features(features)
    infos, configs, files = [], [], {}
    for config, folder in folders.items():
        sizes = []
        for split in splits:
            content = _parquet(rows(split, ROWS[split]), described)
            files[f"{folder}/{split}-00000-of-00001.parquet"] = content
            sizes.append({"name": split, "num_bytes": len(content), "num_examples": ROWS[split]})
        paths = [{"split": split, "path": f"{folder}/{split}-*"} for split in splits]
        configs.append({"config_name": config, "data_files": paths})
        about = {"config_name": config, "splits": sizes, "download_size": 1, "dataset_size": 1}
        infos.append(about | {"features": described._to_yaml_list()})
    # A card begins with YAML, of which JSON is a part.
    card = json.dumps({"dataset_info": infos, "configs": configs})
    return files | {"README.md": f"---\n{card}\n---\n# A tiny copy\n".encode()}


def _features(features: dict[str, Any]) -> datasets.Features:
    return datasets.Features(
        {key: datasets.Value(v) if isinstance(v, str) else v for key, v in features.items()}
    )


def _parquet(rows: dict[str, list], features: datasets.Features) -> bytes:
    buffer = io.BytesIO()
    datasets.Dataset.from_dict(rows, features=features).to_parquet(buffer)
    return buffer.getvalue()
