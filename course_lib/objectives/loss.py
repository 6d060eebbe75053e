"""How surprised a model is by its targets, in nats.

A batch is a dict of LongTensors that a `transformers` model takes: `input_ids` [batch, positions],
`labels` with -100 wherever there is no target, and `attention_mask` where there is padding. What
`labels` means depends on the kind of model, and mixing the kinds up trains a model on nonsense
without an error:

- masked (BERT, RoBERTa): the label at position t is the token hidden at t. Nothing is shifted.
- causal (GPT-2, BLOOM): labels equal the input, and the output at t - 1 predicts the label at t.
  The shift happens here, once; a collator that shifts too would ask for the token after the next.
- seq2seq (T5, BART): labels are the decoder's target. The decoder reads the same tokens one
  place to the right, behind a start token, so output t predicts label t.

The loss is taken here and not inside the model, so that a sum over targets stays a sum: averages
of averages weigh a batch with few targets as much as one with many.
"""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.corpora import NO_TARGET
from course_lib.runtime.checks import BadArgumentError
from course_lib.runtime.errors import CourseError

Kind = Literal["masked", "causal", "seq2seq"]
Batch = Mapping[str, Tensor]

_HEADS = {"BertForMaskedLM": "cls", "RobertaForMaskedLM": "lm_head"}
_PLACES = "target_places"  # [targets]: where a model is asked, counted over the whole batch
_EVERYWHERE = torch.tensor(-1)  # in their stead: so many that to pick them out gains nothing


def to_device(model: nn.Module, batch: Batch, device: torch.device | str) -> dict[str, Tensor]:
    """The batch on a device; where targets are few, their places are found before it moves.

    Only there is the vocabulary layer computed. To look for them on a GPU would make the CPU wait
    at every micro-batch until the GPU has done all that it was given.
    """
    places = _places(model, batch["labels"]) if "labels" in batch else None
    if places is not None:
        batch = {**batch, _PLACES: places}
    return {key: value.to(device, non_blocking=True) for key, value in batch.items()}


