"""What one unit of a map sees of an image: the box that it could see, and how much each pixel in it counts.

Theory says which pixels can reach a unit (`model.field`). How much they count is the gradient of the unit by the image,
its absolute value summed over colours and averaged over images: the effective receptive field, mostly far smaller and
shaped like a Gaussian, since the middle reaches the unit on many more ways than the border.

Reference: Luo et al., Understanding the Effective Receptive Field in Deep CNNs, arXiv:1701.04128.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.base.errors import SettingsError
from striate.model.walk import views

from .tap import borrowed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
Box = tuple[int, int, int, int]
COUNTS = 1 - 0.9545  # of the largest value: a pixel above it belongs to the field, as in the paper
BATCH = 16
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
        """Side of a square of as many pixels as count for more than 4.55 % of what the largest does."""
        return float(np.sqrt((self.influence > COUNTS).sum()))

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
        return self.effective_px**2 / area if area > 0 else 0.0

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
            "effective_px": self.effective_px,
            "centre": list(self.centre),
            "sigma_hw": list(self.sigma_hw),
            "share": self.share,
            "num_images": self.num_images,
        }

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
    if images.ndim != NUM_AXES:
        what = f"receptive fields are drawn over images; the network reads {images.ndim - 2} axes"
        raise SettingsError(what, where=row, fix="see the column field of striate analyze")
    with borrowed(network) as probe:
        ready = probe.ready(images)
        with torch.no_grad():
            shape = tuple(probe.maps(ready[:1], [row])[1][row][-1].shape[1:])
        unit = _unit(shape, row, unit, channel)
        total = torch.zeros(ready.shape[2:], dtype=torch.float64)
        for part in ready.split(BATCH):
            leaf = part.clone().requires_grad_()
            at = probe.maps(leaf, [row])[1][row][-1][:, :, unit[0], unit[1]]
            answer = at.sum() if channel is None else at[:, channel].sum()
            (slope,) = torch.autograd.grad(answer, leaf, allow_unused=True)
            if slope is not None:
                total += slope.abs().sum((0, 1)).double().cpu()
    largest = float(total.max())
    influence = (total / largest).numpy() if largest else total.numpy()
    return ReceptiveField(row, unit, box_of(network, row, unit, images), influence, len(images))


def box_of(network: nn.Module, row: str, unit: tuple[int, int], images: Tensor) -> Box:
    """Return the box of pixels that can reach a unit of a row's map: left, top, right, bottom."""
    size_hw = (int(images.shape[2]), int(images.shape[3]))
    seen = views(network, size_hw=size_hw, channels=int(images.shape[1])).get(row)
    if seen is None:
        raise SettingsError("nothing of the image reaches it", where=row, fix="choose a row on the image's way")
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
