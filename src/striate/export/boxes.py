"""Boxes of an exported detector: its graph ends in candidates, and numpy leaves out those that overlap."""

from typing import Any

import numpy as np
import numpy.typing as npt

from striate.task import Task
from striate.task.detect.head import Detector

from .contract import MOST, Agreement, Answers

NAMES = ("boxes", "scores", "labels")  # the outputs of a detector's file
LEAST_SCORE = 0.05  # of boxes that must be the same: below, one more or less is rounding at the cut
SLACK = 1.02  # the other's cut lies this much lower, so that a box at the cut is not missed


def is_dense(task: Task) -> bool:
    """Whether a graph can give all candidates of a detector at once, from the images alone.

    Example:
        >>> from striate.task.classify import Classify
        >>> is_dense(Classify("label", ("cat", "dog")))
        False
    """
    head = task.head
    if not isinstance(head, Detector):
        return False
    reading = head.reading
    return not (reading.is_given_regions or reading.has_masks or reading.has_points)


def settings_of(task: Task) -> dict[str, Any]:
    """Return what config.json says of how candidates become boxes; nothing where there are none."""
    head = task.head
    if not isinstance(head, Detector):
        return {}
    settings: Any = task
    nms = settings.settings.nms if head.reading.suppresses else 1.0
    found = {"nms": nms, "max_boxes": settings.settings.max_boxes, "threshold": settings.threshold}
    return {"detection": found}


def suppress(
    boxes: npt.NDArray[Any], scores: npt.NDArray[Any], labels: npt.NDArray[Any], nms: float, most: int
) -> npt.NDArray[Any]:
    """Return rows (M, 6) of label, score and box by falling score, of one class none overlaps a surer one by more.

    Args:
        boxes: (Q, 4) xyxy of candidates; scores (Q,), labels (Q,).
        nms: the IoU that is still allowed.
        most: rows at most.
    """
    rows: list[list[float]] = []
    area = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1)
    order = [index for index in np.argsort(-scores, kind="stable") if scores[index] > 0]
    while order and len(rows) < most:
        first = order.pop(0)
        rows.append([labels[first], scores[first], *boxes[first]])
        rest = np.array(order, int)
        low, high = np.maximum(boxes[rest, :2], boxes[first, :2]), np.minimum(boxes[rest, 2:], boxes[first, 2:])
        both = (high - low).clip(0).prod(1)
        iou = both / np.maximum(area[rest] + area[first] - both, 1e-9)
        order = rest[(iou <= nms) | (labels[rest] != labels[first])].tolist()
    return np.array(rows, np.float32).reshape(-1, 6)


def rows_of(task: Task, outputs: Answers) -> Answers:
    """Return the outputs of a file as the run's answers are laid out: those of a detector as one table of rows."""
    if not is_dense(task):
        return outputs
    found = settings_of(task)["detection"]
    boxes, scores, labels = outputs
    ways = zip(boxes, scores, labels, strict=True)
    images = [suppress(*one, nms=found["nms"], most=found["max_boxes"]) for one in ways]
    rows = np.full((len(images), found["max_boxes"], 6), np.nan, np.float32)
    for row, boxes in zip(rows, images, strict=True):
        row[: len(boxes)] = boxes
    return [rows]


def compare_boxes(wanted: Answers, given: Answers) -> Agreement:
    """Return how the boxes (N, M, 6) of two answers agree: of each there must be one of its class and place.

    `equal` is the share of images whose boxes are the same; `difference` is of scores, and of sides as a share of the
    largest one.
    """
    size = max(1.0, float(np.nanmax(np.abs(wanted[0][:, :, 2:]), initial=0)))
    gaps = [
        max(_gap(mine, other, size), _gap(other, mine, size)) for mine, other in zip(wanted[0], given[0], strict=True)
    ]
    return Agreement(len(gaps), max(gaps), float(np.mean([gap <= MOST for gap in gaps])))


def _gap(mine: npt.NDArray[Any], other: npt.NDArray[Any], size: float) -> float:
    """The largest distance of a box to the nearest one of its class in the other image's.

    A network that is sure of nothing is held to its best box: the others' order is rounding.
    """
    scale = np.array([1, *(1 / size,) * 4])
    least = min(LEAST_SCORE, float(np.nanmax(mine[:, 1], initial=0)) / SLACK)
    sure, rest = mine[mine[:, 1] >= least * SLACK], other[other[:, 1] >= least]
    if not len(sure):
        return 0.0
    if not len(rest):
        return float("inf")
    gaps = (np.abs(sure[:, None, 1:] - rest[None, :, 1:]) * scale).max(2)
    return float(np.where(sure[:, None, 0] == rest[None, :, 0], gaps, np.inf).min(1).max())
