"""Muon: the step of a filter bank is its momentum, made orthogonal.

A filter bank (out, in, height, width) is the matrix (out, in x height x width). The rate of each is scaled by
0.2 sqrt(the larger side), so that a step is as long as one of AdamW, and one rate serves both (Liu et al. 2025, Muon is
Scalable for LLM Training, arXiv:2502.16982, section 2.2).

Reference: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon.
"""

from math import sqrt

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
NUM_STEPS = 5


def is_filter(parameter: Tensor) -> bool:
    """Return whether a parameter is a matrix or a bank of filters of several channels (not depthwise ones)."""
    return parameter.ndim > 1 and parameter.shape[1] > 1


def orthogonalise(matrices: Tensor) -> Tensor:
    """Return matrices (B, M, N) with the same singular vectors and all singular values near 1 (0.68 to 1.13).

    Five steps of a quintic Newton-Schulz iteration, in bf16 on a GPU and float32 on a CPU. Every step multiplies by a
    polynomial of X X^T, so for long matrices the float32 steps are done on that small square, and X enters once.

    Example:
        >>> found = orthogonalise(torch.diag(torch.tensor([3.0, 1.0, 0.5]))[None])
        >>> bool(((found[0].diag() - 1).abs() < 0.35).all())
        True
    """
    x = matrices.bfloat16() if matrices.device.type == "cuda" else matrices.float()
    is_tall = x.shape[1] > x.shape[2]
    x = x.mT if is_tall else x
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    if x.dtype == torch.float32 and x.shape[2] > 2 * x.shape[1]:
        x = _through_square(x)
    else:
        for _ in range(NUM_STEPS):
            x = _polynomial(x @ x.mT) @ x
    return x.mT if is_tall else x


def _polynomial(gram: Tensor) -> Tensor:
    """Return a I + b G + c G^2 of symmetric (B, M, M)."""
    a, b, c = COEFFICIENTS
    found = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
    found.diagonal(dim1=1, dim2=2).add_(a)
    return found


def _through_square(x: Tensor) -> Tensor:
    gram = x @ x.mT
    product = factor = _polynomial(gram)
    for _ in range(NUM_STEPS - 1):
        gram = factor @ gram @ factor
        factor = _polynomial(gram)
        product = factor @ product
    return product @ x


def add_orthogonal(parameters: list[Tensor], updates: list[Tensor], alpha: float) -> None:
    """Add `alpha` x 0.2 sqrt(larger side) x the orthogonalised update to each parameter; equal shapes go together."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for index, update in enumerate(updates):
        shapes.setdefault(tuple(update.shape), []).append(index)
    for shape, indices in shapes.items():
        steps = orthogonalise(torch.stack([updates[index].flatten(1) for index in indices]))
        length = 0.2 * sqrt(max(steps.shape[1:]))
        for index, step in zip(indices, steps, strict=True):
            parameters[index].add_(step.view(shape).to(parameters[index].dtype), alpha=alpha * length)
