"""What one unit of a map sees of an image: the box that it could see, and how much each pixel in it counts.

Theory says which pixels can reach a unit (`model.field`). How much they count is the gradient of the unit by the image,
its absolute value summed over colours and averaged over images: the effective receptive field, mostly far smaller and
shaped like a Gaussian, since the middle reaches the unit on many more ways than the border.

Reference: Luo et al., Understanding the Effective Receptive Field in Deep CNNs, arXiv:1701.04128.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.base.errors import SettingsError
from striate.model.field import View
from striate.model.walk import views

from .statistics import row_names
from .tap import Probe, borrowed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
Box = tuple[int, int, int, int]
COUNTS = 1 - 0.9545  # of the largest value: a pixel above it belongs to the field, as in the paper
BATCH = 16
MOST_ROWS = 24  # along depth
NUM_AXES = 4  # N, C, H, W


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """What a unit sees.

    Args:
        row: of the map.
        unit: (row, column) of the unit in it.
        box: the pixels that can reach it: left, top, right, bottom, the last two beyond the last pixel; it may reach
            beyond the image, where padding is.
        influence: (H, W) how much each pixel counts, the largest 1; all 0 where nothing reaches the unit.
        num_images: that it is averaged over.
        seen: (H, W, C) the first of them, to draw on; None where it was not kept.
    """

    row: str
    unit: tuple[int, int]
    box: Box
    influence: Floats
    num_images: int
    seen: npt.NDArray[Any] | None = None

    @property
    def effective_px(self) -> float:
        """Side of a square of as many pixels as count for more than 4.55 % of what the largest does; of a series, which
        has height 1, their number."""
        return self._side(self._num)

    @property
    def theoretical_px(self) -> float:
        """The same of the pixels in the box, those beyond the border too."""
        left, top, right, bottom = self.box
        return self._side((right - left) * (1 if len(self.influence) == 1 else bottom - top))

    @property
    def centre(self) -> tuple[float, float]:
        """(y, x) the middle of the influence, weighted by it, in pixels."""
        return self._moment(0)[0], self._moment(1)[0]

    @property
    def sigma_hw(self) -> tuple[float, float]:
        """Standard deviation of the influence along height and width, in pixels."""
        return self._moment(0)[1], self._moment(1)[1]

    @property
    def share(self) -> float:
        """The effective area over that of the box, as far as it lies in the image."""
        left, top, right, bottom = self.box
        height, width = self.influence.shape
        area = (min(right, width) - max(left, 0)) * (min(bottom, height) - max(top, 0))
        return self._num / area if area > 0 else 0.0

    def figure(self) -> "Figure":
        """Return a matplotlib figure: the box on the image, and how much each pixel in it counts."""
        from .figures import field

        image = np.full((*self.influence.shape, 3), 0.5) if self.seen is None else self.seen
        height, width = self.sigma_hw
        spread = f"effective {self.effective_px:.1f} px, deviation {height:.1f} x {width:.1f} px"
        return field(image, self.influence, self.box, f"unit {self.unit} of {self.row}: {spread}")

    def to_json(self) -> dict[str, Any]:
        """Return its figures, without the map."""
        return {
            "row": self.row,
            "unit": list(self.unit),
            "box": list(self.box),
            "theoretical_px": self.theoretical_px,
            "effective_px": self.effective_px,
            "centre": list(self.centre),
            "sigma_hw": list(self.sigma_hw),
            "share": self.share,
            "num_images": self.num_images,
        }

    @property
    def _num(self) -> int:
        return int((self.influence > COUNTS).sum())

    def _side(self, num: int) -> float:
        return float(num if len(self.influence) == 1 else np.sqrt(num))

    def _moment(self, axis: int) -> tuple[float, float]:
        weights = self.influence.sum(1 - axis)
        if not weights.any():
            return float("nan"), float("nan")
        places = np.arange(len(weights))
        mean = float(np.average(places, weights=weights))
        return mean, float(np.sqrt(np.average((places - mean) ** 2, weights=weights)))


def receptive_field(
    network: nn.Module, images: Tensor, row: str, unit: tuple[int, int] | None = None, channel: int | None = None
) -> ReceptiveField:
    """Return what a unit of a row's map sees of images (N, C, H, W); they may be noise.

    Args:
        images: as the network gets them: normalised.
        unit: (row, column) in the map; by default the middle one.
        channel: of the unit; by default all channels of the place together.

    Raises:
        SettingsError: no row has that name, it gives no map, or there is no such unit.
    """
    _refuse_others(images, row)
    with borrowed(network) as probe:
        ready = probe.ready(images)
        unit = _unit(_shapes(probe, ready, [row])[row], row, unit, channel)
        influence = _influences(probe, ready, {row: unit}, channel)[row]
    seen = _views(network, images).get(row)
    if seen is None:
        raise SettingsError("nothing of the image reaches it", where=row, fix="choose a row on the image's way")
    return ReceptiveField(row, unit, box_of(seen, unit), influence, len(images))


def along_depth(network: nn.Module, images: Tensor) -> list[ReceptiveField]:
    """Return what the middle unit of each row's map sees of images (N, C, H, W), from the first row to the last.

    Rows without a map of more than one place are left out; of more than 24, so many from the first to the last.

    Raises:
        SettingsError: the network reads no images.
    """
    _refuse_others(images, type(network).__name__)
    seen = _views(network, images)
    with borrowed(network) as probe:
        ready = probe.ready(images)
        shapes = _shapes(probe, ready, [name for name in row_names(network) if name in seen])
        rows = [name for name, shape in shapes.items() if len(shape) == 3 and shape[1] * shape[2] > 1]
        rows = [rows[at] for at in np.unique(np.linspace(0, len(rows) - 1, MOST_ROWS).round().astype(int))[: len(rows)]]
        units = {name: _unit(shapes[name], name, None, None) for name in rows}
        influences = _influences(probe, ready, units)
    return [
        ReceptiveField(name, unit, box_of(seen[name], unit), influences[name], len(images))
        for name, unit in units.items()
    ]


def _refuse_others(images: Tensor, where: str) -> None:
    if images.ndim != NUM_AXES:
        what = f"receptive fields are drawn over images; the network reads {images.ndim - 2} axes"
        raise SettingsError(what, where=where, fix="see the column field of striate analyze")


def _shapes(probe: Probe, ready: Tensor, rows: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The shape of what each row gives for one image, where it gives a tensor."""
    with torch.no_grad():
        maps = probe.maps(ready[:1], rows)[1]
    return {name: tuple(maps[name][-1].shape[1:]) for name in rows if name in maps}


