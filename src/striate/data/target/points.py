"""Named points of things: any number of things an image, each with the same points."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.text import listed as in_words
from striate.base.text import plural

from ..check.finding import Finding, listed
from ..sample import ImageU8
from .palette import colour_of, line_px
from .ragged import Ragged
from .rows import Starts, refuse_uneven, rows_of, starts_of
from .target import Indices, Target

if TYPE_CHECKING:
    from ..augment.plan import Plan
    from .place import Place

UNKNOWN, HIDDEN, SEEN = 0, 1, 2  # visibility, as COCO has it: not marked, marked but covered, seen
OTHER_SIDE = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
SIDE = re.compile(r"(?<![a-z])(?:left|right)(?![a-z])|(?:Left|Right)(?![a-z])")


def pairs_of(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Return the points that are each other's mirror image by their names: "left" in one, "right" in the other.

    Example:
        >>> pairs_of(("left_eye", "right_eye", "nose", "earLeft", "earRight", "leftover"))
        ((0, 1), (3, 4))
    """
    mirrored = [SIDE.sub(lambda side: OTHER_SIDE[side[0]], name) for name in names]
    pairs = [(at, names.index(other)) for at, other in enumerate(mirrored) if other in names]
    return tuple((first, second) for first, second in pairs if first < second)


def mirrored(num: int, pairs: Iterable[Sequence[int]]) -> npt.NDArray[np.intp]:
    """Return which of so many points is seen at the place of each one in a mirrored image.

    Example:
        >>> mirrored(3, [(0, 2)]).tolist()
        [2, 1, 0]
    """
    order = np.arange(num)
    for left, right in pairs:
        order[[left, right]] = right, left
    return order


