"""Which device, which precision, how many threads."""

import os
import platform
from pathlib import Path
from typing import Literal

import torch

from course_lib.runtime.errors import CourseError

Precision = Literal["no", "tf32", "fp16", "bf16"]
HALF = ("fp16", "bf16")  # mixed: what is multiplied has 16 bits, weights and moments have 32


def choose_device() -> torch.device:
    """CUDA if there is one, else Apple's MPS, else the CPU.

    Of several CUDA devices each process takes the one that `torchrun` gives it.
    """
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def choose_precision(
    device: torch.device, wanted: Literal["auto", "no", "tf32", "fp16", "bf16"] = "auto"
) -> Precision:
    """The mixed precision to train in: the one that is wanted, or what the hardware computes in.

    bf16 only from compute capability 8.0 (Ampere) on. `torch.cuda.is_bf16_supported()` is not
    asked: it also says yes where bf16 is emulated, as on a T4 (7.5), which is then slower than
    fp32. Older cards get fp16 with loss scaling; CPU and MPS train in fp32. "tf32" is fp32 whose
    multiplications read 10 of the 23 bits of a fraction: it is never chosen unasked.

    Raises:
        CourseError: "tf32", and a device that has no such multiplications.
    """
    ampere = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    if wanted == "tf32" and not ampere:
        raise CourseError(
            f'precision = "tf32" is for NVIDIA cards from Ampere on, not for {device}: set "no", '
            "which is fp32, or leave it out."
        )
    if wanted != "auto":
        return wanted
    if device.type != "cuda":
        return "no"
    return "bf16" if ampere else "fp16"


def set_threads(count: int | None = None) -> int:
    """Set torch's threads on the CPU, by default one for each core this process may use.

    `OMP_NUM_THREADS` is heeded: who starts several processes at once gives each its share in it.
    Returns the number set.
    """
    if count is None:
        affinity = getattr(os, "sched_getaffinity", None)
        count = len(affinity(0)) if affinity else os.cpu_count() or 1
        given = os.environ.get("OMP_NUM_THREADS", "")
        count = min(count, int(given)) if given.isdecimal() and int(given) else count
    torch.set_num_threads(count)
    return count


def describe_machine() -> dict[str, str]:
    """What the results of this session depend on, as text: hardware, precision, versions."""
    import transformers

    device = choose_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "device": f"{device.type} ({name})",
        "processor": _processor(),
        "precision": {"no": "fp32"}.get(choose_precision(device), choose_precision(device)),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _processor() -> str:
    """The CPU by the name that Linux has for it: what it can multiply decides the last digits."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
