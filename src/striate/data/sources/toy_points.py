"""`toy:shapes?points=centre,bite`: points of the one shape of each image, exact by how it is drawn.

`centre` is the middle of the shape and `bite` that of the bite out of its rim. `corners` draws squares alone: their
corners are left and right of who looks from the middle to the bite, so that a mirrored image swaps them. With
`objects=1..3` each shape has them, see `toy_objects`.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from striate.base.choose import choose
from striate.base.errors import DataError

from ..sample import Dataset
from ..target import Points
from ..target.points import pairs_of
from .toy_drawing import SHAPES, SQUARE, SQUARE_HALF, Floats, angles_of, labels_of

KINDS = {
    "centre": ("centre",),
    "bite": ("bite",),
    "corners": ("front_left", "front_right", "back_left", "back_right"),
}
CORNERS = {  # in radii along the direction to the bite, and to the left of it
    name: (SQUARE_HALF * (1 if name.startswith("front") else -1), SQUARE_HALF * (1 if name.endswith("left") else -1))
    for name in KINDS["corners"]
}
INSIDE = 0.9  # of the usual radius, so that no corner of a square lies beyond the image


def kinds_of(text: str, where: str) -> tuple[str, ...]:
    """Return the kinds of points that are asked for, with commas between them.

    Raises:
        DataError: there is no such kind.

    Example:
        >>> kinds_of("centre,bite", "toy")
        ('centre', 'bite')
    """
    kinds = tuple(dict.fromkeys(kind.strip() for kind in text.split(",")))
    for kind in kinds:
        choose("kind of points", kind, KINDS, DataError, where=where)
    return kinds


def drawn(params: Floats, spots: Floats, kinds: Sequence[str]) -> tuple[Floats, Floats]:
    """Return the numbers of the shapes, and where they lie, so that all these points are there."""
    if "corners" not in kinds:
        return params, spots
    spots = spots.copy()
    spots[:, 0] *= INSIDE
    return squares(params), spots


def squares(params: Floats) -> Floats:
    """Return the numbers (..., 13 or more) of shapes that are all squares."""
    params = params.copy()
    params[..., 12] = (SQUARE + 0.5) / len(SHAPES)
    return params


def with_points(dataset: Dataset, params: Floats, spots: Floats, kinds: Sequence[str], size: int) -> Dataset:
    """Return a dataset of such shapes whose first target is their points; squares alone are no classes."""
    xy, names = places_of(params, spots, kinds, size), names_of(kinds)
    targets = {"points": Points.of(xy[:, None], None, names, pairs_of(names)), **dataset.targets}
    if "corners" in kinds:
        del targets["label"]
    return replace(dataset, targets=targets)


def names_of(kinds: Sequence[str]) -> tuple[str, ...]:
    """Return the points of these kinds.

    Example:
        >>> names_of(("centre", "bite"))
        ('centre', 'bite')
    """
    return tuple(name for kind in kinds for name in KINDS[kind])


def places_of(params: Floats, spots: Floats, kinds: Sequence[str], size: int) -> npt.NDArray[np.float64]:
    """Return the points (n, K, 2) of shapes, in pixels of images of this size.

    Args:
        params: (n, 13) numbers of the shapes.
        spots: (n, 3) their radius and centre (x, y).
    """
    names = names_of(kinds)
    bites = np.array([bite_at for _, bite_at in SHAPES.values()])[labels_of(params)]
    turn = np.deg2rad(angles_of(params).astype(np.float64))
    radius, x, y = spots.astype(np.float64).T
    xy = np.empty((len(spots), len(names), 2))
    for at, name in enumerate(names):
        ahead, left = CORNERS.get(name, (bites if name == "bite" else 0.0, 0.0))
        xy[:, at, 0] = x + radius * (np.cos(turn) * ahead - np.sin(turn) * left)
        xy[:, at, 1] = y + radius * (np.sin(turn) * ahead + np.cos(turn) * left)
    return np.asarray((1 + xy * [1, -1]) * size / 2)  # from -1 to 1, y upwards, to pixels from the outer corner
