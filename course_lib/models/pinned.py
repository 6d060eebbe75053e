"""Published models for the hub track, as pinned in `data/hub.toml`.

The call is the one that anyone would write, `AutoModel...from_pretrained`; what is added is the
pinned revision, weights from safetensors only, and errors that say what to do. No code from a
repository is ever run.
"""

import copy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from course_lib.corpora.pinned import pinned
from course_lib.runtime import choose_device, seed_of
from course_lib.runtime.hub_errors import hub_errors

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, eq=False)
class Published:
    """A published model with its tokenizer; `model` and `tokenizer` are where a `Run` has them."""

    name: str
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"

    def fresh(self, seed: int) -> "PreTrainedModel":
        """The same architecture with random weights."""
        import torch

        torch.manual_seed(seed_of(seed, "weights"))
        return type(self.model)(copy.deepcopy(self.model.config)).to(self.model.device)


@cache
def published_model(name: str) -> Published:
    """A model of `data/hub.toml` in fp32 on this session's device, fetched once and then cached.

    Raises:
        CourseError: a name that is not in the table; as `hub_errors`.
    """
    entry = pinned("models", name)
    import transformers

    model_class = getattr(transformers, entry["class"])
    revision = entry["revision"]
    with hub_errors(name):
        # Half precision, in which BLOOM is stored, is slow on a CPU and coarse for a loss.
        model = model_class.from_pretrained(
            name,
            revision=revision,
            use_safetensors=True,
            dtype="float32",
            adapter_kwargs={"revision": revision},  # transformers before 5.23 looks on `main`
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, revision=revision)
    # GPT-2 was trained without padding. Padding is masked, so any token will do.
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return Published(name, model.to(choose_device()).eval(), tokenizer)
