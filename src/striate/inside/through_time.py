"""How far back in time the loss pulls: its gradient by the samples of each step, which vanishes in a plain RNN."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.base.errors import DataError

from .tap import borrowed


@dataclass(frozen=True)
class TimeGradient:
    """The gradient of the mean loss of a batch of series, step by step.

    Args:
        norms: (L,) mean over the series of |dL/dx_t|, L the loss of the series and x_t its sample at step t, in the
            units that the network gets.
    """

    norms: npt.NDArray[np.float64]

    @property
    def reach(self) -> float:
        """The mean of the first tenth of the steps over that of the last tenth: below 0.01 the start hardly counts.

        Example:
            >>> TimeGradient(np.geomspace(1e-4, 1, 20)).reach < 0.01
            True
        """
        num = max(1, len(self.norms) // 10)
        return float(self.norms[:num].mean() / max(self.norms[-num:].mean(), 1e-300))


def through_time(network: nn.Module, series: Tensor, truth: Tensor) -> TimeGradient:
    """Return how strongly the cross-entropy of series pulls on their samples, step by step; see `pull_of`.

    Any network of series will do, so that recurrent ones, convolutions and attention stand side by side.

    Args:
        series: (N, C, 1, L), as the network gets them.
        truth: (N,) class of each.

    Raises:
        DataError: they are no series.

    Reference: Pascanu et al., On the difficulty of training recurrent neural networks, arXiv:1211.5063.
    """
    return pull_of(network, series, lambda outputs: F.cross_entropy(outputs, truth.to(outputs.device)))


def pull_of(network: nn.Module, series: Tensor, loss: Callable[[Any], Tensor]) -> TimeGradient:
    """Return how strongly a loss of series pulls on their samples, step by step; the network is given back unchanged.

    Args:
        series: (N, C, 1, L), as the network gets them.
        loss: from the outputs to the mean over the series of their losses.

    Raises:
        DataError: they are no series.
    """
    if series.ndim != 4 or series.shape[2] != 1:
        raise DataError(f"{tuple(series.shape)} is no batch of series", where="series", fix="give (N, C, 1, L)")
    with borrowed(network) as probe:
        x = probe.ready(series).requires_grad_()
        with torch.backends.cudnn.flags(enabled=False):  # its recurrent layers have no gradient in evaluation mode
            whole = len(x) * loss(probe(x))  # each series has its own
            (slope,) = torch.autograd.grad(whole, [x])
    norms = slope[:, :, 0].double().square().sum(1).sqrt().mean(0)
    return TimeGradient(norms.cpu().numpy())
