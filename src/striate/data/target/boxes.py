"""Boxes around things: any number an image."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from striate.base.text import shown

from ..check.finding import Finding
from ..sample import ImageU8
from ..split import assign, assign_tags
from . import box_counts
from .box_findings import small_boxes, wrong_boxes
from .extent import GRID, Extent, Points, cells, of_cells, sampled
from .known import refuse_strange
from .palette import colour_of, cover, line_px
from .points import UNKNOWN
from .points import Points as KeyPoints
from .ragged import Ragged
from .rows import Starts, refuse_uneven, rows_of, starts_of
from .target import TILE, Indices, Target

if TYPE_CHECKING:
    from ..augment.objects import Objects
    from ..augment.plan import Plan
    from ..geometry import Geometry
    from .place import Place

MIN_SIDE_PX = 1.0  # of a box in a batch: its sides in output pixels
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Boxes(Target):
    """Any number of boxes an image: the rows of image i are `starts[i]` to `starts[i + 1]`.

    A batch is a `Ragged` of (B_i, 4) float32 xyxy in output pixels from the outer corner, clipped to the output, with
    the fields "labels" (int64), "crowd", "difficult" (bool) and "row" (int64, the row of this target), where the
    `extents` are known "masks" (uint8, GRID x GRID cells of the box: whether the middle is covered), and where the
    `points` are known "points" ((K, 2) float32) and "visible" ((K,) int64, 0 beyond the output). Left out is a box
    of which too little is seen (less than a tenth; `data.min_seen`) or with a side under one pixel: there is nothing of
    it to learn from. Scores take the boxes from here, so what a crop cuts away counts there.

    Args:
        xyxy: (T, 4) float32, pixels of the original from its outer corner.
        starts: (N + 1,) int64.
        labels: (T,) int64 indices into `names`.
        crowd: (T,) whether a box stands for many things at once (COCO).
        difficult: (T,) whether finding it or not is not counted (VOC).
        names: the classes of the boxes.
        shares_labels: the classes are those of the images, one box each: a fingerprint has them from the label.
        origin: what a box is called in its source, with {} for its number: `annotation {}`; "" where it has no name.
        numbers: (T,) of the boxes there; empty without.
        is_partial: of an image without boxes nothing is known, rather than that nothing is there.
        extents: (T,) what each object covers; empty where that is not known of all.
        points: of the same objects, as many in each image, in the same order; None where there are none.
    """

    xyxy: npt.NDArray[np.float32]
    starts: Starts
    labels: npt.NDArray[np.int64]
    crowd: Flags
    difficult: Flags
    names: tuple[str, ...] = ()
    shares_labels: bool = False
    is_partial: bool = False
    origin: str = ""
    numbers: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    extents: tuple[Extent, ...] = ()
    points: KeyPoints | None = None
    kind: ClassVar[str] = "box"
    noun: ClassVar[tuple[str, str]] = ("set of boxes", "boxes")
    tasks: ClassVar[tuple[str, ...]] = ("detect", "localise")
    has_places: ClassVar[bool] = True
    is_ragged: ClassVar[bool] = True
    mixes: ClassVar[frozenset[str]] = frozenset({TILE})
    untrue_after: ClassVar[frozenset[str]] = frozenset({"rotate", "shear"})  # hulls of turned boxes are too large
    mirrors: ClassVar[bool] = False  # an object's mirror image at the border is one without a box

    def __post_init__(self) -> None:
        columns = {"labels": self.labels, "crowd flags": self.crowd, "difficult flags": self.difficult}
        refuse_uneven("boxes", len(self.xyxy), **columns)
        assert int(self.starts[-1]) == len(self.xyxy), "the last image's boxes end elsewhere"
        assert self.points is None or np.array_equal(self.points.starts, self.starts), "points of other objects"

    @classmethod
    def of(
        cls, boxes: Iterable[Any], labels: Iterable[Any] | None = None, names: Sequence[str] = (),
        *, crowd: Iterable[Any] | None = None, difficult: Iterable[Any] | None = None,
        shares_labels: bool = False, is_partial: bool = False,
    ) -> Self:  # fmt: skip
        """Return the boxes of a list with one (B_i, 4) xyxy an image, and (B_i,) of everything else; 0 by default.

        Example:
            >>> boxes = Boxes.of([[[0, 0, 4, 4], [2, 2, 8, 6]], []], [[1, 0], []], ("cat", "dog"))
            >>> len(boxes), boxes.starts.tolist(), boxes.labels.tolist()
            (2, [0, 2, 2], [1, 0])
        """
        parts = [np.asarray(part, dtype=np.float32).reshape(-1, 4) for part in boxes]
        starts = starts_of([len(part) for part in parts])
        columns = (_joined(column, int(starts[-1])) for column in (labels, crowd, difficult))
        label, many, hard = columns
        xyxy = np.concatenate([*parts, np.empty((0, 4), np.float32)])
        return cls(xyxy, starts, label, many.astype(bool), hard.astype(bool), tuple(names), shares_labels, is_partial)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the boxes; an image is of each class that it has a box of."""
        return self.names

    @property
    def is_single(self) -> bool:
        """Whether every image has exactly one box."""
        return bool((np.diff(self.starts) == 1).all())

    @property
    def image(self) -> Indices:
        """(T,) the image that each box is in."""
        return np.repeat(np.arange(len(self), dtype=np.intp), np.diff(self.starts))

    @property
    def presence(self) -> Flags:
        """(N, K) whether an image has a box of a class."""
        found = np.zeros((len(self), max(1, len(self.names))), bool)
        is_known = (self.labels >= 0) & (self.labels < found.shape[1])
        found[self.image[is_known], self.labels[is_known]] = True
        return found

    @property
    def unknown(self) -> Indices:
        """The images without boxes, where these are not all known."""
        return np.flatnonzero(np.diff(self.starts) == 0) if self.is_partial else super().unknown

    def take(self, indices: Indices) -> Self:
        """Return the boxes of some images, in the order of `indices`."""
        rows, lengths = rows_of(self.starts, indices)
        columns = ("xyxy", "labels", "crowd", "difficult", *(("numbers",) if len(self.numbers) else ()))
        parts = {name: getattr(self, name)[rows] for name in columns}
        points = None if self.points is None else self.points.take(indices)
        return replace(self, starts=starts_of(lengths), extents=self._extents(rows), points=points, **parts)

    def _extents(self, rows: Indices) -> tuple[Extent, ...]:
        return tuple(self.extents[row] for row in rows.tolist()) if self.extents else ()

    def content(self, indices: Indices) -> Iterator[bytes]:
        """Yield the boxes, and where they are not one an image of its own class, how many there are and their rest."""
        rows, lengths = rows_of(self.starts, indices)
        yield self.xyxy[rows].tobytes()
        if not self.shares_labels:
            yield lengths.tobytes()
            for column in (self.labels, self.crowd, self.difficult):
                yield column[rows].tobytes()
        yield from (extent.to_bytes() for extent in self._extents(rows))
        if self.points is not None:
            yield from self.points.content(indices)

    def batch(self, indices: Indices, plan: "Plan", place: "Place") -> Ragged:
        """Return the boxes that are seen, in output pixels; see the class."""
        import torch

        from ..augment.mosaic import tile_boxes
        from ..augment.move import clip_boxes, move_back, move_hulls

        rows, lengths = rows_of(self.starts, indices)
        source = row = np.repeat(np.arange(len(indices)), lengths)
        moved = whole = move_hulls(_stored(self.xyxy[rows], place.matrices(indices)[row]), plan, row)
        seen = clip_boxes(whole, plan)
        if plan.mosaic is not None:
            whole, seen, row, again = tile_boxes(whole, seen, row, plan.mosaic)
            rows, source, moved = rows[again], source[again], moved[again]
        is_kept = (_sides(seen) >= MIN_SIDE_PX).all(1)
        is_kept &= _sides(seen).prod(1) >= place.min_seen * _sides(whole).prod(1)
        columns = {"labels": self.labels, "crowd": self.crowd, "difficult": self.difficult}
        fields = {name: torch.from_numpy(column[rows[is_kept]]) for name, column in columns.items()}
        fields["row"] = torch.from_numpy(rows[is_kept].astype(np.int64))
        if self.points is not None:
            xy, visible = self._moved_points(self.points, indices, plan, place)
            fields["points"], fields["visible"] = torch.from_numpy(xy[is_kept]), torch.from_numpy(visible[is_kept])
        if self.extents:
            points = _between(cells(seen[is_kept]), whole[is_kept], moved[is_kept])
            points = _own(move_back(points, plan, source[is_kept]), place.matrices(indices)[source[is_kept]])
            masks = sampled(self._extents(rows[is_kept]), points)
            fields["masks"] = torch.from_numpy(masks.reshape(-1, GRID, GRID))
        counts = np.bincount(row[is_kept], minlength=len(indices))
        return Ragged(torch.from_numpy(np.ascontiguousarray(seen[is_kept])), tuple(counts.tolist()), fields)

    def _moved_points(
        self, points: KeyPoints, indices: Indices, plan: "Plan", place: "Place"
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """The points (T, K, 2) of all boxes as the output shows them, and whether they are seen there (T, K)."""
        from ..augment.mosaic import tile_boxes

        rows, lengths = rows_of(self.starts, indices)
        row = np.repeat(np.arange(len(indices)), lengths)
        xy, visible = points.moved(rows, row, plan, place.matrices(indices))
        if plan.mosaic is not None:  # a point is a box without sides, which is cut where it leaves its quarter
            spots = np.tile(xy.reshape(-1, 2), 2)
            whole, seen, _, again = tile_boxes(spots, spots, np.repeat(row, xy.shape[1]), plan.mosaic)
            is_seen = (whole == seen).all(1) & (visible.ravel()[again] > UNKNOWN)
            visible = np.where(is_seen, visible.ravel()[again], UNKNOWN).reshape(-1, xy.shape[1])
            xy = whole[:, :2].reshape(-1, *xy.shape[1:])
        return np.ascontiguousarray(xy), visible.astype(np.int64)

    def strata(self) -> npt.NDArray[np.int64]:
        """Return the rarest class that each image has a box of (N,); K for an image without boxes."""
        present = self.presence
        rarity = np.where(present, present.sum(0, dtype=np.int64), np.iinfo(np.int64).max)
        return np.asarray(np.where(present.any(1), rarity.argmin(1), present.shape[1]))

    def divide(self, ids: Sequence[str], members: Indices, shares: Sequence[float], seed: int) -> npt.NDArray[np.int64]:
        """Return the part of each member, the images of every class divided in the given shares."""
        if self.is_single:
            return assign(ids, self.strata()[members], shares, seed)
        return assign_tags(ids, self.presence[members], shares, seed)

    def counts(self, indices: Indices) -> npt.NDArray[np.int64]:
        """Return how many of these images have a box of each class (K,)."""
        return np.asarray(self.presence[indices].sum(0, dtype=np.int64)[: len(self.names)])

    def members(self, label: int, indices: Indices) -> Indices:
        """Return those of the images that have a box of a class."""
        return np.asarray(indices[self.presence[indices, label]])

    def text(self, index: int) -> str:
        """Return how many boxes of each class an image has: `2 cat + 1 dog`."""
        counts = np.bincount(self.labels[self.starts[index] : self.starts[index + 1]], minlength=len(self.names))
        named = [f"{count} {name}" for name, count in zip(self.names, counts.tolist(), strict=False) if count]
        return shown(" + ".join(named) or "no box", 40)

    def weights(self, indices: Indices) -> npt.NDArray[np.float64]:
        """Return 1 / the number of images of each image's rarest class; one without boxes weighs as the commonest."""
        present = self.presence[indices]
        rarity = 1 / np.maximum(present.sum(0), 1)
        return np.asarray(np.where(present.any(1), (present * rarity).max(1), rarity.min()))

    def as_known(self, names: tuple[str, ...], where: str, *, is_complete: bool) -> Self:
        """Return the boxes with the run's classes, in their order; a class without boxes may be missing.

        Raises:
            DataError: there is a box of a class that the run does not know.
        """
        refuse_strange(self, names, where)
        new = np.array([names.index(name) if name in names else -1 for name in self.names] or [0], np.int64)
        return replace(self, labels=new[self.labels] if self.names else self.labels, names=names)

    def objects(self, indices: Indices, place: "Place") -> "Objects":
        """Return the boxes of these images in half sides about the centre of the stored image."""
        from ..augment.objects import Objects

        rows, lengths = rows_of(self.starts, indices)
        row = np.repeat(np.arange(len(indices)), lengths)
        stored = _stored(self.xyxy[rows], place.matrices(indices)[row]).astype(np.float64)
        half = np.tile(np.array(place.geometry.store_hw[::-1]) / 2, 2)
        return Objects(stored / half - 1, starts_of(lengths))

    def seen(self, indices: Indices, plan: "Plan", place: "Place") -> "Boxes":
        """Return the boxes that are seen, in output pixels."""
        found = self.batch(indices, plan, place)
        boxes = Boxes.of([rows.numpy() for rows in found], [rows.numpy() for rows in found.of("labels")], self.names)
        pairs = zip(found.fields["masks"].numpy(), boxes.xyxy, strict=True) if self.extents else ()
        boxes = replace(boxes, extents=tuple(of_cells(mask, box, plan.out_hw) for mask, box in pairs))
        if self.points is None:
            return boxes
        parts = (found.fields[name].numpy() for name in ("points", "visible"))
        xy, visible = (np.split(part, boxes.starts[1:-1]) for part in parts)
        return replace(boxes, points=KeyPoints.of(xy, visible, self.points.names, self.points.pairs))

    def findings(self, ids: Sequence[str], sizes_hw: npt.NDArray[np.int64]) -> Iterator[Finding]:
        """Yield boxes without area, outside, of no class or there twice; images without any are a note."""
        yield from wrong_boxes(self, ids, sizes_hw)
        found = () if self.points is None else self.points.findings(ids, sizes_hw)
        yield from (one for one in found if one.severity == "warning")  # a note that there are none is no news here

    def findings_at(
        self, ids: Sequence[str], sizes_hw: npt.NDArray[np.int64], geometry: "Geometry"
    ) -> Iterator[Finding]:
        """Yield the boxes that become smaller than 8 px, and the size that would do."""
        yield from small_boxes(self, ids, sizes_hw, geometry)

    def place(self, row: int) -> str:
        """Return what a box is called in its source, such as `annotation 17`, with a blank in front of numbers."""
        return self.origin.format(int(self.numbers[row])) + " " if self.origin and len(self.numbers) else ""

    def distribution(self, splits: "Mapping[str, Indices]") -> dict[str, Any]:
        """Return how many boxes of which sizes each class has, see `box_counts`."""
        return box_counts.distribution(self, splits)

    def summary(self, name: str, splits: "Mapping[str, Indices]") -> list[str]:
        """Return lines with how many boxes of which sizes each class has."""
        return box_counts.lines(self, splits) + ([] if self.points is None else self.points.summary("points", splits))

    def figure(self, splits: "Mapping[str, Indices]") -> bytes | None:
        """Return a PNG of counts, sizes and aspects by class."""
        return box_counts.figure(self, splits)

    def legend(self) -> list[tuple[str, tuple[int, int, int]]]:
        """Return the classes with the colours of their boxes."""
        return [(name, colour_of(label)) for label, name in enumerate(self.names)]

    def draw(self, image_u8: ImageU8, index: int) -> ImageU8:
        """Return the image (H, W, 3), at its own size, with its boxes in the colours of their classes."""
        import cv2

        drawn, width = image_u8.copy(), line_px(image_u8)
        for row in range(int(self.starts[index]), int(self.starts[index + 1])):
            if self.extents:
                cover(drawn, self.extents[row].mask(), colour_of(int(self.labels[row])))
            left, top, right, bottom = np.rint(self.xyxy[row]).astype(int).tolist()
            colour = colour_of(int(self.labels[row]))
            cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), colour, width)
        return drawn if self.points is None else self.points.draw(drawn, index)


