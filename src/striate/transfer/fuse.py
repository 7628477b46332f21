"""A network for evaluation only: batch norm becomes part of the convolution before it, a pass less over each map."""

import copy
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized

from striate.model.late import has_hooks
from striate.model.network import Network


def fuse_batch_norms(network: Network) -> Network:
    """Return a copy in evaluation mode that gives the same numbers up to rounding; the network stays as it is.

    In evaluation mode batch norm is a factor and an addend for each channel, so filters and biases can have them.

    Reference: Jacob et al., Quantization and Training of Neural Networks, arXiv:1712.05877, section 3.2.
    """
    copied = copy.deepcopy(network).eval()
    for part in list(copied.modules()):
        if isinstance(part, nn.Sequential):
            _fuse(part)
    return copied


def _fuse(parts: nn.Sequential) -> None:
    for (name, layer), (norm_name, norm) in pairwise(list(parts.named_children())):
        if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and _is_plain(layer, norm):
            setattr(parts, name, fuse_conv_bn_eval(layer, norm))
            setattr(parts, norm_name, nn.Identity())


def _is_plain(layer: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    """Return whether the two do what their classes say and nobody listens in between."""
    return norm.track_running_stats and not is_parametrized(layer) and not has_hooks(layer, norm)
