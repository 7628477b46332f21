"""An image for every image: itself, or a partner that is to be made of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt

from striate.base.text import plural

from ..check.finding import Finding, listed
from ..sample import Images, ImageU8
from .target import Indices, Target

if TYPE_CHECKING:
    import torch

    from ..augment.plan import Plan
    from ..geometry import Geometry
    from .place import Place

MAX_STRETCH = 0.02  # by which a partner's aspect may differ from its image's


@dataclass(frozen=True)
class Image(Target):
    """An image for every image: `images` (H, W, C) uint8, each of any size; for the dataset's own see `Itself`.

    A task receives (B, C, H, W) float32 in 0..1, in the network's size: moved by the same matrix as the image, before
    colours, noise, erasing and mixing, so that what those did can be undone by what is learnt.

    Args:
        images: the partners, one an image.
        channels: their channels.
    """

    images: Images
    channels: int = 3
    names: tuple[str, ...] = ()
    kind: ClassVar[str] = "image"
    noun: ClassVar[tuple[str, str]] = ("image", "images")
    has_plane: ClassVar[bool] = True

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: Indices) -> Self:
        """Return the partners of some images, in the order of `indices`."""
        return replace(self, images=self.images.take(indices))

    def stamp(self, index: int) -> str:
        """Return a text that changes when the partner does."""
        return self.images.stamp(index)

    def content(self, indices: Indices) -> Iterator[bytes]:
        """Yield a hash of each partner."""
        for index in map(int, indices):
            yield self.images.digest(index, 1 << 62).encode() + b"\x00"

    def square(self, index: int, geometry: "Geometry") -> ImageU8:
        """Return a partner as a store keeps it: resized like an image."""
        return replace(geometry, channels=self.channels, depth=8).to_store(self.images.read(index))

    def batch(self, indices: Indices, plan: "Plan", place: "Place") -> "torch.Tensor":
        """Return the moved partners (B, C, H, W) uint8."""
        import torch

        from ..augment.apply import apply_cpu

        bare = replace(plan, colour=None, erase=None, tones=(), qualities=(), mix=None)
        return torch.from_numpy(apply_cpu(place.own_squares(indices), bare)).permute(0, 3, 1, 2)

    def widened(self, batch: "torch.Tensor") -> "torch.Tensor":
        """Return partners (B, C, H, W) as float32 in 0..1."""
        import torch

        if batch.device.type != "cpu":
            return batch.float() / 255
        return torch.from_numpy(np.divide(batch.numpy(), np.float32(255), dtype=np.float32))  # see `Mask.widened`

    def findings(self, ids: Sequence[str], sizes_hw: npt.NDArray[np.int64]) -> Iterator[Finding]:
        """Yield partners of another shape than their image: the same matrix would not move them alike."""
        odd = [name for index, name in enumerate(ids) if self._is_odd(index, sizes_hw[index])]
        if odd:
            text = f"{plural(len(odd), 'partner image')} of another shape than the image: {listed(odd)}"
            yield Finding("partner_shape", "warning", tuple(odd), text, "cut both alike")

    def _is_odd(self, index: int, size_hw: npt.NDArray[np.int64]) -> bool:
        height, width = self.images.read(index).shape[:2]
        own, other = height * int(size_hw[1]), width * int(size_hw[0])
        return bool(other > 0 and abs(own / other - 1) > MAX_STRETCH)

    def draw(self, image_u8: ImageU8, index: int) -> ImageU8:
        """Return the image (H, W, 3) with its partner in the right half."""
        from ..geometry import coloured, resized

        height, width = image_u8.shape[:2]
        partner = resized(coloured(self.images.read(index), 3), width, height)
        half = width // 2
        return np.concatenate([image_u8[:, :half], partner[:, half:]], axis=1)
