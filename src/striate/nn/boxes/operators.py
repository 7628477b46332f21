"""Whether torchvision's compiled operators load: a torchvision built for CUDA beside a CPU-only torch has none."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from striate.base import torchvision as tv


@cache
def has_compiled() -> bool:
    """Return whether torchvision's compiled operators load."""
    return bool(tv.load("torchvision.extension")._has_ops())


def compiled(name: str) -> Callable[..., Any] | None:
    """Return a compiled operator of torchvision; None where they do not load."""
    return getattr(torch.ops.torchvision, name) if has_compiled() else None
