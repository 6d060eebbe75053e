"""What encoder-decoders are for: reading one text and writing another.

A task is a set of pairs of a source and its target. No new head is needed: the decoder writes the
answer, be it a translation, a summary or a name (Raffel et al. 2020, section 2.4), and the loss
is that of pre-training, over the target's tokens.
"""

import copy
from collections.abc import Callable

from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_lib.corpora import encode_pairs, without_padding
from course_lib.finetuning.batches import random_batches
from course_lib.models import context_length, require_kind
from course_lib.runtime.checks import checked
from course_lib.runtime.errors import CourseError
from course_lib.training import Optimization, fit


@checked
def fine_tune_seq2seq(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Dataset,
    settings: Optimization,
    callback: Callable[[dict[str, float]], None] | None = None,
) -> PreTrainedModel:
    """Train a copy of `model` on pairs and return it, with dropout off; `model` is not changed.

    Args:
        model: a T5 or a BART, pre-trained or with fresh weights.
        tokenizer: the model's.
        pairs: columns `source` and `target`.
        settings: steps, batch, learning rate; order and dropout follow `settings.seed`.
        callback: called with each entry of the history, as in `course_lib.training.fit`.

    Raises:
        BadArgumentError: an argument of another type, or no pairs.
        CourseError: the model is no encoder-decoder, the tokenizer another model's, the pairs have
            other columns, or a text is longer than the model can read.
    """
    require_kind(model, "seq2seq", "fine_tune_seq2seq", tokenizer)
    if not {"source", "target"} <= set(pairs.column_names):
        raise CourseError(
            f"The pairs have the columns {', '.join(pairs.column_names)}: name them source and "
            "target."
        )
    examples = encode_pairs(
        tokenizer, pairs["source"], pairs["target"], max_length=context_length(model)
    )
    draw = random_batches(len(pairs), settings)

    def batch_at(step: int) -> dict[str, Tensor]:
        rows = draw(step)
        return without_padding({name: values[rows] for name, values in examples.items()})

    tuned = copy.deepcopy(model)
    fit(tuned, batch_at, settings, callback=callback)
    return tuned.eval()
