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

    def score_code(self, run: Run) -> str:
        """Return the share of images whose class is right and whose box overlaps the true one enough."""
        lines = (
            "answers = run.answers(SPLIT)  # rows: class, x0, y0, x1, y1",
            "true, given = answers.truth[:, 1:], answers.values[:, 1:]",
            "low, high = np.maximum(true[:, :2], given[:, :2]), np.minimum(true[:, 2:], given[:, 2:])",
            "both = (high - low).clip(0).prod(1)",
            "areas = [(box[:, 2:] - box[:, :2]).clip(0).prod(1) for box in (true, given)]",
            "iou = both / np.maximum(areas[0] + areas[1] - both, 1e-9)",
            "return np.mean((answers.truth[:, 0] == answers.values[:, 0]) & (iou >= 0.5))",
        )
        return "\n".join(lines) if run.metric.key == "both_right" else ""

    def look_code(self) -> tuple[str, str]:
        """Return a histogram of how much the boxes overlap the true ones."""
        about = "## Boxes\n\nHow much the boxes overlap the true ones (IoU): the best variant, then the baseline."
        lines = (
            "from matplotlib import pyplot as plt",
            "from striate.metric.box import box_iou",
            "",
            "answers = {run}.answers(SPLIT)",
            "plt.figure(figsize=(5, 3))",
            "plt.hist(box_iou(answers.truth[:, 1:], answers.values[:, 1:]), bins=np.linspace(0, 1, 21))",
            'plt.xlabel("IoU")',
            'plt.ylabel("images")',
            "plt.show()",
        )
        return about, "\n".join(lines)

    def caption(self, answers: Answers, row: int) -> str:
        """Return the classes and the overlap of the boxes."""
        truth, value = answers.table.truth[row], answers.table.values[row]
        overlap = float(box_iou(truth[None, 1:], value[None, 1:])[0])
        return f"is {answers.name(int(truth[0]))}, predicted {answers.name(int(value[0]))}; IoU {overlap:.2f}"
