"""The learned kernels of a network as arrays and images, how long and how alike they are, and what training changed.

The classic filters, whose numbers are chosen by hand, are in `filters`. K kernels, C channels that each reads.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from striate.base.choose import nearest
from striate.base.errors import SettingsError
from striate.model.network import Network

from .tap import shown_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float32]
ImageU8 = npt.NDArray[np.uint8]
RGB = 3


@dataclass(frozen=True, eq=False)
class Kernels:
    """The weights of one convolution.

    Args:
        name: of the layer; in a row of one convolution that is the row's, else `row.part`.
        weights: (K, C, height, width) float32, or (K, C, length) of a series; of a transposed convolution too K is
            what it makes and C what a group of it reads.
    """

    name: str
    weights: Floats

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def norms(self) -> Floats:
        """(K,) Euclidean length of each kernel."""
        found: Floats = np.linalg.norm(self._rows, axis=1).astype(np.float32)
        return found

    @property
    def similarity(self) -> Floats:
        """(K, K) cosine between kernels: 1 for the same shape, -1 for its negative; 0 with one that is all zero."""
        rows = self._rows.astype(np.float64)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        unit = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
        found: Floats = (unit @ unit.T).astype(np.float32)
        return found

    @property
    def is_colour(self) -> bool:
        """Whether a kernel reads three channels, and so can be shown in colour: those of the first row, as a rule."""
        return int(self.weights.shape[1]) == RGB

    def images(self, is_common: bool = False) -> ImageU8:
        """Return what each kernel looks like: (K, h, w, 3) in colour, else (K, C, h, w), an image a channel.

        Mid-grey is 0, dark negative, bright positive. A series is shown as one row of pixels.

        Args:
            is_common: one scale for all kernels, so that weak ones look weak; else each has its own.
        """
        weights = self.weights[:, :, None] if self.weights.ndim == 3 else self.weights
        axes = None if is_common else tuple(range(1, weights.ndim))
        largest = np.abs(weights).max(axis=axes, keepdims=True)
        level = np.divide(weights, largest, out=np.zeros_like(weights), where=largest > 0)
        shown: ImageU8 = np.rint(127.5 + 127.5 * level).astype(np.uint8)
        return np.moveaxis(shown, 1, -1) if self.is_colour else shown

    def change(self, before: "Kernels") -> Floats:
        """Return (K,) how far each kernel has moved, as a share of the length that it had: |w - w0| / |w0|.

        Raises:
            SettingsError: the kernels are of another layer's shape.
        """
        if before.weights.shape != self.weights.shape:
            what = f"kernels of shape {before.weights.shape} against {self.weights.shape}"
            raise SettingsError(what, where=self.name, fix="compare the same layer of the same network")
        moved = np.linalg.norm(self._rows - before._rows, axis=1)
        share: Floats = np.divide(moved, before.norms, out=np.full_like(moved, np.inf), where=before.norms > 0)
        return share

    def figure(self) -> "Figure":
        """Return a matplotlib figure of the kernels, each on its own scale; of many channels the first is shown."""
        from .figures import tiles

        shown = (
            self.images() if self.is_colour else [(one[0] if one.ndim == 3 else one) - 127.5 for one in self.images()]
        )
        about = "" if self.is_colour or self.weights.shape[1] == 1 else ", the first channel of each"
        return tiles(
            list(shown), [f"{norm:.2g}" for norm in self.norms], f"kernels of {self.name}, their lengths{about}"
        )

    @property
    def _rows(self) -> Floats:
        return self.weights.reshape(len(self.weights), -1)


def kernels_of(network: nn.Module, name: str | None = None) -> list[Kernels]:
    """Return the kernels of each convolution in a row, in the row's order; copies, the network is only read.

    Args:
        name: of the row or layer; by default the first convolution's.

    Raises:
        SettingsError: there is no such row, or no convolution in it.
    """
    found = all_kernels(network)
    if name is None:
        chosen = found[:1]
    else:
        chosen = [one for one in found if one.name == name or one.name.startswith(f"{name}.")]
    if chosen:
        return chosen
    if not found:
        what = "there is no convolution in the network"
        raise SettingsError(what, where=type(network).__name__, fix="choose a network with one")
    known = list(dict.fromkeys([one.name.split(".")[0] for one in found] + [one.name for one in found]))
    close = nearest(str(name), known)
    fix = f"did you mean {close!r}?" if close else f"choose among {', '.join(known[:12])}"
    raise SettingsError(f"no convolution in {name!r}", where=type(network).__name__, fix=fix)


def all_kernels(network: nn.Module) -> list[Kernels]:
    """Return the kernels of every convolution, in order; none where there is no convolution."""
    return [Kernels(key, _weights(module)) for key, module in _convolutions(network)]


def _convolutions(network: nn.Module) -> Iterator[tuple[str, _ConvNd]]:
    """Convolutions by name; one that is alone in its row of a `Network` has the row's name."""
    every = [(shown_name(key), one) for key, one in network.named_modules() if isinstance(one, _ConvNd)]
    rows = [key.split(".")[0] for key, _ in every]
    for (key, module), row in zip(every, rows, strict=True):
        yield (row if isinstance(network, Network) and rows.count(row) == 1 else key), module


def _weights(module: _ConvNd) -> Floats:
    """(K, C / groups, ...): a transposed convolution keeps its weights as (C, K / groups, ...)."""
    with torch.no_grad():
        weight = module.weight.detach().float().cpu()
        if isinstance(module, _ConvTransposeNd):
            parts = weight.unflatten(0, (module.groups, -1))  # (groups, C / groups, K / groups, ...)
            weight = parts.transpose(1, 2).flatten(0, 1)
        return np.array(weight.numpy())
