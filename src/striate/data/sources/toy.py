"""`toy:shapes`: drawn shapes on cluttered backgrounds, with a class, an angle, a box and a mask for each image.

Everything is a function of the options in the name: `toy:shapes?n=2000&size=48&seed=0&noise=0.08&clutter=8`.
Each shape has a bite taken out of its rim; `angle` is the direction of the bite from the middle of the shape, in
degrees counter-clockwise as one sees it: 0 right, 90 up, 180 left, 270 down. With `objects=1..6` there are several
shapes an image, see `toy_objects`; with `points=centre,bite` shapes have points too, see `toy_points`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import numpy as np
import numpy.typing as npt

from striate.base.choose import choose
from striate.base.errors import DataError
from striate.base.seeds import rng_for

from ..sample import Dataset
from ..target import Angle, Boxes, Label, Mask
from . import toy_digits, toy_objects, toy_points, toy_series
from .images import ArrayImages
from .toy_drawing import (
    MAX_CLUTTER,
    SHAPES,
    Floats,
    angles_of,
    boxes_of,
    draw_params,
    ground,
    labels_of,
    paint,
    usual_spots,
)

CHUNK = 256  # images drawn at once: the intermediate arrays stay in the cache

OPTIONS: dict[str, tuple[float, float, float]] = {  # default, lowest, highest
    "n": (2000, 10, 200_000),
    "size": (48, 16, 512),
    "seed": (0, 0, 2**31),
    "noise": (0.08, 0, 0.5),
    "clutter": (8, 0, MAX_CLUTTER),
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
    asked = dict(parse_qsl(query, keep_blank_values=True))
    points = asked.pop("points", None)
    kinds = () if points is None else toy_points.kinds_of(points, name)
    if (counts := asked.pop("objects", None)) is None:
        return _shapes(name, _options(urlencode(asked), name, OPTIONS), kinds)
    return toy_objects.make(
        name, _options(urlencode(asked), name, toy_objects.OPTIONS), toy_objects.count_range(counts, name), kinds
    )


def _shapes(name: str, options: Mapping[str, float], kinds: Sequence[str] = ()) -> Dataset:
    """Targets: "label" (5 classes), "angle" (degrees), "box" (xyxy pixels), "mask" (0 background, class + 1).

    Args:
        kinds: of points; the target "points" comes first where there are any.
    """
    n, size, seed = int(options["n"]), int(options["size"]), int(options["seed"])
    params = draw_params(n, seed)
    params, spots = toy_points.drawn(params, usual_spots(params), kinds)
    images = np.empty((n, size, size, 3), dtype=np.uint8)
    masks = np.empty((n, size, size), dtype=bool)
    noise = rng_for(seed, "shapes", "noise", size)
    for start in range(0, n, CHUNK):
        rows = params[start : start + CHUNK]
        pixels = ground(rows, size, int(options["clutter"]))
        masks[start : start + CHUNK] = paint(pixels, rows, spots[start : start + CHUNK])
        pixels += options["noise"] * noise.standard_normal(pixels.shape, dtype=np.float32)
        images[start : start + CHUNK] = np.clip(pixels * 255 + 0.5, 0, 255).astype(np.uint8)
    dataset = _dataset(name, images, masks, params)
    return toy_points.with_points(dataset, params, spots, kinds, size) if kinds else dataset


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
    labels, angles = labels_of(params), angles_of(params)
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
