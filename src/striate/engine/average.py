"""Averages of a model over training: exponential (EMA) after every step, equal (SWA) over the last epochs."""

import copy
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from striate.data.sample import Batch

from .precision import autocast
from .regularise import batch_norms


class Average:
    """An exponential moving average of a model's weights (Polyak 1992; Tarvainen 2017).

    Buffers are copied: batch normalisation's running statistics are an average of their own, a little younger than the
    averaged weights. The decay grows as (1 + step) / (10 + step) up to `decay`, so that early epochs are not stuck at
    the init.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards `model` after step number `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages: list[Tensor] = list(self.model.parameters())
        currents: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(averages, currents, 1 - decay)
        copy_buffers(self.model, model)


class EqualAverage:
    """The mean of the models at the end of each of the last epochs (stochastic weight averaging).

    Batch normalisation's statistics belong to no single model of the mean, so one pass over training images measures
    them anew whenever the mean has moved; those that training leaves as they are stay so in the mean.

    Args:
        first_epoch: the epoch (from 0) at whose end averaging begins.
        eval_modules: modules of `model` that stay in evaluation mode while it trains.

    Reference: Izmailov et al. 2018, arXiv:1803.05407.
    """

    def __init__(self, model: nn.Module, first_epoch: int, eval_modules: Iterable[nn.Module] = ()) -> None:
        self.first_epoch, self.count = first_epoch, 0
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        kept = {id(norm) for module in eval_modules for norm in batch_norms(module)}
        pairs = zip(batch_norms(model), batch_norms(self.model), strict=True)
        self._measured = [ours for theirs, ours in pairs if id(theirs) not in kept and ours.track_running_stats]

    @torch.no_grad()
    def update(self, model: nn.Module, batches: Callable[[], Iterable[Batch]], precision: str = "float32") -> None:
        """Take one more model into the mean; `batches` gives the images for the statistics, when there are any."""
        self.count += 1
        averages: list[Tensor] = list(self.model.parameters())
        torch._foreach_lerp_(averages, list(model.parameters()), 1 / self.count)
        copy_buffers(self.model, model)
        if self._measured:
            refresh_norms(self.model, batches(), precision, self._measured)


def copy_buffers(target: nn.Module, source: nn.Module) -> None:
    """Copy every buffer of `source`."""
    for ours, theirs in zip(target.buffers(), source.buffers(), strict=True):
        ours.copy_(theirs)


@torch.no_grad()
def refresh_norms(
    model: nn.Module,
    batches: Iterable[Batch],
    precision: str = "float32",
    norms: Sequence[BatchNorm] | None = None,
) -> None:
    """Measure batch normalisation's statistics anew: the plain mean over the batches. Dropout stays off.

    Args:
        norms: only these of the model; by default all that keep statistics.
    """
    norms = [norm for norm in batch_norms(model) if norm.track_running_stats] if norms is None else norms
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's sign for a plain mean
        norm.train()
    try:
        for batch in batches:
            with autocast(batch.images.device, precision):
                model(batch.images)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
