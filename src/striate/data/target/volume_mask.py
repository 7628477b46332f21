"""A class for every voxel of a volume."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.slices import centre_of, three_planes
from striate.base.text import shown

from ..check.finding import Finding
from ..sample import IGNORE, ImageU8
from .known import refuse_strange_names
from .mask import Mask, unusable
from .palette import covered

Affine = tuple[tuple[float, ...], ...]
NEAR_MM = 0.01  # two affines that differ by less are one


@dataclass(frozen=True)
class VolumeMask(Mask):
    """Label volumes: `images` gives (D, H, W, 1) uint8 indices into `names`, 255 where nobody knows.

    Args:
        sizes: (D, H, W) of the volumes they belong to.
        affines: of those volumes; None where a file has none.
    """

    sizes: tuple[tuple[int, ...], ...] = ()
    affines: tuple[Affine | None, ...] = ()

    def take(self, indices: npt.NDArray[np.intp]) -> Self:
        """Return the masks of some volumes, in the order of `indices`."""
        sizes, affines = (tuple(self.sizes[i] for i in indices), tuple(self.affines[i] for i in indices))
        return replace(super().take(indices), sizes=sizes, affines=affines)

    def as_known(self, names: tuple[str, ...], where: str, *, is_complete: bool) -> Self:
        """Return the masks as indices into the run's classes."""
        if self.names == names:
            return self
        seen = [one for one, num in zip(self.names, self.class_pixels.sum(0), strict=True) if num]
        refuse_strange_names(seen, names, where)
        table = [names.index(one) if one in names else 255 for one in self.names]
        return replace(self, images=self.images.renumbered(table), names=names)  # type: ignore[attr-defined]

    def findings(self, ids: Sequence[str], sizes_hw: npt.NDArray[np.int64]) -> Iterator[Finding]:
        """Yield label volumes that cannot be read, or do not lie as their volumes do; and those of background only."""
        bad: dict[str, tuple[str, str]] = {}
        empty, unknown = [], []
        for index, (name, size) in enumerate(zip(ids, self.sizes, strict=True)):
            try:
                labels = self.read(index)
                affine = getattr(self.images, "affine", lambda index: None)(index)
            except DataError as problem:
                bad[name] = (problem.what, problem.fix or "replace it")
                continue
            wanted = self.affines[index]
            if labels.shape != size:
                sides = ["x".join(map(str, one)) for one in (labels.shape, size)]
                bad[name] = (f"the labels are {sides[0]}, the volume {sides[1]} voxels", "save both in one grid")
            elif affine and wanted and not np.allclose(affine, wanted, atol=NEAR_MM):
                bad[name] = ("the labels lie elsewhere than the volume, by their affines", "save both in one grid")
            elif not labels.any():
                empty.append(name)
            if (labels == IGNORE).any():
                unknown.append((name, float((labels == IGNORE).mean())))
        yield from unusable(bad)
        if unknown:
            first, share = unknown[0]
            text = f"label volumes with voxels of no listed class: {len(unknown)}, the first {shown(first, 80)}"
            text += f" ({share:.0%} of it); no loss and no score counts them"
            names = tuple(name for name, _ in unknown)
            yield Finding("unknown_labels", "warning", names, text, "list their numbers in dataset.json, or mean it")
        if empty:
            text = f"label volumes of background only: {len(empty)}, the first {shown(empty[0], 80)}"
            yield Finding("only_background", "note", tuple(empty), text, "look whether they are meant to be empty")

    def centre(self, index: int, square: npt.NDArray[np.uint8]) -> tuple[int, ...]:
        """Return the voxel in the middle of what is labelled, in the store's."""
        return centre_of(square[..., 0])

    def draw(self, image_u8: ImageU8, index: int) -> ImageU8:
        """Return the three planes through the volume's middle, half covered with the colours of the classes."""
        import cv2

        planes = three_planes(self.read(index))
        height, width = image_u8.shape[:2]
        mask = cv2.resize(planes, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        return covered(image_u8, mask, self.names)
