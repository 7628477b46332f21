"""Numbers that every step needs again. On a GPU they are made once: to make them there waits for all its work."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


def constants(values: Sequence[Any], like: Tensor) -> Tensor:
    """Return what `like.new_tensor(values)` does, with the type and on the device of `like`; to be read only.

    Example:
        >>> constants((1, 2), torch.zeros(3))
        tensor([1., 2.])
    """
    if like.device.type != "cuda":  # nothing is waited for, and what traces a network keeps no tensor of it
        return like.new_tensor(values)
    return _made(tuple(values), like.dtype, like.device)


@lru_cache(maxsize=256)
def _made(values: tuple[Any, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)
