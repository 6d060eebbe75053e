"""Measure the memory of a training step: `make bench`. What chunks and recomputation spare.

A GPT-2 of 124M weights takes two steps of AdamW in a process of its own, once for each setting, at
dropout 0, in fp32 on a CPU and in what the device computes in elsewhere. The first step is of one
row, so that the optimizer has its moments when the second, of all rows, comes. The peak is what the
process had in memory at most, above what the imports take. Losses must be equal.
"""

import argparse
import sys
from collections.abc import Iterator

import torch
from bench_data import in_a_process, peak
from measuring import Measure, report
from transformers import GPT2Config, GPT2LMHeadModel

from course_lib.runtime import choose_device, set_threads
from course_lib.training import Optimization, fit

BAR = 0.7  # of the plain step's peak
CLOSE = 1e-5  # of the loss
SETTINGS = {
    "plain": {},
    "chunked_loss": {"chunked_loss": True},
    "activation_checkpointing": {"activation_checkpointing": True},
    "both": {"chunked_loss": True, "activation_checkpointing": True},
}


def gpt2(length: int, **changes: int) -> GPT2LMHeadModel:
    """GPT-2 in its smallest published shape, weights drawn anew, without dropout."""
    torch.manual_seed(0)
    dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    # The function of "gelu_new", in one kernel.
    fused = {"activation_function": "gelu_pytorch_tanh"}
    return GPT2LMHeadModel(GPT2Config(n_positions=length, **dropout, **fused, **changes))


def take_steps(rows: int, length: int, changes: dict, answers: object) -> None:
    set_threads()
    model, before = gpt2(length), peak()
    ids = torch.randint(model.config.vocab_size, (rows, length))
    batch = {"input_ids": ids, "labels": ids}
    first = {key: value[:1] for key, value in batch.items()}
    settings = Optimization(steps=2, batch=rows, warmup=0, log_every=1, **changes)
    history = fit(model, lambda step: batch if step else first, settings)
    weights = 4 * sum(p.numel() for p in model.parameters()) / 2**20  # already there before
    most = peak() - before + weights
    if choose_device().type == "cuda":
        most = torch.cuda.max_memory_allocated() / 2**20
    answers.put({"MB": most, "loss": history[-1]["loss"]})


def steps(rows: int, length: int) -> Iterator[Measure]:
    """Peaks, and their shares of the plain one."""
    plain = None
    for name, changes in SETTINGS.items():
        found = in_a_process(take_steps, rows, length, changes)
        note = f"loss {found['loss']:.6f}"
        yield Measure(f"{name}, MB", found["MB"], form=",.0f", note=note)
        if plain is None:
            plain = found
            continue
        bar = BAR if name == "chunked_loss" else None
        yield Measure(f"{name} / plain", found["MB"] / plain["MB"], bar, False, note="of memory")
        apart = abs(found["loss"] / plain["loss"] - 1)
        yield Measure(f"{name}, loss apart from the plain one", apart, CLOSE, False, ".1e")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--length", type=int, default=1024)
    options = parser.parse_args(arguments)
    title = f"124M weights, {options.rows} x {options.length:,} tokens"
    return report({title: steps(options.rows, options.length)})


if __name__ == "__main__":
    sys.exit(main())
