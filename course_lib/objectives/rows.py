"""Rows of token ids, as `pack` makes them: what an argument of that kind must be."""

from typing import Annotated, Any

import torch
from pydantic import BeforeValidator
from torch import Tensor


def _as_rows(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or value.ndim != 2 or value.dtype != torch.long:
        raise ValueError("give token ids as a LongTensor [rows, length], as pack makes them")
    if not value.numel():
        raise ValueError("give at least one row of at least one token")
    return value


TokenRows = Annotated[Tensor, BeforeValidator(_as_rows)]
