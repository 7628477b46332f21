"""Shapes as `toy:shapes` draws them: outlines with a bite out of the rim, on a background with clutter.

Each image has a row of uniform numbers, so that image i does not depend on how many are drawn. Coordinates run from -1
to 1, y upwards.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from striate.base.seeds import rng_for

Floats = npt.NDArray[np.float32]
MAX_CLUTTER = 24
NUM_SHAPE_PARAMS, NUM_CLUTTER_PARAMS = 13, 9
SQUARE_HALF = 0.78  # half the side of a square, in its radii


def boxes_of(masks: npt.NDArray[np.bool_]) -> Floats:
    """Return the hull (N, 4) xyxy in pixels of each mask (N, H, W); x1 and y1 are the far edges of the last pixels.

    Example:
        >>> mask = np.zeros((1, 5, 6), dtype=bool)
        >>> mask[0, 1:3, 2:6] = True
        >>> boxes_of(mask).tolist()
        [[2.0, 1.0, 6.0, 3.0]]
    """
    sides: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]] = []
    for axis, length in ((1, masks.shape[2]), (2, masks.shape[1])):
        hit = np.asarray(masks.any(axis=axis))
        sides.append((hit.argmax(axis=1), length - hit[:, ::-1].argmax(axis=1)))
    (x0, x1), (y0, y1) = sides
    return np.stack([x0, y0, x1, y1], axis=1).astype(np.float32)


def draw_params(n: int, seed: int) -> Floats:
    """Return a row of uniform numbers an image: its shape's, then those of the clutter."""
    return rng_for(seed, "shapes").random((n, NUM_SHAPE_PARAMS + MAX_CLUTTER * NUM_CLUTTER_PARAMS), dtype=np.float32)


def labels_of(params: Floats) -> npt.NDArray[np.int64]:
    """Return the class of each shape, an index into `SHAPES`."""
    return np.minimum(np.floor(params[:, 12] * len(SHAPES)), len(SHAPES) - 1).astype(np.int64)


def angles_of(params: Floats) -> Floats:
    """Return the direction of each shape's bite in degrees."""
    return params[:, 0] * 360


def _column(values: Floats) -> Floats:
    return values[:, None, None]


def ground(params: Floats, size: int, num_clutter: int) -> Floats:
    """Return images (n, S, S, 3) in 0..1 without shapes: a background and clutter."""
    x, y = _axes(size)
    image = _background(params, x, y)
    for index in range(num_clutter):
        start = NUM_SHAPE_PARAMS + index * NUM_CLUTTER_PARAMS
        _paint_clutter(image, params[:, start : start + NUM_CLUTTER_PARAMS], x, y, _edge(size))
    return image


def usual_spots(params: Floats) -> Floats:
    """Return where the one shape of each image lies (n, 3): its radius and its centre (x, y)."""
    radius = 0.45 + 0.3 * params[:, 9]
    return np.stack([radius, *((params[:, at] * 2 - 1) * (1 - radius) for at in (10, 11))], axis=1)


def paint(image: Floats, params: Floats, spots: Floats) -> npt.NDArray[np.bool_]:
    """Draw a shape into each image (n, S, S, 3), and return its mask (n, S, S).

    Args:
        params: (n, 13) numbers of the shapes: angle, colours, class.
        spots: (n, 3) radius and centre (x, y).
    """
    size = image.shape[1]
    distance = _shape_distance(params, spots, *_axes(size))
    _blend(image, np.clip(0.5 - distance * _edge(size), 0, 1), _shape_colour(params))
    return distance < 0


def _axes(size: int) -> tuple[Floats, Floats]:
    axis = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
    return axis[None, None, :], -axis[None, :, None]


def _edge(size: int) -> np.float32:
    """One pixel of soft edge."""
    return np.float32(size / 2)


def _background(params: Floats, x: Floats, y: Floats) -> Floats:
    """Return a colour that changes along a random direction."""
    slope = _column(params[:, 1] - 0.5) * x + _column(params[:, 2] - 0.5) * y
    base = 0.1 + 0.35 * params[:, 3:6]
    return (base[:, None, None, :] + 0.3 * slope[..., None]).astype(np.float32)