@dataclass(frozen=True)
class Points(Target):
    """K points of every thing, and any number of things an image: those of image i are `starts[i]` to `starts[i + 1]`.

    A batch is a `Ragged` of (T_i, K, 2) float32 xy in output pixels from the outer corner, with the fields "visible"
    (T, K) int64 and "row" (T,), the row of this target. A point that left the output is UNKNOWN there; no thing is left
    out. Where the plan mirrors an image, points of a pair change places: what was a left eye is seen as a right one.

    Args:
        xy: (T, K, 2) float32, pixels of the original from its outer corner.
        visible: (T, K) uint8, 0 not marked, 1 marked but covered, 2 seen.
        starts: (N + 1,) int64.
        names: the K points.
        pairs: indices of points that are each other's mirror image, such as left and right eye.
    """

    xy: npt.NDArray[np.float32]
    visible: npt.NDArray[np.uint8]
    starts: Starts
    names: tuple[str, ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()
    kind: ClassVar[str] = "points"
    noun: ClassVar[tuple[str, str]] = ("set of points", "points")
    tasks: ClassVar[tuple[str, ...]] = ("points",)
    mirrors: ClassVar[bool] = False  # the mirror image of a left eye at the border is one without a mark
    has_places: ClassVar[bool] = True
    is_ragged: ClassVar[bool] = True

    def __post_init__(self) -> None:
        refuse_uneven("things", len(self.xy), visibilities=self.visible)
        assert int(self.starts[-1]) == len(self.xy), "the last image's points end elsewhere"

    @classmethod
    def of(
        cls, points: Iterable[Any], visible: Iterable[Any] | None = None, names: Sequence[str] = (),
        pairs: Sequence[tuple[int, int]] = (), *, num: int | None = None,
    ) -> Self:  # fmt: skip
        """Return the points of a list with one (T_i, K, 2) xy an image, and (T_i, K) visibility; all are seen without.

        Args:
            num: K where there are neither names nor things.

        Example:
            >>> eyes = Points.of([[[[1, 2], [5, 2]]], []], names=("left", "right"), pairs=[(0, 1)])
            >>> len(eyes), eyes.xy.shape, eyes.visible.tolist()
            (2, (1, 2, 2), [[2, 2]])
        """
        arrays = [np.asarray(part, dtype=np.float32) for part in points]
        num = num or len(names) or next((part.shape[-2] for part in arrays if part.size), 1)
        parts = [part.reshape(-1, num, 2) for part in arrays]
        xy = np.concatenate([*parts, np.empty((0, num, 2), np.float32)])
        if visible is None:
            flags = np.full(xy.shape[:2], SEEN, np.uint8)
        else:
            rows = (np.asarray(part, dtype=np.uint8).reshape(-1, num) for part in visible)
            flags = np.concatenate([*rows, np.empty((0, num), np.uint8)])
        return cls(xy, flags, starts_of([len(part) for part in parts]), tuple(names), tuple(pairs))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def take(self, indices: Indices) -> Self:
        """Return the points of some images, in the order of `indices`."""
        rows, lengths = rows_of(self.starts, indices)
        return replace(self, xy=self.xy[rows], visible=self.visible[rows], starts=starts_of(lengths))

    def content(self, indices: Indices) -> Iterator[bytes]:
        """Yield the points, how many things each image has, and what is seen."""
        rows, lengths = rows_of(self.starts, indices)
        yield from (self.xy[rows].tobytes(), lengths.tobytes(), self.visible[rows].tobytes())
        yield repr((self.xy.shape[1], self.pairs)).encode()

    def batch(self, indices: Indices, plan: "Plan", place: "Place") -> Ragged:
        """Return the points in output pixels; see the class."""
        import torch

        rows, lengths = rows_of(self.starts, indices)
        row = np.repeat(np.arange(len(indices)), lengths)
        moved, visible = self.moved(rows, row, plan, place.matrices(indices))
        fields = {"visible": torch.from_numpy(visible.astype(np.int64)), "row": torch.from_numpy(rows.astype(np.int64))}
        return Ragged(torch.from_numpy(np.ascontiguousarray(moved)), tuple(lengths.tolist()), fields)

    def moved(
        self, rows: Indices, row: Indices, plan: "Plan", matrices: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        """Return the points (T, K, 2) of some things in output pixels, and their visibility (T, K) there.

        Args:
            rows: (T,) of this target.
            row: (T,) the image of the batch that each belongs to.
            matrices: (B, 2, 3) from the images of the batch to the store.
        """
        from ..augment.move import is_inside, is_mirrored, move_points

        own = matrices[row]
        stored = self.xy[rows].astype(np.float64) @ own[:, :, :2].transpose(0, 2, 1) + own[:, None, :, 2]
        moved = move_points(stored.astype(np.float32), plan, row)
        visible = np.where(is_inside(moved, plan), self.visible[rows], UNKNOWN)
        turned = is_mirrored(plan)[row]
        moved[turned], visible[turned] = moved[turned][:, self.swap], visible[turned][:, self.swap]
        return moved, visible

    @property
    def swap(self) -> npt.NDArray[np.intp]:
        """(K,) which point takes each one's place in a mirrored image."""
        return mirrored(self.xy.shape[1], self.pairs)

    def seen(self, indices: Indices, plan: "Plan", place: "Place") -> "Points":
        """Return the points that are seen, in output pixels."""
        found = self.batch(indices, plan, place)
        visible = [rows.numpy() for rows in found.of("visible")]
        return Points.of([rows.numpy() for rows in found], visible, self.names, self.pairs, num=self.xy.shape[1])

    @property
    def image(self) -> Indices:
        """(T,) the image that each thing is in."""
        return np.repeat(np.arange(len(self), dtype=np.intp), np.diff(self.starts))

    def findings(self, ids: Sequence[str], sizes_hw: npt.NDArray[np.int64]) -> Iterator[Finding]:
        """Yield images with a marked point beyond their border, with x and y changed over or not, and as a note those
        without a marked point.
        """
        image, is_marked = self.image, self.visible > UNKNOWN
        size_wh = sizes_hw[image][:, None, ::-1]
        is_known = is_marked & (size_wh > 0).all(-1)
        is_beyond = _is_beyond(self.xy, size_wh) & is_known
        is_swapped = is_beyond.any(1) & ~(_is_beyond(self.xy[..., ::-1], size_wh) & is_known).any(1)
        swapped, beyond = (
            tuple(dict.fromkeys(ids[index] for index in image[rows].tolist()))
            for rows in (is_swapped, is_beyond.any(1) & ~is_swapped)
        )
        if swapped:
            text = f"beyond the border, and inside it with x and y swapped: points of {plural(len(swapped), 'image')}"
            yield Finding("points_swapped", "warning", swapped, f"{text}: {listed(swapped)}", "change x and y over")
        if beyond:
            num = int(is_beyond[~is_swapped].sum())
            text = f"{plural(num, 'point')} beyond the border of the image: {listed(beyond)}"
            yield Finding("point_beyond", "warning", beyond, text, "mark them as not there")
        num_marked = np.bincount(image, weights=is_marked.sum(1), minlength=len(self))
        empty = tuple(ids[index] for index in np.flatnonzero(num_marked == 0).tolist())
        if empty:
            yield Finding("no_point", "note", empty, f"{plural(len(empty), 'image')} without points: {listed(empty)}")

    def summary(self, name: str, splits: Mapping[str, Indices]) -> list[str]:
        """Return a line with how often each point is marked, and one with those that a mirror swaps."""
        total, counts = len(self.visible), (self.visible > UNKNOWN).sum(0).tolist()
        marked = (f"{point} {num:,}" for point, num in zip(self.names, counts, strict=False))
        lines = [f"{name}: marked in {plural(total, 'set')}: {', '.join(marked)}"]
        swaps = [f"{self.names[left]} and {self.names[right]}" for left, right in self.pairs]
        return lines + ([f"{name}: mirrored images swap {in_words(swaps)}"] if swaps else [])

    def as_known(self, names: tuple[str, ...], where: str, *, is_complete: bool) -> Self:
        """Return the points in a run's order.

        Raises:
            DataError: other points are marked than the run predicts.
        """
        if set(names) != set(self.names):
            odd = [*(f"no {name}" for name in names if name not in self.names),
                   *(f"{name} is new" for name in self.names if name not in names)]  # fmt: skip
            what = f"other points than the run's: {in_words(odd[:4])}"
            raise DataError(what, where=where, fix="name the points as the run's data does, or choose other data")
        order = [self.names.index(name) for name in names]
        return replace(self, xy=self.xy[:, order], visible=self.visible[:, order], names=names, pairs=pairs_of(names))

    def legend(self) -> list[tuple[str, tuple[int, int, int]]]:
        """Return the points with their colours."""
        return [(name, colour_of(point)) for point, name in enumerate(self.names)]

    def draw(self, image_u8: ImageU8, index: int) -> ImageU8:
        """Return the image (H, W, 3), at its own size, with a disc at each point that is seen, a ring where covered."""
        import cv2

        drawn, width = image_u8.copy(), line_px(image_u8)
        for row in range(int(self.starts[index]), int(self.starts[index + 1])):
            for point, (place, visible) in enumerate(zip(self.xy[row], self.visible[row], strict=True)):
                if visible:
                    x, y = np.floor(place).astype(int).tolist()
                    cv2.circle(drawn, (x, y), 2 * width, colour_of(point), -1 if visible == SEEN else width)
        return drawn


def _is_beyond(xy: npt.NDArray[np.float32], size_wh: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether points (T, K, 2) lie beyond the border of images of these sizes (T, 1, 2)."""
    return np.asarray(((xy < 0) | (xy > size_wh)).any(-1))
