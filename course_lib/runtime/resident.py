"""How much memory this process has had: one measure for logs, benches and tests."""

import resource
import sys
from pathlib import Path


def peak_memory() -> int:
    """The most resident memory of this process so far, in bytes, mapped files included.

    Linux counts it anew for every program (`VmHWM` in /proc/self/status), where `ru_maxrss` of a
    child begins at what its parent had. Elsewhere `ru_maxrss` it is.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
