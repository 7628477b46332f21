"""True and predicted points on an image."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from striate.data.geometry import Geometry
from striate.data.target.palette import colour_of, line_px

TRUE_COLOUR = (0, 200, 0)
SHOWN_PX = 160  # of a thumbnail's longer side, at least half of it
SHIFT = 4  # bits of a pixel's part: places are drawn between pixels


def draw(
    image_u8: npt.NDArray[np.uint8],
    truth: npt.NDArray[np.floating] | None,
    values: npt.NDArray[np.floating] | None,
) -> npt.NDArray[np.uint8]:
    """Return an image (H, W, 3) with points (K, 2) in its pixels: the true ones as green rings, the predicted ones as
    discs in the points' colours, and a line from each to the true one; nan where that is not known.
    """
    drawn = np.repeat(image_u8, 3, axis=2) if image_u8.shape[2] == 1 else image_u8[:, :, :3].copy()
    width = line_px(drawn)
    for point, place in enumerate(() if values is None else values):
        colour = colour_of(point)
        if truth is not None and not np.isnan(truth[point]).any():
            cv2.line(drawn, _whole(place), _whole(truth[point]), colour, width, shift=SHIFT)
        cv2.circle(drawn, _whole(place), 2 * width << SHIFT, colour, -1, shift=SHIFT)
    for place in () if truth is None else truth[~np.isnan(truth).any(1)]:
        cv2.circle(drawn, _whole(place), 3 * width << SHIFT, TRUE_COLOUR, width, shift=SHIFT)
    return drawn


def draw_on_thumbnail(
    image_u8: npt.NDArray[np.uint8],
    truth: npt.NDArray[np.floating] | None,
    values: npt.NDArray[np.floating] | None,
    document: Mapping[str, Any],
    size_hw: Sequence[float],
) -> npt.NDArray[np.uint8]:
    """Return a run's thumbnail of an image (H, W, 3) with points (K, 2) in the image's own pixels, see `draw`.

    A small one is enlarged, so that points do not hide it.

    Args:
        document: of the run's input.
        size_hw: height and width of the image.
    """
    times = max(1, SHOWN_PX // max(image_u8.shape[:2]))
    image_u8 = image_u8.repeat(times, 0).repeat(times, 1)
    geometry = Geometry.from_json(document)
    matrix = geometry.matrix(int(size_hw[0]), int(size_hw[1]))
    scale = np.array([image_u8.shape[1] / geometry.store_hw[1], image_u8.shape[0] / geometry.store_hw[0]])
    moved = (None if xy is None else (xy * matrix[[0, 1], [0, 1]] + matrix[:, 2]) * scale for xy in (truth, values))
    return draw(image_u8, *moved)


def _whole(place: npt.NDArray[np.floating]) -> tuple[int, int]:
    """A place from the outer corner as OpenCV wants it: from the middle of the first pixel, in parts of a pixel."""
    x, y = np.rint((np.asarray(place, np.float64) - 0.5) * (1 << SHIFT)).astype(int).tolist()
    return x, y