def _paint_clutter(image: Floats, params: Floats, x: Floats, y: Floats, edge: np.float32) -> None:
    """Draw one ellipse, bar or corner an image, of any colour and half transparent."""
    turn = params[:, 0] * 2 * np.pi
    dx, dy = x - _column(params[:, 1] * 2.4 - 1.2), y - _column(params[:, 2] * 2.4 - 1.2)
    u = _column(np.cos(turn)) * dx + _column(np.sin(turn)) * dy
    v = _column(np.cos(turn)) * dy - _column(np.sin(turn)) * dx
    length, width = _column(0.1 + 0.5 * params[:, 3] ** 2), _column(0.04 + 0.2 * params[:, 4] ** 2)
    bar = np.maximum(np.abs(u) - length, np.abs(v) - width)
    ellipse = (np.sqrt((u / length) ** 2 + (v / width) ** 2) - 1) * width
    corner = np.maximum(bar, -(np.abs(u - length) + np.abs(v) - length))
    kind = _column(np.floor(params[:, 5] * 3))
    distance = np.where(kind == 0, bar, np.where(kind == 1, ellipse, corner))
    _blend(image, 0.6 * np.clip(0.5 - distance * edge, 0, 1), params[:, 6:9])


def _blend(image: Floats, cover: Floats, colour: Floats) -> None:
    image += cover[..., None] * (colour[:, None, None, :] - image)


def _shape_colour(params: Floats) -> Floats:
    """Return a light colour: one that can be told from every background."""
    return (0.55 + 0.45 * params[:, 6:9]).astype(np.float32)


def _shape_distance(params: Floats, spots: Floats, x: Floats, y: Floats) -> Floats:
    """Return the signed distance (about) to each image's shape, with its bite taken out."""
    radius = spots[:, 0]
    dx, dy = x - _column(spots[:, 1]), y - _column(spots[:, 2])
    turn = np.deg2rad(angles_of(params))
    u = (_column(np.cos(turn)) * dx + _column(np.sin(turn)) * dy) / _column(radius)  # u points to the bite
    v = (_column(np.cos(turn)) * dy - _column(np.sin(turn)) * dx) / _column(radius)
    distance = np.empty_like(u)
    labels = labels_of(params)
    for index, (outline, bite_at) in enumerate(SHAPES.values()):
        rows = labels == index
        bite = np.float32(0.42) - np.sqrt((u[rows] - np.float32(bite_at)) ** 2 + v[rows] ** 2)
        distance[rows] = np.maximum(outline(u[rows], v[rows]), bite)
    return (distance * _column(radius)).astype(np.float32)


def _circle(u: Floats, v: Floats) -> Floats:
    return np.asarray(np.sqrt(u**2 + v**2) - np.float32(0.9))


def _polygon(sides: int, apothem: float) -> Callable[[Floats, Floats], Floats]:
    def distance(u: Floats, v: Floats) -> Floats:
        turns = [2 * np.pi * side / sides for side in range(sides)]
        edges = [np.float32(np.cos(turn)) * u + np.float32(np.sin(turn)) * v for turn in turns]
        return np.asarray(np.maximum.reduce(edges) - np.float32(apothem))

    return distance


def _star(u: Floats, v: Floats) -> Floats:
    """Five points: the distance to the nearest edge of a star whose rim runs between radius 1 and 0.45."""
    radius, turn = np.sqrt(u**2 + v**2), np.arctan2(v, u)
    within = np.abs((turn / (2 * np.pi) * 5) % 1 - np.float32(0.5)) * 2  # 1 at a point, 0 between two
    along = within * np.float32(np.pi / 5)
    px, py = radius * np.cos(np.float32(np.pi / 5) - along), radius * np.sin(np.float32(np.pi / 5) - along)
    tip, notch = np.array([1.0, 0.0]), 0.45 * np.array([np.cos(np.pi / 5), np.sin(np.pi / 5)])
    normal = np.array([notch[1] - tip[1], tip[0] - notch[0]]) / np.hypot(*(tip - notch))
    return np.asarray((normal[0] * (px - 1) + normal[1] * py).astype(np.float32))


def _cross(u: Floats, v: Floats) -> Floats:
    arm, width = np.float32(0.95), np.float32(0.36)
    along = np.maximum(np.abs(u) - arm, np.abs(v) - width)
    return np.minimum(along, np.maximum(np.abs(v) - arm, np.abs(u) - width))


# outline, and how far from the middle the bite is centred: near the rim, so that it shows in every shape
SHAPES: dict[str, tuple[Callable[[Floats, Floats], Floats], float]] = {
    "circle": (_circle, 0.78),
    "cross": (_cross, 0.78),
    "square": (_polygon(4, SQUARE_HALF), 0.74),
    "star": (_star, 0.78),
    "triangle": (_polygon(3, 0.55), 0.5),
}
SQUARE = list(SHAPES).index("square")
