"""Guards what is said of memory: a shape read rightly, the least that is needed, what to lower.

pytest tests/training/test_fitting.py
"""

from dataclasses import replace

import pytest
import torch
from small_runs import LENGTH, batches, model_for, small
from tiny import FAMILY_OF, tiny_model

from course_lib.models import count_parameters, published_sizes
from course_lib.models.families import FAMILIES
from course_lib.objectives import summed_loss
from course_lib.training import fit, fitting
from course_lib.training.fitting import OutOfMemoryError, shape_of

# Others are counted with a pooling layer, or with a tied head, in their papers.
COUNTED = [size for size in published_sizes() if size.family in ("gpt2", "gpt3", "bloom", "bart")]


@pytest.mark.parametrize("size", COUNTED, ids=lambda size: f"{size.family}-{size.name}")
def test_a_shape_is_read_from_a_configuration(size):
    shape = shape_of(FAMILIES[size.family].config_class(**size.config))
    shape = replace(shape, family=size.family)
    assert shape.parameters == count_parameters(size)


@pytest.mark.parametrize("family", FAMILY_OF.values())
def test_a_shape_is_read_from_a_model(family):
    model = tiny_model(family, length=LENGTH)
    counted = sum(p.numel() for p in model.parameters())
    assert shape_of(model.config).parameters == pytest.approx(counted, rel=0.05)


def runs_out(kind):
    """A loss for which memory never suffices for more than two rows at a time."""

    def loss(model, batch):
        if len(batch["labels"]) > 2:
            raise kind("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 byte")
        return summed_loss(model, batch)

    return loss


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, RuntimeError])
def test_the_error_says_by_how_much_and_what_to_lower_and_that_helps(kind, monkeypatch):
    model, source = model_for("causal"), batches("causal")
    need = fitting._of_model(model, 2, LENGTH, small(), mixed=False).total
    # Two rows need nine tenths of what the device has; all eight need more than all of it.
    monkeypatch.setattr(fitting, "device_memory", lambda device: int(need / 0.89))
    with pytest.raises(OutOfMemoryError) as caught:
        fit(model, source, small(), loss=runs_out(kind))
    said = str(caught.value)
    assert "8 rows of 24 tokens at a time need at least" in said
    assert "too few" in said
    assert "micro_batches = 4 (2 rows at a time, the same result)" in said
    assert "chunked_loss = true; or activation_checkpointing = true" in said
    assert "sharded" not in said
    assert "a batch below 8" in said
    fit(model, source, small(micro_batches=4), loss=runs_out(kind))


def test_another_error_stays_what_it_is():
    def loss(model, batch):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        fit(model_for("causal"), batches("causal"), small(), loss=loss)


def test_what_is_set_already_is_not_advised(monkeypatch):
    settings = small(activation_checkpointing=True)
    with pytest.raises(OutOfMemoryError) as caught:
        fit(model_for("masked"), batches("masked"), settings, loss=runs_out(RuntimeError))
    assert "activation_checkpointing" not in str(caught.value)
