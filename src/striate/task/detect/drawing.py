"""True and predicted boxes on an image."""

import cv2
import numpy as np
import numpy.typing as npt

from striate.data.target.palette import colour_of, line_px

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


def rectangle(
    image_u8: npt.NDArray[np.uint8], xyxy: npt.NDArray[np.float32], colour: tuple[int, int, int], width: int
) -> None:
    """Draw a box of pixels from the outer corner into an image."""
    left, top, right, bottom = np.rint(xyxy).astype(int).tolist()
    cv2.rectangle(image_u8, (left, top), (right - 1, bottom - 1), colour, width)
