"""How weights start. One generator, so that a seed gives one network, and the global random state stays as it was."""

from collections.abc import Callable, Mapping, Sequence
from math import prod, sqrt
from typing import Any

from torch import Generator, Tensor, nn, norm_except_dim
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized

from striate.base.choose import choose

Scheme = Callable[[Tensor, float, Generator], Any]


def initialise(network: nn.Module, generator: Generator, scheme: str = "he") -> None:
    """Set every parameter and buffer of the network.

    Convolution and linear weights follow the scheme; biases start at 0, normalisations at scale 1 and shift 0. The last
    of these layers starts with a smaller variance, 1 / (9 fan-in), so that the first predictions are near uniform
    even after many poolings, each of which raises the level.

    Args:
        scheme: "he", normal of variance 2 / fan-in (right before ReLU); "truncated", normal of deviation 0.02 cut at
            two deviations (transformers, ConvNeXt); "normal", of deviation 0.05 everywhere, which shows what goes
            wrong in deep networks; "dirac", as "he", but each convolution begins by passing its input on.

    Raises:
        TypeError: a module has parameters of its own and no `initialise(generator)`.

    Reference: He et al., Delving Deep into Rectifiers, arXiv:1502.01852; Jordan, arXiv:2404.00498, section 3.3 (dirac).
    """
    draw = choose("initialisation", scheme, SCHEMES)
    weighted = [module for module in network.modules() if isinstance(module, _ConvNd | nn.Linear)]
    for module in network.modules():
        gain = 1 / 3 if weighted and module is weighted[-1] else sqrt(2)
        _set(module, draw, gain, generator)


def start_at(network: nn.Module, shares: Sequence[float]) -> None:
    """Let the first predictions be these shares of the classes: the last layer's biases become their logarithms.

    A network whose last layer has no bias for each class stays as it is. Without this, the weights of that layer first
    learn that rare classes are rare, all alike, and what tells them apart comes late.

    Reference: Lin et al., "Focal loss for dense object detection", ICCV 2017, section 4.1.
    """
    *_, last = [module for module in network.modules() if isinstance(module, _ConvNd | nn.Linear)]
    if last.bias is not None and len(last.bias) == len(shares):
        logs = Tensor(shares).log()
        last.bias.data.copy_(logs - logs.mean())


def _set(module: nn.Module, draw: Scheme, gain: float, generator: Generator) -> None:
    own = getattr(module, "initialise", None)
    if own is not None:
        own(generator)
    elif isinstance(module, _ConvNd | nn.Linear):
        if is_parametrized(module, "weight"):  # weight normalisation: what is drawn is v, and g = |v|
            length, direction = getattr(module.parametrizations, "weight").parameters()  # noqa: B009
            draw(direction, gain, generator)
            length.data = norm_except_dim(direction.data)
        else:
            _draw(module, draw, gain, generator)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, _NormBase | nn.GroupNorm | nn.LayerNorm):
        module.reset_parameters()
    elif isinstance(module, ParametrizationList | nn.RNNBase):
        pass  # set with the module it belongs to
    elif any(True for _ in module.parameters(recurse=False)) or any(True for _ in module.buffers(recurse=False)):
        raise TypeError(f"{type(module).__name__} has parameters or buffers of its own but no initialise(generator)")


def _draw(module: nn.Module, draw: Scheme, gain: float, generator: Generator) -> None:
    """Draw a layer's weight; where windows of a transposed convolution overlap less, an output sums fewer inputs."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    if isinstance(module, _ConvTransposeNd):
        weight, gain = weight.detach().transpose(0, 1), gain * sqrt(prod(module.stride) * module.groups)
    draw(weight, gain, generator)


def fan_in(weight: Tensor) -> int:
    """Return how many inputs one output sums: input channels of a group x kernel size.

    Example:
        >>> import torch
        >>> fan_in(torch.empty(64, 3, 7, 7))
        147
    """
    return weight[0].numel()


def he(weight: Tensor, gain: float, generator: Generator) -> None:
    """Fill with a normal distribution of deviation gain / sqrt(fan-in)."""
    nn.init.normal_(weight, 0.0, gain / sqrt(fan_in(weight)), generator=generator)


def truncated(weight: Tensor, gain: float, generator: Generator) -> None:
    """Fill with a normal distribution of deviation 0.02 cut at two deviations."""
    nn.init.trunc_normal_(weight, 0.0, 0.02, -0.04, 0.04, generator=generator)


def normal(weight: Tensor, gain: float, generator: Generator) -> None:
    """Fill with a normal distribution of deviation 0.05, whatever the fan-in."""
    nn.init.normal_(weight, 0.0, 0.05, generator=generator)


def dirac(weight: Tensor, gain: float, generator: Generator) -> None:
    """Fill as `he`; the first filters of a convolution, as many as it has channels in, pass those on unchanged."""
    he(weight, gain, generator)
    if weight.ndim > 2:
        nn.init.dirac_(weight[: weight.shape[1]])


SCHEMES: Mapping[str, Scheme] = {"he": he, "truncated": truncated, "normal": normal, "dirac": dirac}
