"""Two small tokenizers and models with lively random weights: nothing here needs training."""

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn
from transformers import PreTrainedTokenizerFast

from course_lib.models import build

TEXTS = [
    "The cat sat on the mat.",
    "A dog lay on the rug, and the cat watched it.",
    "In the morning the birds sang; in the evening they did not.",
    "",
    "Rain fell.",
]


@pytest.fixture(scope="session")
def texts():
    return list(TEXTS)


def _byte_level(special):
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(TEXTS * 3, trainer)
    return backend


@pytest.fixture(scope="session")
def causal_tokenizer():
    """As GPT-2's, with the boundary put before every text."""
    backend = _byte_level(["<|endoftext|>", "<pad>"])
    backend.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|endoftext|>",
        eos_token="<|endoftext|>",
        pad_token="<pad>",
    )


@pytest.fixture(scope="session")
def masked_tokenizer():
    """As RoBERTa's: the mask takes the space before it along."""
    mask = AddedToken("<mask>", lstrip=True, special=True)
    backend = _byte_level(["<s>", "<pad>", "</s>", "<unk>", mask])
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token=mask,
        cls_token="<s>",
        sep_token="</s>",
    )


@pytest.fixture(scope="session")
def make():
    def _make(family, tokenizer, length=64, dropout=0.0, std=0.3):
        torch.manual_seed(0)
        model = build(
            family, tokenizer, width=16, layers=2, heads=2, length=length, dropout=dropout
        )
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=std)
        return model.eval()

    return _make
