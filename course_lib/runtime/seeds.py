"""Randomness as a pure function of a key.

Every random draw of the course comes from a generator keyed by what it is for, for example
`generator(seed, "masking", step)`. Nothing depends on how many draws came before, so a run that
is resumed at step 500 draws what an uninterrupted run would have drawn.
"""

import hashlib
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Key = int | str


def seed_of(*key: Key) -> int:
    """A 63-bit seed for a key of integers and strings; the same on every platform."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(*key: Key) -> "torch.Generator":
    """A CPU `torch.Generator` seeded by `seed_of(*key)`."""
    import torch

    return torch.Generator().manual_seed(seed_of(*key))


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices) for code that draws from the global state."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  (third-party code may still use the global state)
    torch.manual_seed(seed)
