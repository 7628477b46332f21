"""What a kind of detector must know of the objects beside their boxes."""

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.data.target import Boxes
from striate.data.target.points import UNKNOWN
from striate.model import zoo

from .reading import Reading


def refuse_unknown(reading: Reading, boxes: Boxes, train: npt.NDArray[np.intp], where: str) -> None:
    """Refuse training images without boxes, and what a detector learns of them but the data do not say.

    Raises:
        DataError: there is no box, masks or key points are not known, or no point is marked.
    """
    some = boxes.take(train)
    if not len(some.xyxy):
        raise DataError("the training images have no boxes", where=where, fix="choose another --target or data")
    if reading.has_masks and not boxes.extents:
        what = f"{reading.name} learns what objects cover, and that is not known of all"
        fix = f"give masks that number objects or COCO outlines, or use --model {zoo.FASTER_RCNN}"
        raise DataError(what, where=where, fix=fix)
    if reading.has_points and some.points is None:
        what = f"{reading.name} learns key points of objects, and the data have none"
        fix = f"give COCO key points, the same of every category, or use --model {zoo.FASTER_RCNN}"
        raise DataError(what, where=where, fix=fix)
    if reading.has_points and some.points is not None and not (some.points.visible > UNKNOWN).any():
        fix = f"mark some, or use --model {zoo.FASTER_RCNN}"
        raise DataError("no key point is marked in the training images", where=where, fix=fix)