def _influences(
    probe: Probe, ready: Tensor, units: Mapping[str, tuple[int, int]], channel: int | None = None
) -> dict[str, Floats]:
    """How much each pixel (H, W) counts for a unit of each row, the largest 1."""
    totals = {row: torch.zeros(ready.shape[2:], dtype=torch.float64) for row in units}
    for part in ready.split(BATCH):
        leaf = part.clone().requires_grad_()
        maps = probe.maps(leaf, units)[1]
        for row, (top, left) in units.items():
            at = maps[row][-1][:, :, top, left]
            if not at.requires_grad:
                continue
            answer = at.sum() if channel is None else at[:, channel].sum()
            (slope,) = torch.autograd.grad(answer, leaf, allow_unused=True, retain_graph=True)
            if slope is not None:
                totals[row] += slope.abs().sum((0, 1)).double().cpu()
    return {row: (total / (float(total.max()) or 1.0)).numpy() for row, total in totals.items()}


def _views(network: nn.Module, images: Tensor) -> dict[str, View]:
    return views(network, size_hw=tuple(images.shape[2:]), channels=int(images.shape[1]))


def box_of(seen: View, unit: tuple[int, int]) -> Box:
    """Return the box of pixels that can reach a unit of a map that sees so: left, top, right, bottom."""
    (top, bottom), (left, right) = (
        (int(axis.low[min(at, axis.length - 1)]), int(axis.high[min(at, axis.length - 1)]) + 1)
        for axis, at in zip(seen.axes, unit, strict=True)
    )
    return left, top, right, bottom


def _unit(shape: tuple[int, ...], row: str, unit: tuple[int, int] | None, channel: int | None) -> tuple[int, int]:
    if len(shape) != 3:
        raise SettingsError(f"it gives {shape}, no map (C, H, W)", where=row, fix="choose a row with a map")
    channels, height, width = shape
    at = (height // 2, width // 2) if unit is None else unit
    if not (0 <= at[0] < height and 0 <= at[1] < width):
        raise SettingsError(f"no unit {at}", where=row, fix=f"the map is {height} x {width}")
    if channel is not None and not 0 <= channel < channels:
        raise SettingsError(f"no channel {channel}", where=row, fix=f"there are {channels}, from 0")
    return at
