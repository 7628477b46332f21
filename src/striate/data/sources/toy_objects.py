"""`toy:shapes?objects=1..6`: several shapes an image, each with its class and its box.

Everything is a function of the options in the name; image i does not depend on how many are drawn. A shape's diameter
is 0.18 to 0.42 of the image's side. Of 24 places that are drawn for it, it takes the one where its box overlaps the
others least, so that few are half hidden; a box is that of the whole shape, a mask has what is seen of it.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.runs import Bits
from striate.base.seeds import rng_for

from ..sample import Dataset, Usual
from ..target import Boxes
from ..target.extent import Extent
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


def make(name: str, options: Mapping[str, float], counts: tuple[int, int]) -> Dataset:
    """Return the dataset; its target is "box", of five classes.

    Args:
        name: as it was typed.
        options: a value for each of `OPTIONS`.
        counts: the fewest and the most objects of an image; each number is as frequent as the others.
    """
    n, size, seed = int(options["n"]), int(options["size"]), int(options["seed"])
    params, noise = draw_params(n, seed), rng_for(seed, "objects", "noise", size)
    images = np.empty((n, size, size, 3), dtype=np.uint8)
    num = rng_for(seed, "objects", "count").random(n)
    num = np.minimum(counts[0] + np.floor(num * (counts[1] - counts[0] + 1)), counts[1]).astype(int)
    shapes = rng_for(seed, "objects").random((n, MAX_OBJECTS, NUM_SHAPE_PARAMS + 3 * NUM_PLACES), dtype=np.float32)
    boxes, extents = np.zeros((n, counts[1], 4), np.float32), list[Extent]()
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        pixels = ground(params[part], size, int(options["clutter"]))
        masks = _fill(pixels, shapes[part], num[part], boxes[part])
        extents += [Extent.of(mask) for row, count in zip(masks, num[part], strict=True) for mask in row[:count]]
        pixels += options["noise"] * noise.standard_normal(pixels.shape, dtype=np.float32)
        images[part] = np.clip(pixels * 255 + 0.5, 0, 255).astype(np.uint8)
    labels = labels_of(shapes.reshape(n * MAX_OBJECTS, -1)).reshape(n, MAX_OBJECTS)
    own = [(row[:count], classes[:count]) for row, classes, count in zip(boxes, labels, num, strict=True)]
    target = Boxes.of([row for row, _ in own], [classes for _, classes in own], tuple(SHAPES))
    return Dataset(
        name="shapes",
        where=name,
        images=ArrayImages(images),
        ids=tuple(f"{index:06d}" for index in range(n)),
        targets={"box": replace(target, extents=tuple(extents))},
        splits={},
        channels=3,
        notes=("drawn, not photographed: a test bench, not a benchmark",),
        usual=Usual(size_hw=usual_view([(size, size)])) if counts != (1, 1) else Usual(),
    )


def _fill(images: Floats, shapes: Floats, num: npt.NDArray[np.int_], boxes: Floats) -> Bits:
    """Draw the shapes of some images (n, S, S, 3), write their boxes (n, most, 4), pixels, and return what is seen of
    them (n, most, S, S).
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
    return masks


def _best(places: Floats, circles: Floats) -> Floats:
    """Return of drawn places (n, P, 3) in 0..1 the radius and centre (n, 3) that overlaps the circles least."""
    radius = RADII[0] + (RADII[1] - RADII[0]) * places[..., :1]
    found = np.concatenate([radius, (places[..., 1:] * 2 - 1) * (1 - radius)], axis=2)
    low, high = (found[..., 1:] - radius)[:, :, None], (found[..., 1:] + radius)[:, :, None]
    other = circles[:, None]
    shared = np.minimum(high, other[..., 1:] + other[..., :1]) - np.maximum(low, other[..., 1:] - other[..., :1])
    overlap = (shared.clip(0).prod(-1) / (2 * np.minimum(radius, other[..., 0])) ** 2).sum(2)
    return np.asarray(found[np.arange(len(found)), overlap.argmin(1)])
