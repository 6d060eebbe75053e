"""Where GPT-2 of `transformers` spends more than a plain one: parts taken out, one by one.

`python tools/profile_gpt.py --width 64`. Each line is the same model with one thing more replaced
by what the plain GPT does in its place, so what a line saves over the one before is that thing's
price. All compute the same function; the first and the last line are the two sides of `make bench`.
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
import transformers
from bench import train_step
from contestant import tiny_recipe
from measuring import BLOCK, ratio, take_turns, timed
from plain_gpt import PlainGPT, plain_loss
from torch import LongTensor, Tensor, nn
from transformers import GPT2LMHeadModel
from transformers.models.gpt2 import modeling_gpt2 as gpt2

from course_lib.objectives import summed_loss
from course_lib.runtime import set_threads
from course_lib.training import fresh_model, prepare
from course_lib.training.optimizer import make_optimizers


def our_loss(model: GPT2LMHeadModel, rows: LongTensor) -> Tensor:
    return summed_loss(model, {"input_ids": rows, "labels": rows})


def without_checks(model: GPT2LMHeadModel, rows: LongTensor) -> Tensor:
    """No look for padding in the input, and no look whether a mask is needed."""
    create, warn = gpt2.create_causal_mask, type(model).warn_if_padding_and_no_attention_mask
    gpt2.create_causal_mask = lambda **_: None
    type(model.transformer).warn_if_padding_and_no_attention_mask = lambda *_: None
    try:
        return our_loss(model, rows)
    finally:
        gpt2.create_causal_mask = create
        type(model.transformer).warn_if_padding_and_no_attention_mask = warn


def without_wrappers(model: GPT2LMHeadModel, rows: LongTensor) -> Tensor:
    """Blocks one after another: no output classes, no decorators, no keyword arguments."""
    body = model.transformer
    x = body.wte(rows) + body.wpe(torch.arange(rows.shape[1]))
    for block in body.h:
        x = x + block.attn(block.ln_1(x))[0]
        x = x + block.mlp(block.ln_2(x))
    return loss_of(model, body.ln_f(x), rows)


def with_plain_attention(model: GPT2LMHeadModel, rows: LongTensor) -> Tensor:
    """Attention written out, and the feed-forward layer without its dropout module."""
    body = model.transformer
    x = body.wte(rows) + body.wpe(torch.arange(rows.shape[1]))
    for block in body.h:
        x = x + attention(block.attn, block.ln_1(x), conv)
        x = x + feed_forward(block.mlp, block.ln_2(x), conv)
    return loss_of(model, body.ln_f(x), rows)


def with_plain_layers(model: GPT2LMHeadModel, rows: LongTensor) -> Tensor:
    """And `F.linear` in place of `Conv1D`, on the matrices as they are."""
    body = model.transformer
    x = body.wte(rows) + body.wpe(torch.arange(rows.shape[1]))
    for block in body.h:
        x = x + attention(block.attn, block.ln_1(x), linear)
        x = x + feed_forward(block.mlp, block.ln_2(x), linear)
    return loss_of(model, body.ln_f(x), rows)


def conv(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x)


def linear(layer: nn.Module, x: Tensor) -> Tensor:
    return F.linear(x, layer.weight.T, layer.bias)


def attention(layer: nn.Module, x: Tensor, apply: Callable) -> Tensor:
    batch, length, width = x.shape
    shape = batch, length, layer.num_heads, layer.head_dim
    q, k, v = (part.view(shape).transpose(1, 2) for part in apply(layer.c_attn, x).split(width, 2))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return apply(layer.c_proj, y.transpose(1, 2).reshape(batch, length, width))


def feed_forward(layer: nn.Module, x: Tensor, apply: Callable) -> Tensor:
    return apply(layer.c_proj, layer.act(apply(layer.c_fc, x)))


def loss_of(model: GPT2LMHeadModel, x: Tensor, rows: LongTensor) -> Tensor:
    targets = F.pad(rows[:, 1:], (0, 1), value=-100)
    logits = F.linear(x, model.lm_head.weight)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")


STAGES = {
    "transformers, with our loss": our_loss,
    "without looks at padding and mask": without_checks,
    "without classes and decorators": without_wrappers,
    "attention written out": with_plain_attention,
    "F.linear for Conv1D": with_plain_layers,
}


def stages(width: int, steps: int) -> dict[str, Callable[[], float]]:
    """A side for each stage, and the plain GPT; all start from the same weights."""
    recipe = tiny_recipe("gpt2", width, steps + BLOCK)
    prepared = prepare(recipe)
    rows = [prepared.train.raw(step) for step in range(recipe.optimization.steps)]
    losses = {}
    for name, loss in STAGES.items():
        model = fresh_model(recipe, prepared.tokenizer).train()
        losses[name] = (model, partial(loss, model))
    plain = PlainGPT.copy_of(fresh_model(recipe, prepared.tokenizer))
    losses["plain"] = (plain, partial(plain_loss, plain))
    sides = {}
    for name, (model, loss) in losses.items():
        (optimizer,) = make_optimizers(model, recipe.optimization)
        sides[name] = timed(partial(train_step, loss, optimizer, iter(rows)))
    return sides


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    set_threads(1)
    transformers.logging.set_verbosity_error()
    seconds = take_turns(stages(options.width, options.steps), options.steps)
    print(f"{f'{options.width} wide':<36}{'ms a step':>10}{'saved':>8}{'speed of plain':>24}")
    before = None
    for name, taken in seconds.items():
        middle = statistics.median(taken) * 1e3
        value, (low, high) = ratio(seconds["plain"], taken)
        saved = "" if before is None else f"{before - middle:.2f}"
        print(f"{name:<36}{middle:>10.2f}{saved:>8}{value:>10.3f} ({low:.3f} to {high:.3f})")
        before = middle


if __name__ == "__main__":
    main()
