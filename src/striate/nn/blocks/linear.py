"""Fully connected layers and dropout."""

from collections import OrderedDict

from torch import nn

from striate.base.errors import SettingsError

from .norm import Spec, make_activation, make_norm, normalises


def linear(
    c_in: int,
    width: int,
    *,
    size_hw: tuple[int, ...] = (),
    bias: bool | None = None,
    norm: Spec = "none",
    activation: str = "none",
) -> nn.Sequential:
    """Return a weighted sum of all features, normalisation, activation: (N, c_in) -> (N, width).

    Args:
        size_hw: of the input if that is a map; it must not be.

    Raises:
        SettingsError: the input is a map.

    Example:
        >>> linear(4, 2, activation="relu")
        Sequential(
          (linear): Linear(in_features=4, out_features=2, bias=True)
          (activation): ReLU(inplace=True)
        )
    """
    if len(size_hw) >= 2:
        raise SettingsError("takes a vector; got a map", fix="put a row 'flatten' or 'global_pool' before it")
    has_bias = not normalises(norm) if bias is None else bias
    parts: OrderedDict[str, nn.Module] = OrderedDict(linear=nn.Linear(c_in, width, bias=has_bias))
    if normalises(norm):
        parts["norm"] = make_norm(norm, width, vector=True)
    if activation != "none":
        parts["activation"] = make_activation(activation)
    return nn.Sequential(parts)


def dropout(c_in: int, *, rate: float = 0.5, spatial: bool = False) -> nn.Module:
    """Return dropout of single values, or of whole channels if `spatial`.

    Raises:
        SettingsError: the rate is not in 0 <= rate < 1.

    Reference: Srivastava et al., Dropout, JMLR 15 (2014); Tompson et al., arXiv:1411.4280 (spatial).
    """
    if not 0 <= rate < 1:
        raise SettingsError(f"dropout rate {rate} is not in 0 <= rate < 1", fix="use 0.5")
    return nn.Dropout2d(rate) if spatial else nn.Dropout(rate)
