"""What `make gpu` trains: sizes, models, rows that can be learnt and that fit."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import LongTensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from course_lib.compute import Shape, row_of
from course_lib.runtime import CourseError, choose_device
from course_lib.training import Optimization
from course_lib.training.fitting import device_memory, memory_needed, shape_of

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Sizes:
    """Shapes in the words of `transformers`; rows in a step, and steps."""

    small: dict[str, int]
    small_rows: int
    small_steps: int
    gpt2: dict[str, int]
    rows: int
    steps: int
    smollm2: dict[str, int]
    tuning_rows: int
    tuning_length: int
    tuning_steps: int
    backend: str = "inductor"


def gpt2_shape(width: int, layers: int, heads: int, length: int, vocabulary: int) -> dict[str, int]:
    shape = {"n_embd": width, "n_layer": layers, "n_head": heads}
    return shape | {"n_positions": length, "vocab_size": vocabulary}


def llama_shape(width: int, inner: int, layers: int, vocabulary: int) -> dict[str, int]:
    """Nine heads, of which three share their keys and values."""
    shape = {"hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers}
    heads = {"num_attention_heads": 9, "num_key_value_heads": 3}
    return shape | heads | {"vocab_size": vocabulary}


GPU = Sizes(
    small=gpt2_shape(256, 4, 4, 256, 2048),
    small_rows=16,
    small_steps=60,
    # The smallest published GPT-2, its vocabulary filled up to a multiple of 64 as nanoGPT does.
    gpt2=gpt2_shape(768, 12, 12, 1024, 50304),
    rows=32,
    steps=60,
    # SmolLM2-135M (Ben Allal et al. 2025, arXiv:2502.02737).
    smollm2=llama_shape(576, 1536, 30, 49152),
    tuning_rows=8,
    tuning_length=512,
    tuning_steps=60,
)
TINY = Sizes(
    small=gpt2_shape(16, 1, 2, 16, 40),
    small_rows=4,
    small_steps=20,
    gpt2=gpt2_shape(16, 2, 2, 16, 64),
    rows=4,
    steps=30,
    smollm2=llama_shape(18, 32, 2, 64),
    tuning_rows=2,
    tuning_length=16,
    tuning_steps=30,
    backend="aot_eager",
)


def gpt2(shape: dict[str, int]) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    marks = {"bos_token_id": 0, "eos_token_id": 0}
    # The function of "gelu_new", in one kernel.
    fused = {"activation_function": "gelu_pytorch_tanh"}
    return GPT2LMHeadModel(GPT2Config(**shape, **dropout, **marks, **fused))


def smollm2(sizes: Sizes) -> tuple[nn.Module, str]:
    """The real model where set-up has made it, else one of its shape; and which of them."""
    if sizes is GPU:
        try:
            from course_lib.models import real

            return real("smollm2").model, "real"
        except (CourseError, ImportError):
            pass
    torch.manual_seed(0)
    config = LlamaConfig(**sizes.smollm2, tie_word_embeddings=True, pad_token_id=0)
    return LlamaForCausalLM(config), "random, of the same shape"


def rows_at(vocabulary: int, rows: int, length: int) -> Callable[[int], LongTensor]:
    """Rows of a step, which can be learnt: each token is the one before and 1 to 4 more."""

    def at(step: int) -> LongTensor:
        draw = torch.Generator().manual_seed(step)
        first = torch.randint(vocabulary, (rows, 1), generator=draw)
        steps = torch.randint(1, 5, (rows, length - 1), generator=draw)
        return torch.cat([first, steps], dim=1).cumsum(dim=1) % vocabulary

    return at


def batches(at: Callable[[int], LongTensor]) -> Callable[[int], Batch]:
    def batch_at(step: int) -> Batch:
        rows = at(step)
        return {"input_ids": rows, "labels": rows.clone()}

    return batch_at


def shape(sizes: Sizes) -> Shape:
    return shape_of(GPT2Config(**sizes.gpt2))


def rows_that_fit(sizes: Sizes) -> Sizes:
    """Half as many rows until a third of the device's memory holds the least that they need."""
    row, settings = row_of("causal", sizes.gpt2["n_positions"]), Optimization()
    has, rows = device_memory(choose_device()), sizes.rows
    while rows > 1 and 3 * memory_needed(shape(sizes), row, rows, settings, mixed=True).total > has:
        rows //= 2
    return replace(sizes, rows=rows)
