"""Guards `make gpu`: all of it runs on a CPU at a tiny size, and what it writes is complete.

pytest tests/setup/test_gpu.py
"""

import functools
import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import gpu


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    file = tmp_path_factory.mktemp("gpu") / "gpu.json"
    compile_with = torch.compile
    torch.compile = functools.partial(torch.compile, backend="aot_eager")  # no C++ compiler needed
    try:
        assert gpu.main(["--tiny", "--out", str(file)]) == 0
    finally:
        torch.compile = compile_with
    return json.loads(file.read_text(encoding="utf-8"))


def test_what_is_exact_is_found_to_be(found):
    far = found["precision"]["relative difference"]
    assert far["fp32 compiled"] < 1e-4
    assert max(far.values()) < 2 * 2**-8
    assert far["bf16"] > 0
    assert found["resume"]["largest difference of a weight"] == 0
    assert found["resume"]["largest difference of a loss"] == 0


def test_both_loops_train_the_same_model_to_the_same_loss(found):
    part = found["throughput"]
    names = ("nanoGPT again", "fit, compiled", "fit", "fit, chunked_loss", "fit, both")
    for name in names:
        # fit tells the mean of ten steps, the plain loop that of the last one.
        assert part[name]["loss"] == pytest.approx(part["nanoGPT"]["loss"], rel=0.05)
        assert len(part[name]["ms"]) == gpu.TINY.steps // gpu.EVERY - 2
    assert part["speed of nanoGPT's"] > 0


def test_tuning_lowers_the_loss(found):
    for name in ("all weights", "LoRA"):
        first, last = found["tuning"][name]["loss"]
        assert last < first
    assert found["tuning"]["LoRA"]["trained"] < found["tuning"]["all weights"]["trained"]


def test_a_part_that_fails_is_told_and_the_others_go_on(monkeypatch, tmp_path):
    def fails(sizes):
        raise RuntimeError("no such kernel")

    parts = {"precision": fails, "resume": lambda sizes: {"fine": True}}
    monkeypatch.setattr(gpu, "PARTS", parts)
    assert gpu.main(["--tiny", "--out", str(tmp_path / "gpu.json")]) == 1
    found = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert found["precision"]["failed"] == "RuntimeError: no such kernel"
    assert found["resume"]["fine"]


def test_without_a_gpu_nothing_is_invented(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "data_path", lambda name: tmp_path / name)
    assert gpu.main([]) == 0
    assert "nothing was measured" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SystemExit):
        gpu.main(["--tiny"])
