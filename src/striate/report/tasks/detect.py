"""Objects and their boxes: the hardest images, the classes, precision and recall, where AP is lost, the counts."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from striate.base.numbers import count, number, significant
from striate.base.runs import Bits
from striate.base.text import plural
from striate.metric import by_key
from striate.metric.box_ap import mask_metrics, point_metrics
from striate.metric.box_errors import ERRORS, confusion
from striate.metric.box_matches import recorder
from striate.metric.box_table import curve, num_detected, num_objects
from striate.metric.mask_matches import MASKS, TRUE_MASKS, masks_of
from striate.metric.point_matches import POINTS, SIGMA, TRUE_POINTS
from striate.predict.overlay import colours_of
from striate.report.answers import Answers, Given, illustrated, mean_loss, with_thumbnails_first
from striate.report.charts_boxes import MAX_LINES, precision_recall
from striate.report.class_table import class_table
from striate.report.read import Run, at
from striate.report.templates import piece
from striate.report.thumbnails import EmbeddedImage
from striate.task.detect.drawing import draw_on_thumbnail

from .sections import Room, Section, Sections, Subject
from .segment import Strip

TEMPLATE = "tasks/detect.html"
Places = npt.NDArray[np.floating]
NUM_HARDEST, NUM_OF_STUDY, NUM_BRIEF = 12, 6, 3
HEADS = ("truth", "prediction")
FIGURES = ("ap", "ap50", "recall", "precision", "f1")
MAX_CLASSES = 40  # of a matrix on a page
MEANINGS = {
    "class": "the object is there, its class is another",
    "place": "the class is right, the box overlaps by IoU 0.1 to 0.5 only",
    "both": "another class, and a box that overlaps too little",
    "doubled": "another box has the object already",
    "background": "there is no object",
    "missed": "an object that no box is on",
}


class DetectSections(Sections):
    """The sections of detection."""

    def figures(self, run: Run) -> Sequence[str]:
        """Return AP at one overlap, by the objects' size, the recall, the error of counts, and the loss."""
        more = [metric.key for metric in mask_metrics(1)] if at(run.info, "task.has_masks", False) else []
        more += [metric.key for metric in point_metrics(1, (SIGMA,))] if at(run.info, "task.point_names", []) else []
        return ("ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar", *more, "count_error", "loss")

    def score_code(self, run: Run) -> str:
        """Return the score that chose the epoch, AP, by the task's own metric: matching boxes takes a page."""
        lines = (
            "from striate.task import from_json",
            "",
            "metrics = {one.key: one for one in from_json(run.info['task']).metrics}",
            "answers = run.answers(SPLIT)  # boxes of each image, found and true",
            f"return metrics[{run.metric.key!r}].score(metrics[{run.metric.key!r}].records(answers))",
        )
        return "\n".join(lines)

    def look_code(self) -> tuple[str, str]:
        """Return precision against recall of each class."""
        about = "## Precision and recall\n\nOf each class at IoU 0.5: the best variant, then the baseline."
        lines = (
            "from matplotlib import pyplot as plt",
            "from striate.metric.box_matches import recorder",
            "from striate.metric.box_table import curve",
            "",
            "answers = {run}.answers(SPLIT)",
            "records = recorder(len(answers.names))(answers)",
            "plt.figure(figsize=(5, 4))",
            "for label, name in enumerate(answers.names):",
            "    if found := curve(records, label, len(answers.names)):  # None of a class without objects",
            '        plt.plot(found["recall"], found["precision"], label=name)',
            'plt.xlabel("recall")',
            'plt.ylabel("precision")',
            "plt.legend()",
            "plt.show()",
        )
        return about, "\n".join(lines)

    def curves(self, monitor: str) -> Sequence[str]:
        """Return the loss, the score that chose the epoch, and AP at IoU 0.5."""
        return ("loss", monitor, "ap50")

    def learned(self, run: Run) -> str:
        """Return the number of classes."""
        return f"to find objects of {plural(len(run.names), 'class', 'classes')}"

    def result(self, run: Run, scores: Mapping[str, Any], where: str) -> list[str]:
        """Return AP, AP50, and the threshold of scores."""
        ap, half = (by_key(key).text(scores.get(key)) for key in ("ap", "ap50"))
        said = [f"On {where} AP is {ap} (mean over overlaps, IoU, from 0.5 to 0.95), and {half} at IoU 0.5."]
        if number(scores.get("mask_ap")) is not None:
            mask_ap, mask_half = (by_key(key).text(scores.get(key)) for key in ("mask_ap", "mask_ap50"))
            said.append(f"Of what the objects cover (masks), AP is {mask_ap}, and {mask_half} at IoU 0.5.")
        if number(scores.get("points_ap")) is not None:
            point_ap, point_half = (by_key(key).text(scores.get(key)) for key in ("points_ap", "points_ap50"))
            said.append(
                f"Of the key points, AP is {point_ap} (over their similarity, OKS), and {point_half} at OKS 0.5."
            )
        error = by_key("count_error").text(scores.get("count_error"))
        said.append(
            f"Boxes that score {_threshold(run)} or more are shown, which has the best F1 on validation images; "
            f"counts of a class then err by {error} an image."
        )
        return said

    def inside(self, subject: Subject) -> list[Section]:
        """Return the hardest images, the classes, curves, errors, confusions and counts."""
        if not subject.answers:
            return super().inside(subject)
        first, names = subject.answers[0], subject.names
        threshold = _threshold(subject.runs[0])
        bodies = {
            "images": _images(subject, NUM_OF_STUDY if subject.name else NUM_HARDEST),
            "classes": piece(TEMPLATE, "classes", subject, _classes(subject), threshold),
            "curves": piece(TEMPLATE, "curves", subject, _curves(first, names, subject.name), len(names) - MAX_LINES
                            if len(names) > MAX_LINES else 0),
            "errors": piece(TEMPLATE, "errors", subject, *_errors(subject)),
            "confusion": piece(TEMPLATE, "confusion", subject, _matrix(subject), threshold),
            "counts": piece(TEMPLATE, "counts", subject, _counts(first, names)),
        }  # fmt: skip
        heads = {
            "images": ("Hardest images", f"Images with the largest loss{subject.of_whom}"),
            "classes": ("Classes", "Class by class"),
            "curves": ("Precision and recall", "Precision against recall"),
            "errors": ("Errors", "Where AP is lost"),
            "confusion": ("Confusions", "Which classes are taken for which, and for background"),
            "counts": ("Counts", "How many of each class"),
        }
        return [Section(id_, *heads[id_], body) for id_, body in bodies.items()]

    def brief(self, subject: Subject, room: Room) -> Markup:
        """Return the classes, and the hardest images as far as there is room."""
        table = piece(TEMPLATE, "classes", subject, _classes(subject), _threshold(subject.runs[0]))
        num = min(NUM_BRIEF, room.num_images // len(HEADS))
        return table + (_images(subject, num) if num and subject.answers else Markup())

    def caption(self, answers: Answers, row: int) -> str:
        """Return how many objects there are and how many are found."""
        true, given = _rows(answers, row)
        return f"{plural(len(true), 'object')}, {len(given)} found"

    def draw(self, answers: Answers, row: int, image_u8: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return an image (H, W, 3) with the predicted boxes on it."""
        return _drawn(answers, row, 1, image_u8)


def _threshold(run: Run) -> str:
    return significant(float(at(run.info, "task.threshold", 0.0)))


def _rows(answers: Answers, row: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The true boxes (T, 7) of an image, and those predicted (M, 6) that score enough."""
    true, given = answers.table.truth[row], answers.table.values[row]
    threshold = float(at(answers.run.info, "task.threshold", 0.0))
    return true[~np.isnan(true[:, 0])], given[given[:, 1] >= threshold]


def _drawn(answers: Answers, row: int, which: int, image_u8: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """An image with its true (0) or its predicted boxes (1)."""
    boxes = _rows(answers, row)[which]
    label_and_box = boxes[:, [0, -4, -3, -2, -1]] if which else boxes[:, :5]
    size_hw = answers.table.records.get("size_hw")
    if size_hw is None:
        return image_u8
    masks, points = _masks(answers, row, which, size_hw[row]), _points(answers, row, which)
    return draw_on_thumbnail(image_u8, label_and_box, answers.run.info["input"], size_hw[row], masks, points)


def _masks(answers: Answers, row: int, which: int, size_hw: npt.NDArray[Any]) -> list[Bits]:
    """The masks of an image's true (0) or predicted objects (1) that are shown; none where they are not known."""
    texts = answers.table.records.get((TRUE_MASKS, MASKS)[which])
    if texts is None or texts[row] is None:
        return []
    num = len(_rows(answers, row)[which])  # by falling score: the first ones
    return masks_of(" ".join(texts[row].split()[:num]), tuple(int(side) for side in size_hw))


def _points(answers: Answers, row: int, which: int) -> list[Places]:
    """The key points of an image's true (0) or predicted objects (1) that are shown; none where they are not known."""
    texts = answers.table.records.get((TRUE_POINTS, POINTS)[which])
    if texts is None or texts[row] is None:
        return []
    rows = json.loads(texts[row])[: len(_rows(answers, row)[which])]  # by falling score: the first ones
    tables = [np.array(one if which else one[1:]).reshape(-1, 3) for one in rows]
    return [table[:, :2] if which else np.where(table[:, 2:] > 0, table[:, :2], np.nan) for table in tables]


def _images(subject: Subject, num: int) -> Markup:
    order = sorted(subject.by_image.values(), key=lambda given: (-mean_loss(given), given[0][0].table.ids[given[0][1]]))
    shown = with_thumbnails_first(order, subject.thumbnails)[:num]
    groups = [("", [_strip(subject, given) for given in shown])]
    colours = colours_of(subject.names)
    legend = [(name, "#{:02x}{:02x}{:02x}".format(*colours[k])) for k, name in enumerate(subject.names)]
    return piece(TEMPLATE, "images", subject, groups, legend, HEADS, _threshold(subject.runs[0]))


def _strip(subject: Subject, given: Sequence[Given]) -> Strip:
    answers, row = illustrated(given, subject.thumbnails)
    id_, images = answers.table.ids[row], list[EmbeddedImage | None]()
    for which in range(len(HEADS)):
        draw = partial(_drawn, answers, row, which)
        images.append(subject.thumbnails.take(answers.run.folder, answers.split, id_, draw))
    true, found = _rows(answers, row)
    loss = by_key("loss").text(mean_loss(given))
    return Strip(id_, [f"loss {loss}", f"{plural(len(true), 'object')}, {len(found)} found"], images)


def _classes(subject: Subject) -> dict[str, Any] | None:
    """The table of classes, means over the runs."""
    tables = [at(scores, "per_class", []) for scores in subject.scores]
    rows = []
    for name in subject.names:
        same = [row for table in tables for row in table if isinstance(row, Mapping) and row.get("name") == name]
        figures = {key: [value for row in same if (value := number(row.get(key))) is not None] for key in FIGURES}
        means = {key: fmean(values) if values else None for key, values in figures.items()}
        rows.append({"name": name, "support": same[0].get("objects") if same else None} | means)
    return class_table(rows, FIGURES) if any(tables) else None


def _curves(answers: Answers, names: Sequence[str], prefix: str) -> Markup | None:
    records = recorder(len(names))(answers.table)
    found = {name: curve(records, k, len(names)) for k, name in enumerate(names[:MAX_LINES])}
    lines = {name: (one["recall"], one["precision"]) for name, one in found.items() if one}
    return precision_recall(lines, "precision-recall" + (f"-{prefix}" if prefix else ""))


def _errors(subject: Subject) -> tuple[list[dict[str, Any]], str]:
    """What each kind of error costs, means over the runs, and AP50."""
    percent, found = by_key("ap50").typeset(), [at(scores, "errors", {}) for scores in subject.scores]
    rows = []
    for name in ERRORS:
        costs = [value for one in found if (value := number(at(one, f"costs.{name}"))) is not None]
        counts = [value for one in found if (value := number(at(one, f"counts.{name}"))) is not None]
        if costs:
            cost = fmean(costs)
            rows.append(
                {"name": name, "cost": percent.amount(cost), "bar": 100 * cost, "count": count(round(fmean(counts))),
                 "text": MEANINGS[name]}
            )  # fmt: skip
    ap50 = [value for one in found if (value := number(at(one, "costs.ap50"))) is not None]
    return rows, percent.text(fmean(ap50)) if ap50 else "n/a"


def _matrix(subject: Subject) -> dict[str, Any] | None:
    names = [*subject.names, "background"]
    if len(names) > MAX_CLASSES:
        return None
    tables = (
        confusion(one.table, len(subject.names), float(at(one.run.info, "task.threshold", 0.0)))
        for one in subject.answers
    )
    counts = np.sum(list(tables), axis=0)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    cells = [
        [
            (count(int(num)) if num else "", max(1, round(10 * share**0.5)) if num else 0, i == k)
            for k, (num, share) in enumerate(zip(row, of_row, strict=True))
        ]
        for i, (row, of_row) in enumerate(zip(counts.tolist(), shares.tolist(), strict=True))
    ]
    return {"names": names, "rows": list(zip(names, cells, strict=True))}


def _counts(answers: Answers, names: Sequence[str]) -> list[tuple[str, list[str]]]:
    threshold, num = float(at(answers.run.info, "task.threshold", 0.0)), len(names)
    true, found = num_objects(answers.table, num), num_detected(answers.table, num, threshold)
    error, right = np.abs(true - found), (true == found).mean(0)
    return [
        (name, [*(f"{column[:, k].mean():.2f}" for column in (true, found, error)), f"{right[k]:.0%}"])
        for k, name in enumerate(names)
    ]
