"""The same plan for what belongs to a picture: masks, boxes, points and angles follow the pixels exactly.

Points and boxes are in pixels from the outer corner: the left edge of the first pixel is 0, its centre 0.5.
"""

import cv2
import numpy as np
import numpy.typing as npt

from .geometric import Matrices
from .pipeline import Plan

Numbers = npt.NDArray[np.float32]


def move_masks(masks_u8: npt.NDArray[np.uint8], plan: Plan) -> npt.NDArray[np.uint8]:
    """Return (B, out, out) class masks for (B, in_px, in_px) ones: nearest pixel, mirrored like the picture."""
    size, flags = (plan.out_px, plan.out_px), cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    moved = [
        cv2.warpAffine(mask, affine, size, flags=flags, borderMode=cv2.BORDER_REFLECT)
        for mask, affine in zip(masks_u8, plan.affine, strict=True)
    ]
    return np.stack(moved)


def move_points(points: Numbers, plan: Plan) -> Numbers:
    """Return where (B, ..., 2) xy points of the stored squares come to lie; it may be outside the output."""
    matrix = forward(plan)
    lead = (len(plan),) + (1,) * (points.ndim - 2)
    linear, offset = matrix[:, :, :2].reshape(*lead, 2, 2), matrix[:, :, 2].reshape(*lead, 2)
    return ((linear @ points[..., None].astype(np.float64))[..., 0] + offset).astype(np.float32)


def move_boxes(boxes_xyxy: Numbers, plan: Plan) -> Numbers:
    """Return the upright hull of each moved (B, ..., 4) box, clipped to the output; one that left it has no area."""
    corners = boxes_xyxy[..., [[0, 1], [2, 1], [2, 3], [0, 3]]]  # (B, ..., 4, 2)
    moved = move_points(corners, plan)
    hull = np.concatenate([moved.min(-2), moved.max(-2)], axis=-1)
    return np.clip(hull, 0, plan.out_px)


def move_angles(angles_deg: Numbers, plan: Plan) -> Numbers:
    """Return the (B, ...) directions after the plan, in 0..360 degrees.

    An angle is measured anticlockwise, as seen on the screen, from the direction to the right; so a rotation adds to
    it, a left-right flip gives 180 - angle, and a shear or stretch bends it as it bends an arrow drawn there.
    """
    angle = np.deg2rad(angles_deg.astype(np.float64))
    arrow = np.stack([np.cos(angle), -np.sin(angle)], axis=-1)[..., None]  # y points down
    linear = forward(plan)[:, :, :2].reshape(len(plan), *(1,) * (angles_deg.ndim - 1), 2, 2)
    x, y = (linear @ arrow)[..., 0, 0], (linear @ arrow)[..., 1, 0]
    return np.mod(np.rad2deg(np.arctan2(-y, x)), 360).astype(np.float32)


def forward(plan: Plan) -> Matrices:
    """Return (B, 2, 3) from input to output coordinates, in pixels from the outer corner."""
    linear = np.linalg.inv(plan.affine[:, :, :2])
    # x_in - 0.5 = L (x_out - 0.5) + b, as a centre at 0 is 0.5 from the corner
    start = plan.affine[:, :, 2] + 0.5 - plan.affine[:, :, :2].sum(2) * 0.5
    return np.concatenate([linear, -linear @ start[:, :, None]], axis=2)
