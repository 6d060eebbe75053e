"""GPT-2 in plain PyTorch, in the manner of nanoGPT: what `make bench` holds `transformers` against.

Nothing here is slower than it has to be: one matrix for queries, keys and values, PyTorch's own
causal attention, a fused activation, and no cache, mask, hook or option.
"""

from typing import Self

import torch
import torch.nn.functional as F
from torch import LongTensor, Tensor, nn
from transformers import GPT2LMHeadModel


class Attention(nn.Module):
    """Causal self-attention over `[batch, length, width]`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        shape = batch, length, self.heads, width // self.heads
        q, k, v = (part.view(shape).transpose(1, 2) for part in self.qkv(x).split(width, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    """Attention and a feed-forward layer four times as wide, each behind a norm, each added on."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.gelu = nn.GELU(approximate="tanh")

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm_1(x))
        return x + self.down(self.gelu(self.up(self.norm_2(x))))


class PlainGPT(nn.Module):
    """Token ids `[batch, length]` to logits `[batch, length, vocabulary]`; the head is tied."""

    def __init__(self, vocabulary: int, length: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, ids: LongTensor) -> Tensor:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.tokens.weight)

    @classmethod
    def copy_of(cls, model: GPT2LMHeadModel) -> Self:
        """The same shape with the same weights, copied."""
        c = model.config
        plain = cls(c.vocab_size, c.n_positions, c.n_embd, c.n_layer, c.n_head)
        plain.load_state_dict(plain_weights(model))
        return plain


def plain_weights(model: GPT2LMHeadModel) -> dict[str, Tensor]:
    """The state of a `PlainGPT` out of a GPT-2 of `transformers`.

    GPT-2's layers keep their matrices as [in, out], the transpose of `nn.Linear`'s.
    """
    gpt = model.transformer
    state = {"tokens.weight": gpt.wte.weight, "positions.weight": gpt.wpe.weight}
    norms, layers = {"norm": gpt.ln_f}, {}
    for number, block in enumerate(gpt.h):
        name = f"blocks.{number}"
        norms |= {f"{name}.norm_1": block.ln_1, f"{name}.norm_2": block.ln_2}
        layers |= {
            f"{name}.attention.qkv": block.attn.c_attn,
            f"{name}.attention.out": block.attn.c_proj,
            f"{name}.up": block.mlp.c_fc,
            f"{name}.down": block.mlp.c_proj,
        }
    state |= {f"{name}.weight": norm.weight for name, norm in norms.items()}
    state |= {f"{name}.weight": layer.weight.T for name, layer in layers.items()}
    return state | {f"{name}.bias": part.bias for name, part in (norms | layers).items()}


def plain_loss(model: nn.Module, rows: LongTensor) -> Tensor:
    """Summed loss of the next token, in nats: the labels are moved, so no logits are copied."""
    targets = F.pad(rows[:, 1:], (0, 1), value=-100)
    return F.cross_entropy(model(rows).flatten(0, 1), targets.flatten(), reduction="sum")
