"""A class for every pixel."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.text import plural, shown

from ..check.finding import Finding, listed
from ..sample import IGNORE, Images, ImageU8
from .arrays import ListImages
from .palette import colour_of
from .target import Indices, Target

if TYPE_CHECKING:
    import torch

    from ..augment.pipeline import Plan
    from ..geometry import Geometry
    from .place import Place

SHOWN = 0.5  # how much of a drawn mask covers the image


@dataclass(frozen=True)
class Mask(Target):
    """A class for every pixel: `images` are the masks, (H, W, 1) uint8 indices into `names`, 255 where nobody knows.

    Each is of its own size, that of its image or a multiple of it, and read when it is needed: see `ListImages` and
    `MaskFiles`. A batch is (B, H, W) int64 in the network's size: the nearest class, mirrored at the border as the
    image is, 255 on padding.
    """

    images: Images
    names: tuple[str, ...] = ()
    kind: ClassVar[str] = "mask"
    noun: ClassVar[tuple[str, str]] = ("mask", "masks")
    tasks: ClassVar[tuple[str, ...]] = ("segment",)
    has_plane: ClassVar[bool] = True

    @classmethod
    def of(cls, masks: Sequence[npt.NDArray[np.uint8]] | npt.NDArray[np.uint8], names: Sequence[str] = ()) -> Self:
        """Return masks in memory: a list of (H, W) uint8, or one array (N, H, W).

        Example:
            >>> mask = Mask.of([np.zeros((4, 6), np.uint8), np.ones((2, 2), np.uint8)], ("sky", "bird"))
            >>> len(mask), mask.read(1).tolist()
            (2, [[1, 1], [1, 1]])
        """
        return cls(ListImages(tuple(np.asarray(one, np.uint8)[..., None] for one in masks)), tuple(names))

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> npt.NDArray[np.uint8]:
        """Return the mask (H, W) of an image.

        Raises:
            DataError: its file cannot be read.
        """
        return self.images.read(index)[..., 0]

    def take(self, indices: Indices) -> Self:
        """Return the masks of some images, in the order of `indices`."""
        return replace(self, images=self.images.take(indices))

    def stamp(self, index: int) -> str:
        """Return a text that changes when the mask does."""
        return self.images.stamp(index)

    def content(self, indices: Indices) -> Iterator[bytes]:
        """Yield the pixels of masks in memory, and a hash of each file."""
        for index in map(int, indices):
            is_file = self.images.path(index) is not None
            yield self.images.digest(index, 1 << 62).encode() if is_file else self.read(index).tobytes()

    def square(self, index: int, geometry: "Geometry") -> ImageU8:
        """Return a mask as a store keeps it: resized like its image, by the nearest pixel."""
        return geometry.mask_to_store(self.read(index))[..., None]

    def batch(self, indices: Indices, plan: "Plan", place: "Place") -> "torch.Tensor":
        """Return the moved masks (B, H, W) int64."""
        import torch

        from ..augment.move import move_masks

        return torch.from_numpy(move_masks([square[..., 0] for square in place.own_squares(indices)], plan)).long()

    def findings(self, ids: Sequence[str], sizes_hw: npt.NDArray[np.int64]) -> Iterator[Finding]:
        """Yield masks that cannot be read, of another shape than their image, of unnamed classes, and without any."""
        shape, strange, empty = [], [], []
        for index, name in enumerate(ids):
            try:
                mask, (height, width) = self.read(index), sizes_hw[index]
            except DataError as problem:
                fix = problem.fix or "replace it"
                yield Finding("unreadable", "error", (name,), f"{shown(name, 120)}: {problem.what}", fix)
                continue
            levels = np.unique(mask)
            if height and abs(mask.shape[0] * width - mask.shape[1] * height) > max(*mask.shape, height, width):
                shape.append(name)
            strange += [name] if ((levels >= len(self.names)) & (levels != IGNORE)).any() and self.names else []
            empty += [name] if (levels == IGNORE).all() else []
        for kind, bad, what, fix in (
            ("mask_shape", shape, "of another shape than its image", "make them anew at the size of the images"),
            ("strange_class", strange, f"with a value above {len(self.names) - 1} that is not 255", "name its class"),
            ("empty_mask", empty, "in which no pixel has a class", "remove them"),
        ):
            if bad:
                yield Finding(kind, "warning", tuple(bad), f"{plural(len(bad), 'mask')} {what}: {listed(bad)}", fix)

    def draw(self, image_u8: ImageU8, index: int) -> ImageU8:
        """Return the image (H, W, 3) half covered with the colours of the classes; a background stays clear."""
        import cv2

        height, width = image_u8.shape[:2]
        mask = cv2.resize(self.read(index), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        table = np.array([colour_of(label) for label in range(256)], np.float32)
        has_background = bool(self.names) and self.names[0].casefold() in {"background", "void"}
        is_clear = (mask == IGNORE) | ((mask == 0) & has_background)
        covered = image_u8 * np.float32(1 - SHOWN) + table[mask] * np.float32(SHOWN)
        return np.where(is_clear[..., None], image_u8, np.rint(covered).astype(np.uint8))