def _joined(column: Iterable[Any] | None, count: int) -> npt.NDArray[Any]:
    if column is None:
        return np.zeros(count, np.int64)
    return np.concatenate([*(np.asarray(part, dtype=np.int64).reshape(-1) for part in column), np.zeros(0, np.int64)])


def _stored(xyxy: npt.NDArray[np.float32], matrices: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Boxes (T, 4) brought by (T, 2, 3) matrices that scale and shift from their image to the store."""
    corners = xyxy.reshape(-1, 2, 2).astype(np.float64)
    moved = corners @ matrices[:, :, :2].transpose(0, 2, 1) + matrices[:, None, :, 2]
    return moved.reshape(-1, 4).astype(np.float32)


def _own(points: Points, matrices: npt.NDArray[np.float64]) -> Points:
    """Points (T, P, 2) of the store in the pixels of their images, see `_stored`."""
    return np.asarray((points - matrices[:, None, :, 2]) / matrices[:, [0, 1], [0, 1]][:, None])


def _between(points: Points, seen: npt.NDArray[np.float32], moved: npt.NDArray[np.float32]) -> Points:
    """Points (T, P, 2) that lie to boxes `seen` (T, 4) as they come to lie to boxes `moved`."""
    share = (points - seen[:, None, :2]) / _sides(seen)[:, None]
    return np.asarray(moved[:, None, :2] + share * _sides(moved)[:, None])


def _sides(xyxy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return xyxy[:, 2:] - xyxy[:, :2]
