"""What a step can do against overfitting beside the loss: penalties, noise on weights, sharpness, frozen rows."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from striate.base.choose import nearest
from striate.base.errors import SettingsError

from .optim import rows_of

BODY = "body"


def with_gradient(parameters: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the parameters that have a gradient, and their gradients."""
    found = [parameter for parameter in parameters if parameter.grad is not None]
    return found, [parameter.grad for parameter in found if parameter.grad is not None]


@torch.no_grad()
def penalise(weights: list[Tensor], l1: float, l2: float) -> None:
    """Add the gradient of l1 x sum |w| + l2 x sum w^2 (elastic net, Zou and Hastie 2005) to that of the weights."""
    found, grads = with_gradient(weights)
    if l1 and found:
        torch._foreach_add_(grads, torch._foreach_sign(found), alpha=l1)
    if l2 and found:
        torch._foreach_add_(grads, found, alpha=2 * l2)


@contextmanager
def weight_noise(weights: list[Tensor], share: float) -> Iterator[None]:
    """Add Gaussian noise to the weights for the time of the block; its deviation is a share of each tensor's RMS.

    Reference: Graves 2011, Practical variational inference for neural networks.
    """
    with _kept(weights):
        with torch.no_grad():
            for weight in weights:
                weight.add_(torch.randn_like(weight) * (share * weight.square().mean().sqrt()))
        yield


@contextmanager
def sam_perturbation(parameters: list[Tensor], rho: float) -> Iterator[None]:
    """Move the parameters by `rho` along their gradient for the time of the block, towards the highest loss near by.

    Reference: Foret et al. 2021, Sharpness-aware minimization, arXiv:2010.01412, equation 2.
    """
    found, grads = with_gradient(parameters)
    with _kept(found):
        with torch.no_grad():
            norm = torch.stack(torch._foreach_norm(grads)).norm()
            torch._foreach_add_(found, torch._foreach_mul(grads, rho / (norm + 1e-12)))
        yield


@contextmanager
def _kept(tensors: list[Tensor]) -> Iterator[None]:
    """Put the tensors back as they were, to the bit."""
    before = [tensor.detach().clone() for tensor in tensors]
    try:
        yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(tensors, before)


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Let batch normalisation use each batch's statistics in the block without adding them to its running ones."""
    norms = [module for module in model.modules() if isinstance(module, BatchNorm) and module.track_running_stats]
    for module in norms:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in norms:
            module.track_running_stats = True


def batch_norms(model: nn.Module) -> list[BatchNorm]:
    """Return the modules with running statistics of batches."""
    return [module for module in model.modules() if isinstance(module, BatchNorm)]


def frozen_rows(model: nn.Module, last: str, setting: str = "train.stages") -> list[nn.Module]:
    """Return the rows up to and including `last` in the table's order; "body" means every row before the head.

    Raises:
        SettingsError: no row has that name, which `setting` gave.
    """
    if not last:
        return []
    rows = rows_of(model)
    names = list(rows)
    if last == BODY and BODY not in rows:
        last = _before_head(model, names)
    if last not in rows:
        close = nearest(last, names)
        fix = f"did you mean {close!r}?" if close else f"choose among {', '.join(names)}"
        raise SettingsError(f"no row {last!r}", where=setting, fix=fix)
    return [rows[name] for name in names[: names.index(last) + 1]]


def _before_head(model: nn.Module, names: list[str]) -> str:
    """The row before the first one that gives no map, or that the blueprint calls its head."""
    head = getattr(getattr(model, "blueprint", None), "head", "")
    shapes = getattr(model, "shapes", {})
    first = next((name for name in names if name == head or (not head and len(shapes.get(name, ())) == 1)), names[-1])
    return names[max(0, names.index(first) - 1)]


def freeze(
    model: nn.Module, last: str = "", *, has_fixed_norms: bool = False, setting: str = "train.stages"
) -> list[nn.Module]:
    """Stop the rows up to `last` from training, and return the modules that must stay in evaluation mode."""
    for row in frozen_rows(model, last, setting):
        row.requires_grad_(False)
    return modules_in_eval_mode(model, last, has_fixed_norms=has_fixed_norms)


def modules_in_eval_mode(model: nn.Module, last: str, *, has_fixed_norms: bool = False) -> list[nn.Module]:
    """Return the modules that stay in evaluation mode while the rows up to `last` are frozen.

    Frozen rows are as they are at prediction: batch normalisation uses its running statistics and leaves them as they
    are, dropout is off.

    Args:
        has_fixed_norms: whether every other batch normalisation stays in evaluation mode too; its scale and shift
            still train.
    """
    return [*frozen_rows(model, last), *(batch_norms(model) if has_fixed_norms else [])]


def unfreeze(model: nn.Module, last: str, setting: str = "train.stages") -> None:
    """Let the rows up to `last` train again."""
    for row in frozen_rows(model, last, setting):
        row.requires_grad_(True)
