"""One object an image: how often its class and its box are right, and the images on which they are least."""

from collections.abc import Mapping, Sequence
from typing import Any

from striate.metric import by_key
from striate.metric.box import box_iou
from striate.report.answers import Answers
from striate.report.read import Run

from .sections import Sections


class LocaliseSections(Sections):
    """The sections of localisation; the general ones draw both boxes."""

    def figures(self, run: Run) -> Sequence[str]:
        """Return the parts of the headline's score, and the loss."""
        return ("accuracy", "box_right", "box_iou", "loss")

    def learned(self, run: Run) -> str:
        """Return what the network learned."""
        classes = ", ".join([*run.names[:3], *(["..."] if len(run.names) > 3 else [])])
        return f"to find one object an image and to tell its class ({classes})"

    def result(self, run: Run, scores: Mapping[str, Any], where: str) -> list[str]:
        """Return how often both are right, and each of them."""
        both, label, box = (by_key(key).text(scores.get(key)) for key in ("both_right", "accuracy", "box_right"))
        return [
            f"On {where} class and box are both right in {both}; the class in {label}, the box in {box} "
            "(an overlap, IoU, of at least 0.5)."
        ]

    def caption(self, answers: Answers, row: int) -> str:
        """Return the classes and the overlap of the boxes."""
        truth, value = answers.table.truth[row], answers.table.values[row]
        overlap = float(box_iou(truth[None, 1:], value[None, 1:])[0])
        return f"is {answers.name(int(truth[0]))}, predicted {answers.name(int(value[0]))}; IoU {overlap:.2f}"
