"""Named points: the best, median and worst images with the points on them, and the error of each point."""

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from striate.base.numbers import count, number
from striate.base.text import plural
from striate.metric import by_key
from striate.metric.points import TOLERANCE, distances
from striate.predict.overlay import colours_of
from striate.report.answers import Answers, Given, illustrated, with_thumbnails_first
from striate.report.pool import mean_rows
from striate.report.read import Run, at
from striate.report.templates import piece
from striate.task.points.drawing import draw_on_thumbnail

from .sections import Room, Section, Sections, Subject

TEMPLATE = "tasks/points.html"
NUM_EACH, NUM_OF_STUDY = 8, 4  # images that are best, as many median and worst
FIGURES = ("point_error", "pck")
OF = {"image": "the image's longer side", "points": "the longer side of the box around the true points"}


class PointsSections(Sections):
    """The sections of points."""

    def figures(self, run: Run) -> Sequence[str]:
        """Return the share of points that are near enough, and the loss."""
        return ("pck", "loss")

    def curves(self, monitor: str) -> Sequence[str]:
        """Return the loss, the error that chose the epoch and the share of points that are near enough."""
        return ("loss", monitor, "pck")

    def learned(self, run: Run) -> str:
        """Return the number of points."""
        named = ", ".join([*run.names[:3], *(["..."] if len(run.names) > 3 else [])])
        return f"to place {plural(len(run.names), 'point')} ({named})"

    def result(self, run: Run, scores: Mapping[str, Any], where: str) -> list[str]:
        """Return the error, PCK and its tolerance, and what the points' mean places score."""
        error, near = (by_key(key).text(scores.get(key)) for key in FIGURES)
        said = [f"On {where} a point is off by {error} of the image on average; {near} are within {_tolerance(run)}."]
        if (value := number(at(scores, "constant.point_error"))) is not None:
            said.append(f"The points' mean places, the same for every image, are off by {run.metric.text(value)}.")
        return said

    def chance(self, run: Run) -> dict[str, float]:
        """Return the score of the points' mean places."""
        scores = run.scores.get(run.reported_split or "", {})
        value = number(at(scores, f"constant.{run.metric.key}"))
        return {} if value is None else {"mean places": value}

    def score_code(self, run: Run) -> str:
        """Return the mean distance of the points that are marked."""
        if run.metric.key != "point_error":
            return ""
        lines = (
            "answers = run.answers(SPLIT)",
            "return np.nanmean(np.linalg.norm(answers.values - answers.truth, axis=2))",
        )
        return "\n".join(lines)

    def look_code(self) -> tuple[str, str]:
        """Return a plot of how far each point is off."""
        about = "## Errors\n\nHow far the best variant's points are off in each image, and the baseline's, in pixels."
        lines = (
            "from matplotlib import pyplot as plt",
            "",
            "answers = {run}.answers(SPLIT)",
            "off = np.linalg.norm(answers.values - answers.truth, axis=2)",
            "plt.boxplot([one[~np.isnan(one)] for one in off.T])",
            'plt.xlabel("point")',
            'plt.ylabel("off by, px")',
            "plt.show()",
        )
        return about, "\n".join(lines)

    def inside(self, subject: Subject) -> list[Section]:
        """Return the best, median and worst images, and the error of each point."""
        if not subject.answers:
            return super().inside(subject)
        images = _images(subject, NUM_OF_STUDY if subject.name else NUM_EACH)
        return [
            Section("images", "Images", f"Best, median and worst images{subject.of_whom}", images),
            Section("points", "Points", "Point by point", _per_point(subject)),
        ]

    def brief(self, subject: Subject, room: Room) -> Markup:
        """Return the error of each point, and the worst images as far as there is room."""
        table = _per_point(subject)
        num = min(NUM_OF_STUDY, room.num_images)
        worst = [(title, some) for title, some in _groups(subject, num) if title == "Worst"] if num else []
        return table + (piece(TEMPLATE, "images", subject, worst, _legend(subject)) if worst else Markup())

    def caption(self, answers: Answers, row: int) -> str:
        """Return the mean error of an image's points."""
        off = distances(answers.table.truth[row], answers.table.values[row])
        known = off[~np.isnan(off)]
        if not len(known):
            return "no point is marked"
        return f"off by {by_key('point_error').typeset().text(float(known.mean()))}"

    def draw(self, answers: Answers, row: int, image_u8: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return an image (H, W, 3) with its true points as rings and the predicted ones as discs."""
        table = answers.table
        size_hw = table.records["size_hw"][row]
        return draw_on_thumbnail(image_u8, table.truth[row], table.values[row], answers.run.info["input"], size_hw)


def _tolerance(run: Run) -> str:
    of = OF.get(str(at(run.info, "task.tolerance_of")), OF["image"])
    return f"{100 * float(at(run.info, 'task.tolerance', TOLERANCE)):.3g}% of {of}"


def _legend(subject: Subject) -> list[tuple[str, str]]:
    colours = colours_of(subject.names)
    return [(name, "#{:02x}{:02x}{:02x}".format(*colours[at])) for at, name in enumerate(subject.names)]


def _off(given: Sequence[Given]) -> float:
    """The mean error of an image's points over the runs; nan where none is marked."""
    off = np.concatenate([distances(one.table.truth[row], one.table.values[row]) for one, row in given])
    known = off[~np.isnan(off)]
    return float(known.mean()) if len(known) else float("nan")


def _groups(subject: Subject, num: int) -> list[tuple[str, list[Any]]]:
    """The best, the median and the worst images, of those with a thumbnail if there are any."""
    shown = with_thumbnails_first(list(subject.by_image.values()), subject.thumbnails)
    scored = sorted(
        ((off, given) for given in shown if np.isfinite(off := _off(given))),
        key=lambda one: (one[0], one[1][0][0].table.ids[one[1][0][1]]),
    )
    ranked = [given for _, given in scored]
    if len(ranked) < 3 * num:
        return [("All", _shots(subject, ranked))]
    middle = (len(ranked) - num) // 2
    parts = {"Best": ranked[:num], "Median": ranked[middle : middle + num], "Worst": ranked[-num:]}
    return [(title, _shots(subject, some)) for title, some in parts.items()]


def _shots(subject: Subject, ranked: Sequence[Sequence[Given]]) -> list[dict[str, Any]]:
    shots = []
    for given in ranked:
        answers, row = illustrated(given, subject.thumbnails)
        id_ = answers.table.ids[row]
        draw = partial(subject.sections.draw, answers, row)
        image = subject.thumbnails.take(answers.run.folder, answers.split, id_, draw)
        shots.append({"image": image, "id": id_, "caption": subject.sections.caption(answers, row)})
    return shots


def _images(subject: Subject, num: int) -> Markup:
    return piece(TEMPLATE, "images", subject, _groups(subject, num), _legend(subject))


def _per_point(subject: Subject) -> Markup:
    """The table of points, the worst first, means over the runs."""
    rows = mean_rows(subject.scores, "per_point", (*FIGURES, "support"))
    rows.sort(key=lambda row: -(number(row.get("point_error")) or 0.0))
    cells = [
        [row["name"], count(round(row["support"])), *(by_key(key).typeset().text(row.get(key)) for key in FIGURES)]
        for row in rows
        if number(row.get("support")) is not None
    ]
    constants = [value for one in subject.scores if (value := number(at(one, "constant.point_error"))) is not None]
    beside = by_key("point_error").typeset().text(fmean(constants)) if constants else ""
    return piece(TEMPLATE, "points", subject, cells, _tolerance(subject.runs[0]), beside)
