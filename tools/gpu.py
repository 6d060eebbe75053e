"""Measure training on a GPU: `make gpu`. Under nine minutes on one H100, with no network.

What it finds goes to `data/gpu.json`, with the date and the device, and the book draws it:

- precision: a small GPT-2 in bf16, in fp16 with a loss scale and compiled, held against fp32;
- resume: a run that is stopped and goes on against one that is not;
- throughput: GPT-2 of 124M weights on rows of 1,024 tokens by `fit`, beside the step of nanoGPT as
  a plain loop, before and after it; what chunks and recomputation cost and spare;
- tuning: SmolLM2's shape, all weights and LoRA, with the real weights where set-up has made them.

`--tiny` does all of it in a minute on a CPU, where its times mean nothing. A part that fails is
recorded as such and the others go on.
"""

import argparse
import contextlib
import datetime
import json
import math
import statistics
import sys
import tempfile
import time
import traceback
from pathlib import Path

import torch
import transformers
from gpu_clock import EVERY, Clock, fresh_memory, most_memory
from gpu_models import (
    GPU,
    TINY,
    Batch,
    Sizes,
    batches,
    gpt2,
    rows_at,
    rows_that_fit,
    shape,
    smollm2,
)
from plain_gpt import PlainGPT, plain_loss
from torch import nn

from course_lib.compute import step_flops
from course_lib.compute.hardware import accelerator_named
from course_lib.models.adapters import add_lora
from course_lib.runtime import (
    choose_device,
    choose_precision,
    data_path,
    describe_machine,
)
from course_lib.training import Optimization, fit
from course_lib.training.fitting import device_memory
from course_lib.training.optimizer import make_optimizers

BUDGET = 510.0  # seconds, after which no further part is begun


# Precision and resume.


def precision(sizes: Sizes) -> dict:
    """The loss of the last steps, against that of fp32 with nothing compiled."""
    at = rows_at(sizes.small["vocab_size"], sizes.small_rows, sizes.small["n_positions"])
    found = {}
    ways = {
        "fp32": {"precision": "no"},
        "bf16": {"precision": "bf16"},
        "fp16": {"precision": "fp16"},
        "fp32 compiled": {"precision": "no", "compile": True},
        "bf16 compiled": {"precision": "bf16", "compile": True},
        "fp16, Muon": {"precision": "fp16", "optimizer": "muon"},
        "fp32, Muon": {"precision": "no", "optimizer": "muon"},
    }
    for name, changes in ways.items():
        settings = small_run(sizes, **changes)
        history = fit(gpt2(sizes.small), batches(at), settings)
        found[name] = history[-1]["loss"]
    far = {
        name: abs(loss / found["fp32, Muon" if "Muon" in name else "fp32"] - 1)
        for name, loss in found.items()
    }
    return {"loss": found, "relative difference": far}


def small_run(sizes: Sizes, **changes: object) -> Optimization:
    usual = {"steps": sizes.small_steps, "batch": sizes.small_rows, "warmup": 5, "log_every": 10}
    return Optimization(**usual | {"learning_rate": 1e-3} | changes)


class StopError(Exception):
    """Ends a run from outside."""


def resume(sizes: Sizes) -> dict:
    """Weights and losses of a run that was stopped half way, against one that was not."""
    at = rows_at(sizes.small["vocab_size"], sizes.small_rows, sizes.small["n_positions"])
    half = sizes.small_steps // 2
    settings = small_run(sizes, checkpoint_every=half)

    def stopping(step: int) -> Batch:
        if step == half + 2:
            raise StopError
        return batches(at)(step)

    straight, again = gpt2(sizes.small), gpt2(sizes.small)
    history = fit(straight, batches(at), settings)
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.suppress(StopError):
            fit(gpt2(sizes.small), stopping, settings, folder=Path(folder))
        resumed = fit(again, batches(at), settings, folder=Path(folder))
    pairs = zip(straight.parameters(), again.parameters(), strict=True)
    far = [float((one - other).detach().abs().max()) for one, other in pairs]
    return {
        "largest difference of a weight": max(far),
        "largest difference of a loss": max(
            abs(a["loss"] - b["loss"]) for a, b in zip(history, resumed, strict=True)
        ),
    }


# Throughput.


