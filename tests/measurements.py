"""Every measurement of a model, as a table that tests go through: a row a measurement and kind."""

import inspect
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pytest
import torch
from tiny import closing_tokenizer, packed_rows, tiny_model

from course_lib import evaluation, generation

TEXTS = ("the cat sat on mat", "a dog ran to door .", "red old house")
WORDS = ("cat", "dog")
ROWS = packed_rows("gpt2", 4, 12, "measurements")
PADDED = {"input_ids": ROWS, "attention_mask": torch.ones_like(ROWS)}


@dataclass(frozen=True)
class Measurement:
    """A function of a model, with what it is given after the model and the tokenizer."""

    name: str
    family: str
    args: tuple
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name}-{self.family}-{'-'.join(map(str, self.options.values()))}"

    @property
    def function(self) -> Any:
        return getattr(evaluation, self.name, None) or getattr(generation, self.name)

    @property
    def reads_text(self) -> bool:
        return "tokenizer" in inspect.signature(self.function).parameters

    def of(self, model: Any, tokenizer: Any) -> Any:
        """The measurement of a model; a model that is none of text gets no tokenizer."""
        given = (model, tokenizer) if self.reads_text else (model,)
        return self.function(*given, *self.args, **self.options)

    def of_tiny(self, device: Any = "cpu") -> Any:
        model = tiny_model(self.family).eval().to(device)
        return on_the_cpu(self.of(model, closing_tokenizer(self.family)))


def measurements(texts: tuple[str, ...] = TEXTS, mask: str = "[MASK]") -> list[Measurement]:
    """All of them, on these texts."""
    texts = list(texts)
    gaps = [f"{text} {{}} sat" for text in texts]
    masked = [gap.format(mask) for gap in gaps]
    few, both = {"max_new_tokens": 4}, {"input_ids": ROWS, "labels": ROWS}
    some = {"input_ids": ROWS, "labels": ROWS.masked_fill(ROWS % 3 > 0, -100)}
    return [
        Measurement("document_losses", "gpt2", (texts,)),
        Measurement("pseudo_document_losses", "bert", (texts,)),
        Measurement("loss_by_position", "gpt2", (ROWS,)),
        Measurement("token_losses", "gpt2", (both,)),
        Measurement("token_losses", "bert", (some,)),
        Measurement("token_losses", "t5", (both,)),
        Measurement("sequence_log_prob", "gpt2", (texts[0], texts[1])),
        Measurement("candidate_log_probs", "gpt2", (gaps, WORDS)),
        Measurement("candidate_log_probs", "gpt2", (gaps, WORDS), {"context": "left"}),
        Measurement("candidate_log_probs", "bert", (gaps, WORDS)),
        Measurement("candidate_log_probs", "t5", (gaps, WORDS)),
        Measurement("teacher_forcing", "t5", (texts, texts[::-1])),
        Measurement("teacher_forcing", "bart", (texts, texts[::-1])),
        Measurement("cloze", "bert", (masked,)),
        Measurement("cloze_accuracy", "bert", (masked, ["cat"] * len(texts))),
        Measurement("generate", "gpt2", (texts[0],), few),
        Measurement("next_token_distribution", "gpt2", (texts[0],)),
        Measurement("generate_targets", "t5", (texts,), few),
        Measurement("generate_targets", "bart", (texts,), few | {"beams": 2}),
        Measurement("greedy_search", "t5", (PADDED, 4)),
        Measurement("beam_search", "t5", (PADDED, 2, 4)),
    ]


def each(chosen: list[Measurement]) -> Any:
    """Parametrise a test by measurements."""
    return pytest.mark.parametrize("measurement", chosen, ids=map(str, chosen))


def on_the_cpu(found: Any) -> Any:
    if isinstance(found, tuple):
        return tuple(map(on_the_cpu, found))
    return found.cpu() if isinstance(found, torch.Tensor) else found


def assert_like(here: Any, there: Any) -> None:
    """The same but for rounding: attention is computed in other steps where it is not fused."""
    if isinstance(here, pd.DataFrame):
        pd.testing.assert_frame_equal(here, there, rtol=1e-4)
    elif isinstance(here, pd.Series):
        pd.testing.assert_series_equal(here, there, rtol=1e-4)
    elif isinstance(here, torch.Tensor | tuple):
        torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-5, equal_nan=True)
    else:
        assert here == (there if isinstance(here, list | str) else pytest.approx(there, rel=1e-4))
