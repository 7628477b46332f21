"""How well one box an image and its class are predicted. Rows of truth and values: class, x0, y0, x1, y1. N images."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .metric import SHARE, Answers, Array, Floats, Metric, column

MATCH = 0.5  # the IoU from which a box counts as right: VOC, and the localisation task of ILSVRC


def box_iou(truth_xyxy: npt.ArrayLike, predicted_xyxy: npt.ArrayLike) -> Floats:
    """Return the intersection over union (N,) of boxes (N, 4) pair by pair; 0 where neither has an area.

    Example:
        >>> box_iou([[0, 0, 2, 2]], [[1, 0, 3, 2]])
        array([0.33333333])
    """
    true, given = (np.asarray(boxes, dtype=np.float64) for boxes in (truth_xyxy, predicted_xyxy))
    low, high = np.maximum(true[:, :2], given[:, :2]), np.minimum(true[:, 2:], given[:, 2:])
    shared = _area(low, high)
    union = _area(true[:, :2], true[:, 2:]) + _area(given[:, :2], given[:, 2:]) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros(len(union)), where=union > 0))


def _area(low: Floats, high: Floats) -> Floats:
    return np.asarray(np.clip(high - low, 0, None).prod(1))


def _iou(answers: Answers) -> Array:
    return column(box_iou(answers.truth[:, 1:], answers.values[:, 1:]))


def _is_class_right(answers: Answers) -> Array:
    return column(answers.truth[:, 0] == answers.values[:, 0])


def _is_matched(answers: Answers) -> Array:
    return _iou(answers) >= MATCH


def _is_both(answers: Answers) -> Array:
    return _is_matched(answers) & _is_class_right(answers)


def _share(key: str, name: str, record: Callable[[Answers], Array]) -> Metric:
    return Metric(key, name, form="percent", possible=SHARE, record=record, interval="wilson", is_discrete=True)


BOX_IOU = Metric("box_iou", "mean IoU of boxes", form="percent", possible=SHARE, record=_iou)
CLASS_RIGHT = _share("accuracy", "accuracy", _is_class_right)
BOX_RIGHT = _share("box_right", "boxes right (IoU 0.5)", _is_matched)
BOTH_RIGHT = _share("both_right", "class and box right", _is_both)
