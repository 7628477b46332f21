"""`toy:shapes`: drawn shapes on cluttered backgrounds, with a class, an angle, a box and a mask for each image.

Everything is a function of the options in the name: `toy:shapes?n=2000&size=48&seed=0&noise=0.08&clutter=8`.
Each shape has a bite taken out of its rim; `angle` is the direction of the bite from the middle of the shape, in
degrees counter-clockwise as one sees it: 0 right, 90 up, 180 left, 270 down.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import numpy.typing as npt

from striate.base.choose import choose
from striate.base.errors import DataError
from striate.base.seeds import rng_for

from ..sample import Dataset
from ..target import Angle, Boxes, Label, Mask
from . import toy_digits, toy_series
from .images import ArrayImages

Floats = npt.NDArray[np.float32]
CHUNK = 256  # images drawn at once: the intermediate arrays stay in the cache

OPTIONS: dict[str, tuple[float, float, float]] = {  # default, lowest, highest
    "n": (2000, 10, 200_000),
    "size": (48, 16, 512),
    "seed": (0, 0, 2**31),
    "noise": (0.08, 0, 0.5),
    "clutter": (8, 0, 24),
}


def read(name: str, root: Path | None = None) -> Dataset:
    """Return the toy dataset called `name`, for example `toy:shapes?n=1200&size=64` or `toy:digits?angle=45`.

    Args:
        root: a folder with MNIST's files, for `toy:digits`.

    Raises:
        DataError: the name or an option is unknown, or a value is out of its range.
    """
    kind, _, query = name.removeprefix("toy:").partition("?")
    if choose("toy dataset", kind, {"shapes": "shapes", "digits": "digits", "order": "order"}, DataError) == "digits":
        return toy_digits.make(name, _options(query, name, toy_digits.OPTIONS), root)
    if root is not None:
        raise DataError("a root is for toy:digits", where=name, fix="leave --root out")
    if kind == "order":
        return toy_series.make(name, _options(query, name, toy_series.OPTIONS))
    return _shapes(name, _options(query, name, OPTIONS))


def _shapes(name: str, options: Mapping[str, float]) -> Dataset:
    """Targets: "label" (5 classes), "angle" (degrees), "box" (xyxy pixels), "mask" (0 background, class + 1)."""
    n, size, seed = int(options["n"]), int(options["size"]), int(options["seed"])
    params = _draw_params(n, seed)
    images = np.empty((n, size, size, 3), dtype=np.uint8)
    masks = np.empty((n, size, size), dtype=bool)
    noise = rng_for(seed, "shapes", "noise", size)
    for start in range(0, n, CHUNK):
        rows = params[start : start + CHUNK]
        pixels, masks[start : start + CHUNK] = _paint(rows, size, int(options["clutter"]))
        pixels += options["noise"] * noise.standard_normal(pixels.shape, dtype=np.float32)
        images[start : start + CHUNK] = np.clip(pixels * 255 + 0.5, 0, 255).astype(np.uint8)
    return _dataset(name, images, masks, params)


def _options(query: str, name: str, table: Mapping[str, tuple[float, float, float]]) -> dict[str, float]:
    values = {key: default for key, (default, _, _) in table.items()}
    for key, text in parse_qsl(query, keep_blank_values=True):
        _, low, high = choose("option", key, table, DataError)
        try:
            values[key] = float(text)
        except ValueError as problem:
            raise DataError(f"{key}={text!r} is not a number", where=name, fix=f"write {key}=NUMBER") from problem
        if not low <= values[key] <= high:
            raise DataError(f"{key}={text} is not in {low:g} to {high:g}", where=name, fix=f"choose another {key}")
    return values


def _dataset(name: str, images: npt.NDArray[np.uint8], masks: npt.NDArray[np.bool_], params: Floats) -> Dataset:
    labels, angles = _labels(params), _angles(params)
    classes = tuple(SHAPES)
    mask = masks.astype(np.uint8) * (labels + 1).astype(np.uint8)[:, None, None]
    return Dataset(
        name="shapes",
        where=name,
        images=ArrayImages(images),
        ids=tuple(f"{index:06d}" for index in range(len(images))),
        targets={
            "label": Label(labels, classes),
            "angle": Angle(angles[:, None].astype(np.float32), ("angle",)),
            "box": Boxes.of(boxes_of(masks)[:, None], labels, classes, shares_labels=True),
            "mask": Mask(ArrayImages(mask[..., None]), ("background", *classes)),
        },
        splits={},
        channels=3,
        notes=("drawn, not photographed: a test bench, not a benchmark",),
    )


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


# One row of uniform numbers an image, so that image i does not depend on how many are drawn.
_SHAPE_PARAMS = 13
_CLUTTER_PARAMS = 9
_MAX_CLUTTER = int(OPTIONS["clutter"][2])


def _draw_params(n: int, seed: int) -> Floats:
    return rng_for(seed, "shapes").random((n, _SHAPE_PARAMS + _MAX_CLUTTER * _CLUTTER_PARAMS), dtype=np.float32)


def _labels(params: Floats) -> npt.NDArray[np.int64]:
    return np.minimum(np.floor(params[:, 12] * len(SHAPES)), len(SHAPES) - 1).astype(np.int64)


def _angles(params: Floats) -> Floats:
    return params[:, 0] * 360


def _column(values: Floats) -> Floats:
    return values[:, None, None]


def _paint(params: Floats, size: int, num_clutter: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return images (n, S, S, 3) in 0..1 and the masks of their shapes; coordinates run from -1 to 1, y upwards."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
    x, y = axis[None, None, :], -axis[None, :, None]
    edge = np.float32(size / 2)  # one pixel of soft edge
    picture = _background(params, x, y)
    for index in range(num_clutter):
        start = _SHAPE_PARAMS + index * _CLUTTER_PARAMS
        _paint_clutter(picture, params[:, start : start + _CLUTTER_PARAMS], x, y, edge)
    distance = _shape_distance(params, x, y)
    _blend(picture, np.clip(0.5 - distance * edge, 0, 1), _shape_colour(params))
    return picture, distance < 0


def _background(params: Floats, x: Floats, y: Floats) -> Floats:
    """Return a colour that changes along a random direction."""
    slope = _column(params[:, 1] - 0.5) * x + _column(params[:, 2] - 0.5) * y
    base = 0.1 + 0.35 * params[:, 3:6]
    return (base[:, None, None, :] + 0.3 * slope[..., None]).astype(np.float32)


def _paint_clutter(picture: Floats, params: Floats, x: Floats, y: Floats, edge: np.float32) -> None:
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
    _blend(picture, 0.6 * np.clip(0.5 - distance * edge, 0, 1), params[:, 6:9])


def _blend(picture: Floats, cover: Floats, colour: Floats) -> None:
    picture += cover[..., None] * (colour[:, None, None, :] - picture)


def _shape_colour(params: Floats) -> Floats:
    """Return a light colour: one that can be told from every background."""
    return (0.55 + 0.45 * params[:, 6:9]).astype(np.float32)


def _shape_distance(params: Floats, x: Floats, y: Floats) -> Floats:
    """Return the signed distance (about) to each image's shape, with its bite taken out."""
    radius = 0.45 + 0.3 * params[:, 9]
    reach = 1 - radius
    dx = x - _column((params[:, 10] * 2 - 1) * reach)
    dy = y - _column((params[:, 11] * 2 - 1) * reach)
    turn = np.deg2rad(_angles(params))
    u = (_column(np.cos(turn)) * dx + _column(np.sin(turn)) * dy) / _column(radius)  # u points to the bite
    v = (_column(np.cos(turn)) * dy - _column(np.sin(turn)) * dx) / _column(radius)
    distance = np.empty_like(u)
    labels = _labels(params)
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
    "square": (_polygon(4, 0.78), 0.74),
    "star": (_star, 0.78),
    "triangle": (_polygon(3, 0.55), 0.5),
}
