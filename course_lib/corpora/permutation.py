"""An order of rows that is looked up place by place."""

import numpy as np
import torch

from course_lib.runtime import generator, seed_of
from course_lib.runtime.checks import BadArgumentError, Count, checked
from course_lib.runtime.seeds import Key

LISTED = 2**24  # rows: up to here the whole order is drawn (134 MB, a second)
ROUNDS = 8


class Permutation:
    """A permutation of `count` rows, keyed as `runtime.generator` is: `permutation[places]`.

    Up to 2^24 rows it is `torch.randperm`'s. Beyond, nothing is drawn or kept: a place is sent to
    its row by a Feistel network, which is a bijection whatever its round function is (Luby and
    Rackoff 1988). It works on pairs of digits (l, r) with l < a and r < b, a times b being hardly
    more than `count`, and a place that lands beyond `count` is sent on until it lands below: the
    generalised network and the cycle walking of Black and Rogaway 2002, sections 4 and 5. The
    round function is the mixing step of splitmix64 (Steele et al. 2014). Good enough to shuffle
    by; not for secrets.

    Raises:
        BadArgumentError: `count` below 1.
    """

    @checked
    def __init__(self, count: Count, *key: Key) -> None:
        self.count = count
        self._order = None
        if count <= LISTED:
            self._order = torch.randperm(count, generator=generator(*key))
        else:
            self._keys = [seed_of("round", number, *key) for number in range(ROUNDS)]

    def __len__(self) -> int:
        return self.count

    @checked
    def __getitem__(self, places: torch.LongTensor) -> torch.LongTensor:
        """The rows at some places: int64, of the same shape.

        Raises:
            BadArgumentError: a place that is not below `count`, or below 0, or no int64.
        """
        require_places(places, self.count)
        if self._order is not None:
            return self._order[places]
        rows = torch.from_numpy(walk(places.numpy().ravel(), self.count, self._keys))
        return rows.view(places.shape)


def require_places(places: torch.LongTensor, count: int) -> None:
    """Refuse places outside 0 to `count` - 1.

    Raises:
        BadArgumentError: names the first of them.
    """
    outside = places[(places < 0) | (places >= count)]
    if len(outside):
        raise BadArgumentError(f"places: {int(outside[0])} is none: there are 0 to {count - 1}.")


def walk(places: np.ndarray, count: int, keys: list[int]) -> np.ndarray:
    """Where each place goes: through the network, again for as long as it is not below `count`."""
    rows = network(places.astype(np.uint64), count, keys)
    while (outside := rows >= count).any():
        rows[outside] = network(rows[outside], count, keys)
    return rows.astype(np.int64)


def network(numbers: np.ndarray, count: int, keys: list[int]) -> np.ndarray:
    """A bijection of the numbers below a * b, the smallest near-square that holds `count`."""
    a = np.uint64(max(1, round(count**0.5)))
    b = np.uint64(-(-count // int(a)))
    left, right = numbers // b, numbers % b
    for number, key in enumerate(keys):
        if number % 2:
            right = (right + _mixed(left, key) % b) % b
        else:
            left = (left + _mixed(right, key) % a) % a
    return left * b + right


def _mixed(numbers: np.ndarray, key: int) -> np.ndarray:
    """64 bits that look random, of each number and the key (arithmetic modulo 2^64)."""
    mixed = (numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(key)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return mixed ^ mixed >> np.uint64(31)
