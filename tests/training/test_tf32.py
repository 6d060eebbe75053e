"""Guards `precision = "tf32"`: torch is told so while training lasts, where the card can do it.

pytest tests/training/test_tf32.py
"""

import pytest
import torch
from small_runs import batches, model_for, small

from course_lib.objectives import summed_loss
from course_lib.runtime import CourseError, choose_precision
from course_lib.training import fit, loop


@pytest.mark.parametrize(("device", "capability"), [("cuda", (7, 5)), ("cpu", None), ("mps", None)])
def test_where_there_is_none_one_line_says_so(device, capability, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    with pytest.raises(CourseError, match=f'from Ampere on, not for {device}: set "no"') as caught:
        choose_precision(torch.device(device), "tf32")
    assert "\n" not in str(caught.value)


def test_a_card_that_can_does_it_only_when_asked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    device = torch.device("cuda")
    assert [choose_precision(device, wanted) for wanted in ("tf32", "auto")] == ["tf32", "bf16"]


def test_torch_is_told_so_while_training_lasts_also_where_it_fails(monkeypatch):
    monkeypatch.setattr(loop, "choose_precision", lambda device, wanted: wanted)
    before, seen = torch.get_float32_matmul_precision(), []

    def loss(model, batch):
        seen.append((torch.get_float32_matmul_precision(), torch.is_autocast_enabled("cpu")))
        if len(seen) == 3:
            raise KeyError("whatever")
        return summed_loss(model, batch)

    with pytest.raises(KeyError):
        fit(model_for("causal"), batches("causal"), small(precision="tf32"), loss=loss)
    assert seen == [("high", False)] * 3
    assert torch.get_float32_matmul_precision() == before != "high"