def nanogpt(sizes: Sizes, settings: Optimization) -> dict:
    """nanoGPT's step as a plain loop: compiled model and loss, autocast, clip, fused AdamW."""
    device = choose_device()
    at = rows_at(sizes.gpt2["vocab_size"], sizes.rows, sizes.gpt2["n_positions"])
    model = PlainGPT.copy_of(gpt2(sizes.gpt2)).to(device)
    loss_of = torch.compile(plain_loss, backend=sizes.backend)
    (optimizer,) = make_optimizers(model, settings)
    targets, clock = sizes.rows * (sizes.gpt2["n_positions"] - 1), Clock()
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(choose_precision(device))
    rows = at(0).to(device)
    fresh_memory()
    for step in range(settings.steps):
        with torch.autocast(device.type, kind or torch.bfloat16, enabled=kind is not None):
            loss = loss_of(model, rows) / targets
        rows = at(step + 1).to(device, non_blocking=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % EVERY == 0:
            clock()
    return timing(sizes, clock) | {"loss": float(loss.detach())}


def ours(sizes: Sizes, settings: Optimization) -> dict:
    """The same by `fit`."""
    at = rows_at(sizes.gpt2["vocab_size"], sizes.rows, sizes.gpt2["n_positions"])
    clock, model = Clock(), gpt2(sizes.gpt2)
    fresh_memory()
    history = fit(model, batches(at), settings, callback=clock)
    return timing(sizes, clock) | {"loss": history[-1]["loss"]}


def timing(sizes: Sizes, clock: Clock) -> dict:
    """Milliseconds, tokens a second, memory and, where the peak is known, MFU (PaLM, 4.1)."""
    seconds = statistics.median(clock.steps)
    length = sizes.gpt2["n_positions"]
    found = {
        "ms": [round(1e3 * s, 3) for s in clock.steps],
        "tokens per second": round(sizes.rows * length / seconds),
        "GB": most_memory(),
    }
    if kind := accelerator():
        flops = step_flops(shape(sizes), length, sizes.rows)
        found["MFU"] = round(flops / seconds / kind.peak("half"), 4)
    return found


def accelerator() -> object:
    device = choose_device()
    if device.type != "cuda":
        return None
    return accelerator_named(torch.cuda.get_device_name(device), device_memory(device))


def throughput(sizes: Sizes) -> dict:
    """nanoGPT's loop, ours, nanoGPT's again, and ours with what spares memory."""
    sizes = rows_that_fit(sizes)
    usual = {"steps": sizes.steps, "batch": sizes.rows, "warmup": 5, "log_every": EVERY}
    settings = Optimization(**usual, learning_rate=6e-4)
    compiled = settings.replace(compile=True)
    found = {"rows": sizes.rows, "length": sizes.gpt2["n_positions"]}
    found["weights"] = shape(sizes).parameters
    found["nanoGPT"] = nanogpt(sizes, settings)
    found["fit, compiled"] = ours(sizes, compiled)
    found["nanoGPT again"] = nanogpt(sizes, settings)
    both = [*found["nanoGPT"]["ms"], *found["nanoGPT again"]["ms"]]
    mine = found["fit, compiled"]["ms"]
    found["speed of nanoGPT's"] = round(statistics.median(both) / statistics.median(mine), 3)
    found["fit, chunked_loss"] = ours(sizes, settings.replace(chunked_loss=True))
    found["fit"] = ours(sizes, settings)
    spared = settings.replace(chunked_loss=True, activation_checkpointing=True)
    found["fit, both"] = ours(sizes, spared)
    return found


# Tuning.


def tuning(sizes: Sizes) -> dict:
    """Steps of all weights and of LoRA; the loss must fall."""
    at = rows_at(sizes.smollm2["vocab_size"], sizes.tuning_rows, sizes.tuning_length)
    steps = {"steps": sizes.tuning_steps, "batch": sizes.tuning_rows, "log_every": EVERY}
    found = {"rows": sizes.tuning_rows, "length": sizes.tuning_length}
    for name in ("all weights", "LoRA"):
        model, weights = smollm2(sizes)
        if name == "LoRA":
            model = add_lora(model, rank=8, alpha=16.0)
        clock = Clock()
        fresh_memory()
        settings = Optimization(**steps, warmup=5, learning_rate=1e-3)
        history = fit(model, batches(at), settings, callback=clock)
        found[name] = {
            "weights": weights,
            "trained": sum(p.numel() for p in model.parameters() if p.requires_grad),
            "ms": round(1e3 * statistics.median(clock.steps), 3),
            "GB": most_memory(),
            "loss": [history[0]["loss"], history[-1]["loss"]],
        }
    return found


PARTS = {"precision": precision, "resume": resume, "throughput": throughput, "tuning": tuning}


def measure(sizes: Sizes) -> dict:
    """Every part, with its seconds; one that fails leaves its error in the place of figures."""
    begun = time.perf_counter()
    found = {"date": datetime.date.today().isoformat(), "machine": describe_machine()}
    found["machine"].pop("threads")
    found["tiny"] = sizes is TINY
    for name, part in PARTS.items():
        started = time.perf_counter()
        if started - begun > BUDGET:
            found[name] = {"left out": f"{BUDGET:.0f} seconds were over"}
            continue
        try:
            found[name] = part(sizes)
        except Exception as error:
            traceback.print_exc()
            found[name] = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
        found[name]["seconds"] = round(time.perf_counter() - started, 1)
        print(json.dumps({name: found[name]}), flush=True)
    return found


def rounded(value: object) -> object:
    """Six digits of every number."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.6g}")
    return value


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="at a size for a CPU; needs --out")
    parser.add_argument("--out", type=Path, help="where to write (default: data/gpu.json)")
    options = parser.parse_args(arguments)
    if options.tiny and not options.out:
        parser.error("--tiny needs --out: its figures are no record")
    if not options.tiny and not torch.cuda.is_available():
        print("make gpu: torch sees no CUDA device here, so nothing was measured.")
        return 0
    transformers.logging.set_verbosity_error()
    found = measure(TINY if options.tiny else GPU)
    place = options.out or data_path("gpu.json")
    place.write_text(json.dumps(rounded(found), indent=1) + "\n", encoding="utf-8")
    print(f"written to {place}")
    return 1 if any("failed" in found[name] for name in PARTS) else 0


if __name__ == "__main__":
    sys.exit(main())
