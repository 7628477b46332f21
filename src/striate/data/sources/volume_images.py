"""Volumes and label volumes in files, read when they are needed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.base.slices import three_planes

from ..bands import in_depth
from ..levels import FULL
from ..raster import Samples
from ..sample import IGNORE, ImageU8
from .volume_files import frame_files, labels_of, shape_of, values_of

LOW, HIGH = 0.5, 99.5  # percentiles of a volume's own values that become the lowest and the highest level


def levels_of(values: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """Return a volume (D, H, W, C) in levels of 16 bits: each channel by percentiles of its own values, cut beyond.

    Scanners write numbers of any scale, another one for each volume; what is alike in them is the order.

    Example:
        >>> levels_of(np.arange(201.0).reshape(1, 1, 201, 1)).ravel()[[0, 1, 100, 200]].tolist()
        [0, 0, 32768, 65535]
    """
    flat = values.reshape(-1, values.shape[-1]).astype(np.float32)
    low, high = np.percentile(flat, [LOW, HIGH], axis=0)
    share = (flat - low) / np.where(high > low, high - low, 1)
    return np.asarray(np.rint(share.clip(0, 1) * FULL[1]), np.uint16).reshape(values.shape)


@dataclass(frozen=True, repr=False)
class _Files:
    """Files below a root, by their names relative to it."""

    root: Path
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def file(self, index: int) -> Path:
        """Return the file of a volume, or its folder of frames."""
        return self.root / self.names[index]

    def path(self, index: int) -> None:
        """Return None: no decoder of images reads it."""

    def parts(self, index: int) -> list[Path]:
        """Return the files that a volume lies in."""
        file = self.file(index)
        return frame_files(file) if file.is_dir() else [file]

    def stamp(self, index: int) -> str:
        """Return names, sizes and times of change."""
        about = [(path.name, (stat := path.stat()).st_size, stat.st_mtime_ns) for path in self.parts(index)]
        return hashlib.blake2b(repr((str(self.file(index)), about)).encode(), digest_size=16).hexdigest()

    def digest(self, index: int, max_bytes: int) -> str:
        """Return a hash of the files' content, of all of it."""
        known = hashlib.blake2b(digest_size=16)
        for path in self.parts(index):
            known.update(path.read_bytes())
        return known.hexdigest()

    def num_bytes(self) -> int:
        """Return the size of all files."""
        return sum(path.stat().st_size for index in range(len(self)) for path in self.parts(index))


@dataclass(frozen=True, repr=False)
class VolumeImages(_Files):
    """Volumes of any size with the same channels.

    Args:
        channels: numbers a voxel; of more the first are taken.
    """

    channels: int = 1

    def __repr__(self) -> str:
        return f"VolumeImages({len(self):,} of {self.root})"

    def read(self, index: int, short_side_px: int | None = None) -> ImageU8:
        """Return three planes through the middle of a volume, (H, W, C) uint8: what checks and people look at.

        Raises:
            DataError: its file cannot be read.
        """
        return np.asarray(three_planes(self.read_samples(index, None, 8)))

    def read_samples(self, index: int, short_side_px: int | None, depth: int) -> Samples:
        """Return a volume (D, H, W, C) in a depth of 8 or 16 bits.

        Raises:
            DataError: its file cannot be read.
        """
        return in_depth(levels_of(values_of(self.file(index))[..., : self.channels]), depth)

    def in_channels(self, channels: int) -> "VolumeImages":
        """Return the first channels."""
        return replace(self, channels=channels)

    def take(self, indices: Sequence[int] | npt.NDArray[np.intp]) -> "VolumeImages":
        """Return some of the volumes, in the order of `indices`."""
        return replace(self, names=tuple(self.names[int(index)] for index in indices))


@dataclass(frozen=True, repr=False)
class LabelVolumes(_Files):
    """Label volumes, whose numbers become indices of classes.

    Args:
        table: (256,) the class of each number, 255 of those that nobody knows.
    """

    table: tuple[int, ...] = (*range(256),)

    def __repr__(self) -> str:
        return f"LabelVolumes({len(self):,} of {self.root})"

    def read(self, index: int, short_side_px: int | None = None) -> ImageU8:
        """Return a label volume (D, H, W, 1) of class indices.

        Raises:
            DataError: its file cannot be read.
        """
        return np.array(self.table, np.uint8)[labels_of(self.file(index))][..., None]

    def take(self, indices: Sequence[int] | npt.NDArray[np.intp]) -> "LabelVolumes":
        """Return some of the label volumes, in the order of `indices`."""
        return replace(self, names=tuple(self.names[int(index)] for index in indices))

    def affine(self, index: int) -> tuple[tuple[float, ...], ...] | None:
        """Return how a label volume lies; None where its file does not say.

        Raises:
            DataError: its file cannot be read.
        """
        return shape_of(self.file(index)).affine

    def renumbered(self, classes: Sequence[int]) -> "LabelVolumes":
        """Return the volumes with other indices: that of class i is `classes[i]`."""
        moved = [classes[one] if one < len(classes) else IGNORE for one in self.table]
        return replace(self, table=tuple(moved))
