"""True and predicted boxes on an image."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from striate.data.geometry import Geometry
from striate.data.target.palette import colour_of, cover, line_px, spot

TRUE_COLOUR = (0, 200, 0)


def draw(
    image_u8: npt.NDArray[np.uint8],
    truth: npt.NDArray[np.float32],
    values: npt.NDArray[np.float32],
    threshold: float,
) -> npt.NDArray[np.uint8]:
    """Return an image (H, W, 3) with the true boxes (T, 7) in green and those predicted (M, 6), by colour of class.

    Of the predicted ones those are drawn whose score is not below the threshold.
    """
    drawn = np.repeat(image_u8, 3, axis=2) if image_u8.shape[2] == 1 else image_u8[:, :, :3].copy()
    width = line_px(drawn)
    for row in truth[~np.isnan(truth[:, 0])]:
        rectangle(drawn, row[1:5], TRUE_COLOUR, width)
    for row in values[values[:, 1] >= threshold]:
        rectangle(drawn, row[2:], colour_of(int(row[0])), width)
    return drawn


def draw_on_thumbnail(
    image_u8: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.floating],
    document: Mapping[str, Any],
    size_hw: Sequence[float],
    masks: Sequence[npt.NDArray[np.bool_]] = (),
    points: Sequence[npt.NDArray[np.floating]] = (),
) -> npt.NDArray[np.uint8]:
    """Return a run's thumbnail of an image (H, W, 3) with boxes (B, 5), class and sides in the image's own pixels.

    Args:
        document: of the run's input.
        size_hw: height and width of the image.
        masks: of the boxes, (height, width) each; none where they have none.
        points: of the boxes, (K, 2) each in the image's own pixels, nan where one is not marked; each has its colour.
    """
    geometry = Geometry.from_json(document)
    matrix = geometry.matrix(int(size_hw[0]), int(size_hw[1]))
    scale = image_u8.shape[1] / geometry.store_hw[1], image_u8.shape[0] / geometry.store_hw[0]
    drawn, width = image_u8[:, :, :3].copy(), max(1, line_px(image_u8) // 2)
    own = matrix * np.array(scale)[:, None]
    own[:, 2] += (own[[0, 1], [0, 1]] - 1) / 2  # of the middles of pixels
    for mask, label in zip(masks, rows[:, 0].tolist(), strict=False):
        moved = cv2.warpAffine(mask.view(np.uint8), own, image_u8.shape[1::-1], flags=cv2.INTER_NEAREST)
        cover(drawn, moved.astype(bool), colour_of(int(label)))
    for label, *sides in rows.tolist():
        corners = np.array(sides).reshape(2, 2) * matrix[[0, 1], [0, 1]] + matrix[:, 2]
        rectangle(drawn, (corners * scale).ravel(), colour_of(int(label)), width)
    for places in points:
        spots = (places * matrix[[0, 1], [0, 1]] + matrix[:, 2]) * scale
        for point in np.flatnonzero(~np.isnan(spots[:, 0])).tolist():
            spot(drawn, spots[point].tolist(), colour_of(point), width)
    return drawn


def rectangle(
    image_u8: npt.NDArray[np.uint8], xyxy: npt.NDArray[np.floating], colour: tuple[int, int, int], width: int
) -> None:
    """Draw a box of pixels from the outer corner into an image."""
    left, top, right, bottom = np.rint(xyxy).astype(int).tolist()
    cv2.rectangle(image_u8, (left, top), (right - 1, bottom - 1), colour, width)
