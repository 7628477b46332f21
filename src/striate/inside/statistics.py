"""What the rows of a network answer over many images: how large, how often zero, which units never wake.

A map is (N, C, ...): images, channels, places; a vector has one place.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.base.errors import DataError
from striate.model.network import Network

from .tap import borrowed, shown_name

Floats = npt.NDArray[np.float64]
STEEP = 0.1  # of the greatest slope: below it an activation counts as saturated
SLOPES: dict[
    type[nn.Module], Callable[[Tensor], Tensor]
] = {  # slope of an activation over its greatest one, from what it gives
    nn.Sigmoid: lambda out: 4 * out * (1 - out),
    nn.Tanh: lambda out: 1 - out * out,
}


@dataclass(frozen=True, eq=False)
class RowStatistics:
    """What a row gave for all images together.

    Args:
        name: of the row or layer.
        shape: (C, ...) of its output for one image.
        num_images: that were looked at.
        least, most, mean: (C,) of each channel over images and places.
        rms: (C,) root of the mean square.
        zeros: (C,) share of numbers that are exactly 0.
        num_awake: (C,) images in which a channel is above 0 somewhere.
        saturated: share of the numbers of its sigmoids and tanhs where their slope is below a tenth of the greatest;
            None without such.
    """

    name: str
    shape: tuple[int, ...]
    num_images: int
    least: Floats
    most: Floats
    mean: Floats
    rms: Floats
    zeros: Floats
    num_awake: npt.NDArray[np.int64]
    saturated: float | None = None

    @property
    def dead(self) -> list[int]:
        """Channels that are above 0 in none of the images, at no place; none of a row that has numbers below 0.

        Such a row has no rectifier at its end: what is negative there still moves what follows.
        """
        return [] if self.has_negative else np.flatnonzero(self.num_awake == 0).tolist()

    @property
    def has_negative(self) -> bool:
        """Whether any of its numbers is below 0."""
        return bool((self.least < 0).any())

    def to_json(self) -> dict[str, Any]:
        """Return the figures of the row, without those of each channel."""
        return {
            "name": self.name,
            "shape": list(self.shape),
            "num_images": self.num_images,
            "least": float(self.least.min()),
            "most": float(self.most.max()),
            "mean": float(self.mean.mean()),
            "rms": float(np.sqrt((self.rms**2).mean())),
            "zeros": float(self.zeros.mean()),
            "dead": None if self.has_negative else self.dead,
            "saturated": self.saturated,
        }


def row_names(network: nn.Module) -> tuple[str, ...]:
    """Return the rows of a `Network`, or the layers (modules without parts) of any other module."""
    if isinstance(network, Network):
        return network.blueprint.names
    return tuple(name for name, part in network.named_modules() if name and not any(True for _ in part.children()))


def feature_maps(network: nn.Module, images: Tensor, names: Sequence[str] = ()) -> dict[str, Tensor]:
    """Return what rows give for images (N, C, H, W): row -> (N, ...), float32 on the network's device.

    Of a row that is used several times it is what it gave last.

    Args:
        images: as the network gets them: normalised.
        names: of rows or layers; by default all rows.

    Raises:
        SettingsError: no row has that name.
    """
    with borrowed(network) as probe, torch.no_grad():
        found = probe.maps(probe.ready(images), names or row_names(network))[1]
    return {name: maps[-1].detach() for name, maps in found.items()}


def statistics(network: nn.Module, batches: Iterable[Tensor], names: Sequence[str] = ()) -> list[RowStatistics]:
    """Return the statistics of each row over batches of normalised images; none but sums are kept.

    Raises:
        DataError: there are no images.
        SettingsError: no row has that name.
    """
    rows = tuple(names) or row_names(network)
    watched = dict(_saturating(network, rows))
    sums = {name: _Sums() for name in rows}
    with borrowed(network) as probe, torch.no_grad():
        for images in batches:
            _, found = probe.maps(probe.ready(images), [*rows, *watched])
            for name in rows:
                for maps in found.get(name, ()):
                    sums[name].add(maps, len(images))
            for layer, (row, kind) in watched.items():
                for maps in found.get(layer, ()):
                    sums[row].add_slopes(SLOPES[kind](maps))
    if not any(one.num_images for one in sums.values()):
        raise DataError("no images to look at", fix="give at least one")
    return [one.result(name) for name, one in sums.items() if one.num_images]


def _saturating(network: nn.Module, rows: Sequence[str]) -> Iterator[tuple[str, tuple[str, type[nn.Module]]]]:
    """Sigmoids and tanhs: layer -> (the row that it is in, its kind)."""
    for key, module in network.named_modules():
        name = shown_name(key)
        row = next((one for one in rows if name == one or name.startswith(f"{one}.")), None)
        if row is not None and type(module) in SLOPES:
            yield name, (row, type(module))


@dataclass
class _Sums:
    """Sums over images and places of each channel, in float64."""

    num_images: int = 0
    num: int = 0
    shape: tuple[int, ...] = ()
    sums: dict[str, Floats] = field(default_factory=dict)
    num_flat: int = 0
    num_slopes: int = 0

    def add(self, maps: Tensor, num_images: int) -> None:
        rows = maps.detach().double().flatten(2) if maps.ndim > 2 else maps.detach().double()[..., None]
        found = {
            "least": rows.amin((0, 2)),
            "most": rows.amax((0, 2)),
            "total": rows.sum((0, 2)),
            "squares": (rows * rows).sum((0, 2)),
            "zeros": (rows == 0).sum((0, 2)),
            "awake": (rows > 0).any(2).sum(0),
        }
        self.shape = tuple(maps.shape[1:])
        self.num += rows.shape[0] * rows.shape[2]
        self.num_images += num_images
        for name, values in found.items():
            new = values.cpu().numpy().astype(np.float64)
            self.sums[name] = COMBINE.get(name, np.add)(self.sums[name], new) if name in self.sums else new

    def add_slopes(self, slopes: Tensor) -> None:
        self.num_flat += int((slopes < STEEP).sum())
        self.num_slopes += slopes.numel()

    def result(self, name: str) -> RowStatistics:
        sums = self.sums
        return RowStatistics(
            name,
            self.shape,
            self.num_images,
            sums["least"],
            sums["most"],
            sums["total"] / self.num,
            np.sqrt(sums["squares"] / self.num),
            sums["zeros"] / self.num,
            sums["awake"].astype(np.int64),
            self.num_flat / self.num_slopes if self.num_slopes else None,
        )


COMBINE = {"least": np.minimum, "most": np.maximum}
