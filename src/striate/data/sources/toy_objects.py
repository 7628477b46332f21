"""`toy:shapes?objects=1..6`: several shapes an image, each with its class and its box.

Everything is a function of the options in the name; image i does not depend on how many are drawn. A shape's diameter
is 0.18 to 0.42 of the image's side. Of 24 places that are drawn for it, it takes the one where its box overlaps the
others least, so that few are half hidden; a box is that of the whole shape, a mask has what is seen of it. With
`points=corners` each shape has points, see `toy_points`: hidden where another shape is in front, not marked beyond the
image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.runs import Bits
from striate.base.seeds import rng_for

from ..sample import Dataset, Usual
from ..target import Boxes
from ..target.extent import Extent
from ..target.points import HIDDEN, SEEN, UNKNOWN, Points, pairs_of
from . import toy_points
from .boxed import usual_view
from .images import ArrayImages
from .toy_drawing import MAX_CLUTTER, NUM_SHAPE_PARAMS, SHAPES, Floats, boxes_of, draw_params, ground, labels_of, paint

OPTIONS: dict[str, tuple[float, float, float]] = {  # default, lowest, highest
    "n": (2000, 10, 200_000),
    "size": (96, 32, 512),
    "seed": (0, 0, 2**31),
    "noise": (0.08, 0, 0.5),
    "clutter": (8, 0, MAX_CLUTTER),
}
MAX_OBJECTS, NUM_PLACES = 12, 24
RADII = (0.18, 0.42)  # in half sides of the image
CHUNK = 64
Marks = npt.NDArray[np.generic]


def count_range(text: str, where: str) -> tuple[int, int]:
    """Return the fewest and the most objects of an image.

    Raises:
        DataError: it is neither a number nor a range of numbers in 0 to 12.

    Example:
        >>> count_range("1..6", "toy"), count_range("3", "toy")
        ((1, 6), (3, 3))
    """
    low, _, high = text.partition("..")
    high = high or low
    if not (low.isdecimal() and high.isdecimal()) or not int(low) <= int(high) <= MAX_OBJECTS or int(high) < 1:
        what = f"objects={text!r} is no number or range of objects up to {MAX_OBJECTS}"
        raise DataError(what, where=where, fix="write objects=3 or objects=1..6")
    return int(low), int(high)


def make(name: str, options: Mapping[str, float], counts: tuple[int, int], kinds: Sequence[str] = ()) -> Dataset:
    """Return the dataset; its target is "box", of five classes, or of squares where these are asked for by a point.

    Args:
        name: as it was typed.
        options: a value for each of `OPTIONS`.
        counts: the fewest and the most objects of an image; each number is as frequent as the others.
        kinds: of points.
    """
    n, size, seed = int(options["n"]), int(options["size"]), int(options["seed"])
    params, noise = draw_params(n, seed), rng_for(seed, "objects", "noise", size)
    images = np.empty((n, size, size, 3), dtype=np.uint8)
    num = rng_for(seed, "objects", "count").random(n)
    num = np.minimum(counts[0] + np.floor(num * (counts[1] - counts[0] + 1)), counts[1]).astype(int)
    shapes = rng_for(seed, "objects").random((n, MAX_OBJECTS, NUM_SHAPE_PARAMS + 3 * NUM_PLACES), dtype=np.float32)
    shapes = toy_points.squares(shapes) if "corners" in kinds else shapes
    boxes, extents, marked = np.zeros((n, counts[1], 4), np.float32), list[Extent](), list[tuple[Marks, Marks]]()
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        pixels = ground(params[part], size, int(options["clutter"]))
        masks, circles = _fill(pixels, shapes[part], num[part], boxes[part])
        marked += _marks(shapes[part], circles, masks, kinds, num[part])
        extents += [Extent.of(mask) for row, count in zip(masks, num[part], strict=True) for mask in row[:count]]
        pixels += options["noise"] * noise.standard_normal(pixels.shape, dtype=np.float32)
        images[part] = np.clip(pixels * 255 + 0.5, 0, 255).astype(np.uint8)
    labels = labels_of(shapes.reshape(n * MAX_OBJECTS, -1)).reshape(n, MAX_OBJECTS)
    names = tuple(SHAPES)
    if "corners" in kinds:
        labels, names = np.zeros_like(labels), ("square",)
    own = [(row[:count], classes[:count]) for row, classes, count in zip(boxes, labels, num, strict=True)]
    target = Boxes.of([row for row, _ in own], [classes for _, classes in own], names)
    return Dataset(
        name="shapes",
        where=name,
        images=ArrayImages(images),
        ids=tuple(f"{index:06d}" for index in range(n)),
        targets={"box": replace(target, extents=tuple(extents), points=_points(marked, kinds))},
        splits={},
        channels=3,
        notes=("drawn, not photographed: a test bench, not a benchmark",),
        usual=Usual(size_hw=usual_view([(size, size)])) if counts != (1, 1) else Usual(),
    )


def _points(marked: Sequence[tuple[Marks, Marks]], kinds: Sequence[str]) -> Points | None:
    names = toy_points.names_of(kinds)
    xy, visible = ([pair[part] for pair in marked] for part in (0, 1))
    return Points.of(xy, visible, names, pairs_of(names)) if kinds else None


def _marks(
    shapes: Floats, circles: Floats, masks: Bits, kinds: Sequence[str], num: npt.NDArray[np.int_]
) -> list[tuple[Marks, Marks]]:
    """The points (T, K, 2) of the shapes of each image, and whether they are seen (T, K)."""
    (images, most), size = circles.shape[:2], masks.shape[-1]
    flat = shapes[:, :most].reshape(images * most, -1)[:, :NUM_SHAPE_PARAMS]
    xy = toy_points.places_of(flat, circles.reshape(-1, 3), kinds, size).reshape(images, most, -1, 2)
    x, y = np.moveaxis(np.floor(xy).astype(int).clip(0, size - 1), -1, 0)
    visible = np.full(x.shape, SEEN)
    for at in range(most):
        in_front = np.asarray(masks[:, at + 1 :].any(1))
        is_behind = in_front[np.arange(images)[:, None], y[:, at], x[:, at]]
        visible[:, at][is_behind] = HIDDEN
    visible[((xy < 0) | (xy >= size)).any(-1)] = UNKNOWN
    return [(places[:count], seen[:count]) for places, seen, count in zip(xy, visible, num, strict=True)]


def _fill(images: Floats, shapes: Floats, num: npt.NDArray[np.int_], boxes: Floats) -> tuple[Bits, Floats]:
    """Draw the shapes of some images (n, S, S, 3), write their boxes (n, most, 4), pixels, and return what is seen of
    them (n, most, S, S), and the radius and centre of each (n, most, 3).
    """
    masks = np.zeros((*boxes.shape[:2], *images.shape[1:3]), bool)
    circles = np.zeros((len(images), 0, 3), np.float32)
    for at in range(boxes.shape[1]):
        places = shapes[:, at, NUM_SHAPE_PARAMS:].reshape(len(images), NUM_PLACES, 3)
        circles = np.concatenate([circles, _best(places, circles)[:, None]], axis=1)
        rows = np.flatnonzero(num > at)
        some = images[rows]
        painted = paint(some, shapes[rows, at, :NUM_SHAPE_PARAMS], circles[rows, at])
        boxes[rows, at], masks[rows, at] = boxes_of(painted), painted
        masks[rows, :at] &= ~painted[:, None]
        images[rows] = some
    return masks, circles


def _best(places: Floats, circles: Floats) -> Floats:
    """Return of drawn places (n, P, 3) in 0..1 the radius and centre (n, 3) that overlaps the circles least."""
    radius = RADII[0] + (RADII[1] - RADII[0]) * places[..., :1]
    found = np.concatenate([radius, (places[..., 1:] * 2 - 1) * (1 - radius)], axis=2)
    low, high = (found[..., 1:] - radius)[:, :, None], (found[..., 1:] + radius)[:, :, None]
    other = circles[:, None]
    shared = np.minimum(high, other[..., 1:] + other[..., :1]) - np.maximum(low, other[..., 1:] - other[..., :1])
    overlap = (shared.clip(0).prod(-1) / (2 * np.minimum(radius, other[..., 0])) ** 2).sum(2)
    return np.asarray(found[np.arange(len(found)), overlap.argmin(1)])
