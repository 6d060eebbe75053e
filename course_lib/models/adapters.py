"""LoRA: a trained model stays as it is, and a small product of matrices beside it is trained."""

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from course_lib.runtime.checks import BadArgumentError, Count, Positive, Rate, checked


@checked
def add_lora(
    model: PreTrainedModel,
    *,
    rank: Count,
    alpha: Positive,
    dropout: Rate = 0.0,
    targets: tuple[str, ...] = (),
) -> nn.Module:
    """Freeze a model and give its layers adapters (Hu et al. 2021, section 4.1), through peft.

    Each target layer W becomes W + (alpha / rank) B A, with A drawn from torch's global generator
    and B zero, so that nothing changes before the first step. Without `targets`, the queries and
    values of attention get one, as peft knows them for each architecture.

    Raises:
        BadArgumentError: a rank, alpha or dropout that cannot be, or a target that the model does
            not have.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=list(targets) or None,
        # GPT-2's layers keep their matrices the other way round.
        fan_in_fan_out=any(isinstance(part, Conv1D) for part in model.modules()),
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        names = {
            name.rpartition(".")[2] for name, m in model.named_modules() if hasattr(m, "weight")
        }
        raise BadArgumentError(
            f"adapter.targets = {list(targets)}: choose among {', '.join(sorted(names))}."
        ) from error


@torch.no_grad()
def merged(model: nn.Module) -> PreTrainedModel:
    """The model with its adapter added into its weights; one without an adapter as it is.

    The model itself is not changed.
    """
    if not hasattr(model, "peft_config"):
        return model
    import copy

    return copy.deepcopy(model).merge_and_unload()
