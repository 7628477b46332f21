"""Series in memory as images of height 1, whose values become levels of 16 bits."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError

from ..bands import in_depth
from ..levels import FULL, to_eight
from ..raster import Samples
from ..sample import ImageU8

Values = npt.NDArray[np.float32]
HEADROOM = 0.5  # of the training values' range, below and above it: others may lie there, and augmentation moves values


@dataclass(frozen=True)
class Cases:
    """What a file holds: `values` (L, D) of each case, its class; classes and dimensions where they have names."""

    values: tuple["npt.NDArray[np.float32]", ...]
    labels: tuple[str, ...]
    names: tuple[str, ...]
    dims: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class SeriesImages:
    """Series of any lengths: `values` holds (L, D) of each, `ranges` (D, 2) the values that become level 0 and 65535.

    Example:
        >>> images = SeriesImages((np.array([[0.0], [1.0]], np.float32),), np.array([[-1.0, 1.0]]))
        >>> images.read_samples(0, None, 16)[..., 0].tolist()
        [[32768, 65535]]
    """

    values: tuple[Values, ...]
    ranges: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"SeriesImages({len(self):,} of {len(self.ranges)} dimensions)"

    def read(self, index: int, short_side_px: int | None = None) -> ImageU8:
        """Return series `index` as (1, L, D) uint8."""
        return to_eight(self._levels(index), FULL)

    def read_samples(self, index: int, short_side_px: int | None, depth: int) -> Samples:
        """Return series `index` as (1, L, D) in a depth of 8 or 16 bits."""
        return in_depth(self._levels(index), depth)

    def _levels(self, index: int) -> npt.NDArray[np.uint16]:
        low, high = self.ranges.T
        share = (self.values[index].astype(np.float64) - low) / (high - low)
        return np.asarray(np.rint(share.clip(0, 1) * FULL[1])[None], np.uint16)

    def path(self, index: int) -> None:
        """Return None: a file holds many series."""

    def stamp(self, index: int) -> str:
        """Return a hash of the values and of their range."""
        return hashlib.blake2b(self.values[index].tobytes() + self.ranges.tobytes(), digest_size=16).hexdigest()

    def digest(self, index: int, max_bytes: int) -> str:
        """Return a hash of the values, of all of them."""
        values = self.values[index]
        return hashlib.blake2b(repr(values.shape).encode() + values.tobytes(), digest_size=16).hexdigest()

    def num_bytes(self) -> int:
        """Return the size of all values."""
        return sum(values.nbytes for values in self.values)

    def in_channels(self, channels: int) -> "SeriesImages":
        """Return the first dimensions."""
        return replace(self, values=tuple(one[:, :channels] for one in self.values), ranges=self.ranges[:channels])

    def take(self, indices: Sequence[int] | npt.NDArray[np.intp]) -> "SeriesImages":
        """Return some of the series, in the order of `indices`."""
        return replace(self, values=tuple(self.values[int(index)] for index in indices))

    def measured(self, indices: npt.NDArray[np.intp]) -> "SeriesImages":
        """Return the series with the ranges of these, which are the training series."""
        return replace(self, ranges=ranges_of([self.values[int(index)] for index in indices]))

    @property
    def ranges_text(self) -> str:
        """The ranges as a run keeps them: LOW..HIGH of each dimension, with commas between."""
        return ",".join(f"{low!r}..{high!r}" for low, high in self.ranges.tolist())

    def with_ranges(self, text: str) -> "SeriesImages":
        """Return the series with the ranges in a text, those of the run that is to see them.

        Raises:
            DataError: they are of another number of dimensions.
        """
        pairs = [pair.split("..") for pair in text.split(",")]
        if len(pairs) != len(self.ranges):
            what = f"series of {len(self.ranges)} dimensions, {len(pairs)} are wanted"
            raise DataError(what, fix="give series of as many dimensions")
        return replace(self, ranges=np.array([[float(low), float(high)] for low, high in pairs]))


def ranges_of(values: Sequence[Values]) -> npt.NDArray[np.float64]:
    """Return the values (D, 2) that become the lowest and highest level: the range of these series with room beside it.

    A dimension that is constant has a range of 1.

    Example:
        >>> ranges_of([np.array([[0.0], [2.0]], np.float32)]).tolist()
        [[-1.0, 3.0]]
    """
    low = np.min([one.min(0) for one in values], axis=0).astype(np.float64)
    high = np.max([one.max(0) for one in values], axis=0).astype(np.float64)
    room = np.where(high > low, high - low, 1.0) * HEADROOM
    return np.stack([low - room, high + room], axis=1)
