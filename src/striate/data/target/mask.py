"""A class for every pixel."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError, SettingsError
from striate.base.text import plural, shown

from ..check.finding import Finding, listed
from ..sample import IGNORE, Images, ImageU8
from .arrays import ListImages
from .known import refuse_strange_names
from .palette import backgrounds, colour_of, covered
from .target import PASTE, Indices, Target

if TYPE_CHECKING:
    import torch

    from ..augment.apply import Recycler
    from ..augment.mix import Mix
    from ..augment.plan import Plan
    from ..geometry import Geometry
    from .place import Place

ODD = {  # what is said of masks that can be used all the same: severity, text, fix
    "strange_class": ("warning", "with a number that has no name and is not 255", "name its class"),
    "empty_mask": ("warning", "in which no pixel has a class", "remove them"),
    "only_background": ("note", "of background only", "look whether they are meant to be empty"),
}
MAX_LINES = 40  # classes in a table
MIN_STRATUM = 4  # masks that have most of one class: fewer of them are divided together with others


@dataclass(frozen=True)
class Mask(Target):
    """A class for every pixel: `images` are the masks, (H, W, 1) uint8 indices into `names`, 255 where nobody knows.

    Each is of its own size, that of its image or a multiple of it, and read when it is needed: see `ListImages` and
    `MaskFiles`. A task receives (B, H, W) int64 in the network's size: the nearest class, mirrored at the border as the
    image is, 255 on padding.
    """

    images: Images
    names: tuple[str, ...] = ()
    kind: ClassVar[str] = "mask"
    noun: ClassVar[tuple[str, str]] = ("mask", "masks")
    tasks: ClassVar[tuple[str, ...]] = ("segment",)
    has_plane: ClassVar[bool] = True
    mixes: ClassVar[frozenset[str]] = frozenset({PASTE})

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

    def own_map(self, index: int) -> npt.NDArray[np.uint8]:
        """Return the mask as it is."""
        return self.read(index)

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
        """Return the moved masks (B, H, W) uint8."""
        import torch

        from ..augment.move import move_masks

        masks = move_masks([square[..., 0] for square in place.own_squares(indices)], plan)
        self._refuse_strange(masks, indices)
        return torch.from_numpy(masks if plan.mix is None else self.mix(masks, plan.mix))

    def widened(self, batch: "torch.Tensor") -> "torch.Tensor":
        """Return masks (B, H, W) as int64, the type of losses: eight times the bytes that are sent."""
        import torch

        # numpy, as torch shares so little work among its threads: where the cores are busy, an epoch took three times
        # as long with that
        if batch.device.type != "cpu":
            return batch.long()
        labels = _recycler().take(tuple(batch.shape))  # fresh pages would take half of the time
        np.copyto(labels, batch.numpy())
        return torch.from_numpy(labels)

    def _refuse_strange(self, masks: npt.NDArray[np.uint8], indices: Indices) -> None:
        """Refuse values without a name, of which a loss would read beyond its classes."""
        strange = (masks >= len(self.names)) & (masks != IGNORE)
        if self.names and strange.any():
            row = int(strange.reshape(len(strange), -1).any(1).argmax())
            what = f"a mask has the value {masks[row][strange[row]][0]}; classes are 0 to {len(self.names) - 1}"
            where = self.images.path(int(indices[row])) or f"mask {indices[row]}"
            raise DataError(what, where=where, fix="name its class, or make it 255")

    def mix(self, values: npt.NDArray[np.uint8], mix: "Mix") -> npt.NDArray[np.uint8]:  # type: ignore[override]
        """Return masks (B, H, W) with the boxes that show the partner's pixels."""
        mixed = values.copy()
        for row, (partner, (left, top, right, bottom)) in enumerate(zip(mix.partner, mix.boxes, strict=True)):
            mixed[row, top:bottom, left:right] = values[partner, top:bottom, left:right]
        return mixed

    def refuse_balance(self, name: str) -> None:
        """Refuse: classes are those of pixels.

        Raises:
            SettingsError: always.
        """
        what = "an image of several classes cannot be balanced by them: pixels weigh in the loss"
        raise SettingsError(what, where="data.balance", fix="set task.class_weights=median or inverse instead")

    def pixels(self, index: int) -> npt.NDArray[np.int64]:
        """Return how many pixels of a mask have each class (256,), 255 among them.

        Raises:
            DataError: its file cannot be read.
        """
        count = getattr(self.images, "class_counts", None)  # of files that were counted when they were opened
        return count(index) if count else np.bincount(self.read(index).ravel(), minlength=256)

    def size_hw(self, index: int) -> tuple[int, int]:
        """Return height and width of a mask.

        Raises:
            DataError: its file cannot be read.
        """
        size: Callable[[int], tuple[int, int]] | None = getattr(self.images, "size_hw", None)
        height, width = size(index) if size else self.read(index).shape
        return height, width

    @cached_property
    def class_pixels(self) -> npt.NDArray[np.int64]:
        """How many pixels of each mask have each of `names` (N, K); none of a mask that cannot be read."""
        found = np.zeros((len(self), len(self.names)), np.int64)
        for index in range(len(self)):
            with suppress(DataError):
                found[index] = self.pixels(index)[: len(self.names)]
        return found

    def strata(self) -> npt.NDArray[np.int64]:
        """Return the class (N,) that each mask has most of, relative to all masks: a rare one before a background."""
        if not self.names:
            return super().strata()
        count = getattr(self.images, "rough_counts", None)  # of outlines, which take time to be drawn
        if count is None:
            pixels = self.class_pixels
        else:
            pixels = np.array([count(index)[: len(self.names)] for index in range(len(self))], np.int64)
        most = (pixels / np.maximum(pixels.sum(0), 1)).argmax(1)
        is_rare = np.bincount(most, minlength=len(self.names)) < MIN_STRATUM
        return np.where(is_rare[most], len(self.names), most)  # alone each would be one of train

    def shares(self, indices: Indices) -> dict[str, float]:
        """Return the share of each class among the pixels of these masks that have one."""
        counts = self.class_pixels[indices].sum(0)
        return dict(zip(self.names, (counts / max(1, counts.sum())).tolist(), strict=True))

    def summary(self, name: str, splits: Mapping[str, Indices]) -> list[str]:
        """Return the share of pixels of each class, a line a class and a column a split."""
        columns = [self.shares(indices) for indices in splits.values()]
        seen = [one for one in self.names if any(column[one] for column in columns)]
        width = max([len(shown(one, 40)) for one in seen[:MAX_LINES]] + [5])
        lines = [
            f"{shown(one, 40):<{width}}" + "".join(f"{100 * column[one]:>8.2f}%" for column in columns)
            for one in seen[:MAX_LINES]
        ]
        more = [f"... and {len(seen) - MAX_LINES} more classes"] if len(seen) > MAX_LINES else []
        absent = len(self.names) - len(seen)
        return [
            "share of pixels",
            *lines,
            *more,
            *([f"no pixel of {plural(absent, 'class', 'classes')}"] if absent else []),
        ]

    def as_known(self, names: tuple[str, ...], where: str, *, is_complete: bool) -> Self:
        """Return the masks as indices into the run's classes; one that is not here has no pixels."""
        if self.names == names:
            return self
        if not hasattr(self.images, "coding"):
            return super().as_known(names, where, is_complete=is_complete)
        refuse_strange_names([one for one, num in zip(self.names, self.class_pixels.sum(0), strict=True) if num],
                             names, where)  # fmt: skip
        table = [names.index(one) if one in names else IGNORE for one in self.names]
        coding = self.images.coding.renumbered(table)
        return replace(self, images=replace(self.images, coding=coding), names=names)  # type: ignore[type-var]

    def findings(self, ids: Sequence[str], sizes_hw: npt.NDArray[np.int64]) -> Iterator[Finding]:
        """Yield masks that cannot be used, hold values without a name, or nothing that can be learnt.

        A mask cannot be used that cannot be read, holds a value without a class, or has another shape than its image.
        """
        bad: dict[str, tuple[str, str]] = {}
        odd: dict[str, list[str]] = {kind: [] for kind in ODD}
        clear = backgrounds(self.names)
        for index, name in enumerate(ids):
            try:
                counts, (rows, columns), (height, width) = self.pixels(index), self.size_hw(index), sizes_hw[index]
            except DataError as problem:
                bad[name] = (problem.what, problem.fix or "replace it")
                continue
            if height and abs(rows * width - columns * height) > max(rows, columns, height, width):
                size = f"the mask is {columns} x {rows}, its image {width} x {height} pixels"
                bad[name] = (size, "save it in the shape of the image, turned as it is")
            has_class = counts[:IGNORE].astype(bool)
            odd["strange_class"] += [name] if self.names and has_class[len(self.names) :].any() else []
            odd["empty_mask"] += [] if has_class.any() else [name]
            clear = backgrounds(self.names)
            odd["only_background"] += (
                [name] if clear and has_class.any() and not np.delete(has_class, clear).any() else []
            )
        yield from unusable(bad)
        for kind, (severity, text, fix) in ODD.items():
            if names := tuple(odd[kind]):
                yield Finding(kind, severity, names, f"{plural(len(names), 'mask')} {text}: {listed(names)}", fix)

    def legend(self) -> list[tuple[str, tuple[int, int, int]]]:
        """Return the classes that are drawn, with their colours; a background is clear."""
        clear = backgrounds(self.names)
        return [(name, colour_of(label)) for label, name in enumerate(self.names) if label not in clear]

    def draw(self, image_u8: ImageU8, index: int) -> ImageU8:
        """Return the image (H, W, 3) half covered with the colours of the classes; a background stays clear."""
        import cv2

        height, width = image_u8.shape[:2]
        mask = cv2.resize(self.read(index), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        return covered(image_u8, mask, self.names)


@cache
def _recycler() -> "Recycler":
    from ..augment.apply import Recycler

    return Recycler(np.int64)


def unusable(bad: Mapping[str, tuple[str, str]]) -> Iterator[Finding]:
    """One finding on masks that cannot be used: why the first cannot, and how many more there are."""
    if bad:
        (name, (what, fix)), *more = bad.items()
        text = f"{shown(name, 120)}: {what}" + (f", and {plural(len(more), 'more mask')}" if more else "")
        yield Finding("unusable_mask", "error", tuple(bad), text, fix, tuple(why for why, _ in bad.values()))
