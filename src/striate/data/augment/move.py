"""The same plan for what belongs to an image: masks, boxes, points and angles follow the pixels exactly.

Points and boxes are in pixels from the outer corner: the left edge of the first pixel is 0, its centre 0.5.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ..sample import ImageU8
from .apply import warp_by
from .operation import Matrices
from .plan import Plan
from .space import move_labels

Numbers = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]


def move_masks(masks_u8: Sequence[ImageU8] | npt.NDArray[np.uint8], plan: Plan) -> npt.NDArray[np.uint8]:
    """Return (B, *out_hw) class masks for (B, *in_hw) ones: nearest pixel, mirrored like the image; so of volumes."""
    if len(plan.out_hw) == 3:
        return move_labels(masks_u8, plan)
    size, flags = (plan.out_hw[1], plan.out_hw[0]), cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    moved = np.empty((len(plan), *plan.out_hw), np.uint8)
    for out, mask, matrix, is_copy in zip(moved, masks_u8, plan.warp, plan.is_copy.tolist(), strict=True):
        if is_copy:
            out[...] = mask
        else:
            warp_by(matrix, mask, size, out, flags)
    return moved


def move_points(points: Numbers, plan: Plan, rows: Rows | None = None) -> Numbers:
    """Return where (T, ..., 2) xy points of the stored squares come to lie; it may be outside the output.

    Args:
        rows: (T,) the row of the plan that each item belongs to; by default item i is of row i.
    """
    found = forward(plan) if rows is None else forward(plan)[rows]
    matrix = found.reshape(len(found), *(1,) * (points.ndim - 2), found.shape[1], 3)
    moved = (matrix[..., :2] @ points[..., None].astype(np.float64))[..., 0] + matrix[..., 2]
    return (moved if matrix.shape[-2] == 2 else moved[..., :2] / moved[..., 2:]).astype(np.float32)


def move_back(points: npt.NDArray[np.float64], plan: Plan, rows: Rows) -> npt.NDArray[np.float64]:
    """Return where (T, P, 2) xy points of the output lie in the stored squares, those of item i by row `rows[i]`."""
    matrix, places = plan.warp[rows], points.astype(np.float64) - 0.5
    moved = places @ matrix[:, :, :2].transpose(0, 2, 1) + matrix[:, None, :, 2]
    return np.asarray((moved if matrix.shape[1] == 2 else moved[..., :2] / moved[..., 2:]) + 0.5)


def clip_boxes(boxes_xyxy: Numbers, plan: Plan) -> Numbers:
    """Return the part of each (..., 4) box that lies in the output."""
    return np.clip(boxes_xyxy, 0, np.tile(np.array(plan.out_hw[::-1], np.float32), 2))


def move_hulls(boxes_xyxy: Numbers, plan: Plan, rows: Rows | None = None) -> Numbers:
    """Return the upright hull of each moved (T, ..., 4) box, beyond the output too.

    Args:
        rows: see `move_points`.
    """
    corners = boxes_xyxy[..., [[0, 1], [2, 1], [2, 3], [0, 3]]]  # (B, ..., 4, 2)
    moved = move_points(corners, plan, rows)
    return np.concatenate([moved.min(-2), moved.max(-2)], axis=-1)


def is_inside(points: Numbers, plan: Plan) -> npt.NDArray[np.bool_]:
    """Return which (..., 2) xy points lie in the output."""
    spots = np.concatenate([points, points], axis=-1)
    return np.asarray((clip_boxes(spots, plan) == spots).all(-1))


def is_mirrored(plan: Plan) -> npt.NDArray[np.bool_]:
    """Return for which images (B,) the plan swaps left and right, or above and below, but not both."""
    linear = plan.warp[:, :2, :2]
    return np.asarray(linear[:, 0, 0] * linear[:, 1, 1] < linear[:, 0, 1] * linear[:, 1, 0])


def move_angles(angles_deg: npt.NDArray[np.floating], plan: Plan) -> npt.NDArray[np.float64]:
    """Return the (B, ...) directions after the plan, in 0..360 degrees.

    An angle is measured anticlockwise, as seen on the screen, from the direction to the right; so a rotation adds to
    it, a left-right flip gives 180 - angle, and a shear or stretch bends it as it bends an arrow drawn there. Under
    perspective, where the bend depends on the place, the arrow stands at the image's centre.
    """
    angle = np.deg2rad(angles_deg.astype(np.float64))
    arrow = np.stack([np.cos(angle), -np.sin(angle)], axis=-1)[..., None]  # y points down
    linear = _at_centre(plan).reshape(len(plan), *(1,) * (angles_deg.ndim - 1), 2, 2)
    x, y = (linear @ arrow)[..., 0, 0], (linear @ arrow)[..., 1, 0]
    return np.asarray(np.mod(np.rad2deg(np.arctan2(-y, x)), 360))


def forward(plan: Plan) -> Matrices:
    """Return (B, 2, 3) or (B, 3, 3), from input to output coordinates, in pixels from the outer corner."""
    if plan.warp.shape[1] == 3:
        to_corner = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        return np.asarray(to_corner @ np.linalg.inv(plan.warp) @ np.linalg.inv(to_corner))
    linear = np.linalg.inv(plan.warp[:, :, :2])
    # x_in - 0.5 = L (x_out - 0.5) + b, as a centre at 0 is 0.5 from the corner
    start = plan.warp[:, :, 2] + 0.5 - plan.warp[:, :, :2].sum(2) * 0.5
    return np.concatenate([linear, -linear @ start[:, :, None]], axis=2)


def _at_centre(plan: Plan) -> Matrices:
    """Derivative (B, 2, 2) of the output place by the input place, at the centre of the input."""
    matrix = forward(plan)
    if matrix.shape[1] == 2:
        return matrix[:, :, :2]
    x, y, depth = (matrix @ np.array([plan.in_hw[1] / 2, plan.in_hw[0] / 2, 1])).T
    place = np.stack([x, y], axis=1) / depth[:, None]
    return np.asarray((matrix[:, :2, :2] - place[:, :, None] * matrix[:, 2:, :2]) / depth[:, None, None])