def summed_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Summed negative log likelihood of a batch's targets, in nats: a scalar with its gradient.

    In fp32, whatever the precision of the logits; 0 where a batch has no target.

    Raises:
        BadArgumentError: no labels, or labels of another shape than the input.
        CourseError: the model is no language model.
    """
    logits, targets = _logits_and_targets(model, batch)
    return F.cross_entropy(logits, targets, ignore_index=NO_TARGET, reduction="sum")


def count_targets(model: nn.Module, batch: Batch) -> int:
    """The number of targets in a batch: what `summed_loss` sums over.

    Count on the CPU, before the batch moves: on a GPU this waits until the device has caught up.
    """
    return int(has_target(model, _labels_of(batch)).sum())


def loss_sum(model: nn.Module, batch: Batch) -> tuple[Tensor, int]:
    """`summed_loss` and `count_targets` together; their ratio is the loss per target."""
    return summed_loss(model, batch), count_targets(model, batch)


def target_losses(model: nn.Module, batch: Batch) -> Tensor:
    """Negative log likelihood of each target, in nats, as a tensor [batch, positions].

    Column t belongs to `labels[:, t]`, for every kind of model. Where there is no target the
    value is nan, so that a mean which forgets to leave those places out shows it; use `nansum`
    and `nanmean`. In a causal model column 0 is always nan: nothing comes before the first token.
    """
    logits, targets = _logits_and_targets(model, batch)
    losses = F.cross_entropy(logits, targets, ignore_index=NO_TARGET, reduction="none")
    places = losses.new_full(batch["labels"].shape, torch.nan)
    found = losses[targets != NO_TARGET]
    return places.masked_scatter(has_target(model, batch["labels"]), found)


def kind_of(model: nn.Module) -> Kind:
    """Which of the three kinds a `transformers` model is, also inside a wrapper.

    Raises:
        CourseError: the model is none of them, a classifier for example.
    """
    bare = unwrap(model)
    name = type(bare).__name__
    if name.endswith("ForMaskedLM"):
        return "masked"
    if getattr(getattr(bare, "config", None), "is_encoder_decoder", False) and name.endswith(
        "ForConditionalGeneration"
    ):
        return "seq2seq"
    if name.endswith(("ForCausalLM", "LMHeadModel")):
        return "causal"
    raise CourseError(
        f"{name} is not a language model: use a ...ForMaskedLM, ...ForCausalLM, ...LMHeadModel "
        "or ...ForConditionalGeneration class."
    )


def has_target(model: nn.Module, labels: Tensor) -> Tensor:
    """Where `labels` [batch, positions] hold something this model is asked for."""
    wanted = labels != NO_TARGET
    if kind_of(model) == "causal":
        wanted[:, 0] = False
    return wanted


def _logits_and_targets(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """fp32 logits [rows, vocabulary] and, row for row, their targets [rows], in reading order."""
    inputs = {key: value for key, value in batch.items() if key not in ("labels", _PLACES)}
    targets = _labels_of(batch)
    kind = kind_of(model)
    if kind != "seq2seq" and targets.shape != batch["input_ids"].shape:
        raise BadArgumentError(
            f"labels of shape {tuple(targets.shape)} for input_ids of "
            f"{tuple(batch['input_ids'].shape)}: a {kind} model needs one label for each token."
        )
    if "position_ids" in inputs:
        _require_positions(model)
    places = batch[_PLACES] if _PLACES in batch else _places(model, targets)
    if kind == "causal":
        # Moving the labels and not slicing the logits saves a copy of the largest tensor there is.
        targets = next_labels(targets)
    if places is not None and places.dim():
        return _logits_and_targets_at(model, inputs, targets, places)
    if kind == "seq2seq" and "decoder_input_ids" not in inputs:
        inputs["decoder_input_ids"] = unwrap(model).prepare_decoder_input_ids_from_labels(targets)
    logits = model(**inputs, use_cache=False).logits
    return logits.flatten(0, 1).float(), targets.flatten()


def _logits_and_targets_at(
    model: nn.Module, inputs: Batch, targets: Tensor, places: Tensor
) -> tuple[Tensor, Tensor]:
    """The same where targets are few: the vocabulary layer sees their positions alone.

    Of a masked model five positions in six have no target, of a tuned one all of the prompt, and
    most of the time goes into that layer, so this doubles the speed. BERT's own code gathers the
    masked positions in the same place.
    """
    with _head_sees_only(model, places):
        logits = model(**inputs, use_cache=False).logits
    if logits.dim() == 3:
        logits = logits.flatten(0, 1)[places]
    return logits.float(), targets.flatten()[places]


def _require_positions(model: nn.Module) -> None:
    """Refuse a model that would read on across the borders of a shared row, without an error."""
    if "position_ids" not in inspect.signature(unwrap(model).forward).parameters:
        raise CourseError(
            f"{type(unwrap(model)).__name__} takes no position_ids and cannot tell examples that "
            "share a row apart: leave out data.packed."
        )


def next_labels(labels: Tensor) -> Tensor:
    """Labels beside the position that predicts them, the one before their own."""
    return F.pad(labels[:, 1:], (0, 1), value=NO_TARGET)


def asked_places(batch: Batch) -> Tensor | None:
    """Where a batch from `to_device` has its targets, if they are few; None if everywhere."""
    places = batch.get(_PLACES)
    return places if places is not None and places.dim() else None


def _places(model: nn.Module, labels: Tensor) -> Tensor | None:
    """Positions `[targets]` that are asked, counted over the whole batch, or `_EVERYWHERE`.

    None for a model whose loss does not ask for them.
    """
    name = type(unwrap(model)).__name__
    if name.endswith("ForMaskedLM"):
        return (labels != NO_TARGET).flatten().nonzero().squeeze(1)
    if labels.dim() == 2 and name.endswith(("ForCausalLM", "LMHeadModel")):
        places = (next_labels(labels) != NO_TARGET).flatten().nonzero().squeeze(1)
        return places if len(places) < labels.numel() / 2 else _EVERYWHERE
    return None


def _labels_of(batch: Batch) -> Tensor:
    if "labels" not in batch:
        raise BadArgumentError(
            f"The batch has {', '.join(batch)} and no labels: add labels [batch, positions]."
        )
    return batch["labels"]


@contextmanager
def _head_sees_only(model: nn.Module, places: Tensor) -> Iterator[None]:
    """Within, a model's head gets hidden states [places, width] in place of [batch, t, width].

    A compiled model is left as it is: its graph would be made again for each number of places.
    """
    bare = unwrap(model)
    name = type(bare).__name__.removeprefix("FSDP")  # which sharding puts in front
    head = getattr(bare, _HEADS.get(name, "lm_head"), None)
    compiled = any(hasattr(m, "_orig_mod") or m._compiled_call_impl for m in (model, bare))
    if head is None or compiled:
        yield
        return
    hook = head.register_forward_pre_hook(lambda _, args: (args[0].flatten(0, 1)[places],))
    try:
        yield
    finally:
        hook.remove()


def unwrap(model: nn.Module) -> nn.Module:
    """The `transformers` model inside an adapter, `torch.compile` or data parallelism."""
    while True:
        if hasattr(model, "get_base_model"):
            inner = model.get_base_model()
        else:
            inner = getattr(model, "_orig_mod", None) or getattr(model, "module", None)
        if inner is None:
            return model
        model = inner
