"""Batch normalisation over the images of all processes that train together, on any device."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from striate.base.processes import sum_over_all

from .regularise import batch_norms


def share_statistics(model: nn.Module) -> None:
    """Let every batch normalisation of a model, in place, take its statistics of the whole batch while training.

    Mean and variance are those that one process would compute of all images, with their gradients; torch's own
    `SyncBatchNorm` does so on GPUs only.

    Reference: Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1.
    """
    for norm in batch_norms(model):
        if not isinstance(norm, _Shared):
            norm.__class__ = _shared(type(norm))


class _Shared(BatchNorm):
    """The class that a batch normalisation gets beside its own."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            plain: Tensor = super().forward(input)
            return plain
        values = input.float()
        dims, shape = [0, *range(2, input.ndim)], (1, -1, *(1,) * (input.ndim - 2))
        sums = torch.cat([values.sum(dims), values.new_tensor([values.numel() / values.shape[1]])])
        sums = sum_over_all(sums)
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = values - mean.view(shape)
        var = sum_over_all(centred.square().sum(dims)) / count
        self._keep(mean.detach(), var.detach(), count)
        scale = (var + self.eps).rsqrt() if self.weight is None else (var + self.eps).rsqrt() * self.weight
        out = centred * scale.view(shape)
        return (out if self.bias is None else out + self.bias.view(shape)).to(input.dtype)

    @torch.no_grad()
    def _keep(self, mean: Tensor, var: Tensor, count: Tensor) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        self.running_var.lerp_((var * (count / (count - 1).clamp(min=1))).to(self.running_var), share)


def _shared(kind: type[BatchNorm]) -> type[BatchNorm]:
    return type(f"Shared{kind.__name__}", (_Shared, kind), {})
