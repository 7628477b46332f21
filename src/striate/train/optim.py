"""Optimisers by name, with weight decay on weights only."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from striate.base.choose import choose

Groups = list[dict[str, Any]]


def _sgd(groups: Groups, lr: float, momentum: float, fused: bool) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=momentum > 0, fused=fused)


def _adam(groups: Groups, lr: float, momentum: float, fused: bool) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=lr, betas=(momentum, 0.999), fused=fused)


def _adamw(groups: Groups, lr: float, momentum: float, fused: bool) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=lr, betas=(momentum, 0.999), fused=fused)


OPTIMISERS: dict[str, Callable[[Groups, float, float, bool], torch.optim.Optimizer]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
}
DEFAULT_LR = {"sgd": 0.05, "adam": 1e-3, "adamw": 1e-3}


def groups(model: nn.Module, weight_decay: float) -> Groups:
    """Return two groups: weights with decay, and vectors (biases, norm scales) without (He 2019, section 3.1)."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    weights = [parameter for parameter in trainable if parameter.ndim > 1]
    vectors = [parameter for parameter in trainable if parameter.ndim <= 1]
    both = [{"params": weights, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in both if group["params"]]


def build(model: nn.Module, name: str, *, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    """Return the optimiser called `name`: "sgd" (Nesterov), "adam" (L2 in the gradient), "adamw" (decoupled).

    Args:
        momentum: SGD's momentum, or Adam's first beta.

    Raises:
        SettingsError: unknown name.
    """
    make = choose("optimiser", name, OPTIMISERS)
    return make(groups(model, weight_decay), lr, momentum, True)
