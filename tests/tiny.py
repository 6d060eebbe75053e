"""Tokenizers, rows and models so small that a training step takes a few milliseconds."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from course_lib.models import build
from course_lib.runtime import generator
from course_lib.training import Data, Model, Recipe

TEXT = (
    ". ! ? the cat sat on mat dog ran to door bird sang in tree old red small house man woman "
    "river blue saw heard a fish swam under bridge king slept near fire ship left port at dawn"
)
WORDS = TEXT.split()
SENTINELS = [f"<extra_id_{number}>" for number in range(100)]
SENTENCE = {
    "bos_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}
SPECIAL = {
    "bert": {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    },
    "roberta": SENTENCE,
    "bart": SENTENCE,
    "gpt2": {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<pad>"},
    "t5": {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
}
OPENING = {"bert": "[CLS]", "roberta": "<s>", "bart": "<s>", "gpt2": "<|endoftext|>"}
CLOSING = {"bert": "[SEP]", "roberta": "</s>", "bart": "</s>", "t5": "</s>"}
FAMILY_OF = {
    "masked": "bert",
    "masked-static": "roberta",
    "causal": "gpt2",
    "span": "t5",
    "infilling": "bart",
}


def word_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """A tokenizer that knows `WORDS` and the special tokens of a family."""
    special = dict.fromkeys(SPECIAL[family].values())
    sentinels = SENTINELS if family == "t5" else []
    vocabulary = {token: i for i, token in enumerate([*special, *sentinels, *WORDS])}
    unknown = SPECIAL[family].get("unk_token", WORDS[0])
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    extra = {"additional_special_tokens": sentinels} if sentinels else {}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **SPECIAL[family], **extra)


def closing_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """The same, but it puts the family's special tokens around a text."""
    tokenizer = word_tokenizer(family)
    marks = [mark for mark in (OPENING.get(family), CLOSING.get(family)) if mark]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=" ".join([*marks[:-1], "$A", *marks[-1:]]),
        special_tokens=[(mark, tokenizer.convert_tokens_to_ids(mark)) for mark in marks],
    )
    return tokenizer


def documents(count: int, *key: int | str) -> list[str]:
    """Documents of one to four "sentences" of random words."""
    draw = generator("documents", *key)

    def integer(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=draw))

    return [
        " ".join(
            " ".join(WORDS[integer(3, len(WORDS))] for _ in range(integer(2, 7))) + " ."
            for _ in range(integer(1, 5))
        )
        for _ in range(count)
    ]


def packed_rows(family: str, count: int, length: int, *key: int | str) -> torch.LongTensor:
    """Rows of packed documents with a family's special tokens between them: `[count, length]`."""
    tokenizer = word_tokenizer(family)
    words = [
        word
        for text in documents(count * length // 5 + 8, *key)
        for word in (OPENING.get(family), *text.split(), CLOSING.get(family))
        if word
    ]
    ids = tokenizer.convert_tokens_to_ids(words[: count * length])
    return torch.tensor(ids).view(count, length)


def tiny_model(
    family: str, *, length: int = 24, dropout: float = 0.0, seed: int = 0
) -> PreTrainedModel:
    """One layer, sixteen wide."""
    torch.manual_seed(seed)
    shape = {"width": 16, "layers": 1, "heads": 2, "length": length}
    return build(family, word_tokenizer(family), **shape, dropout=dropout)


def tiny_recipe(family: str, **changes: object) -> Recipe:
    """A recipe on real text, with fields changed wherever they stand."""
    recipe = Recipe(name="small", data=Data(corpus="factbook"), model=Model(family=family))
    return recipe.replace(**changes)
