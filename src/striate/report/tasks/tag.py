"""Several tags an image: the images with the worst tags, each tag's figures, how honest the probabilities are."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from markupsafe import Markup

from striate.base.numbers import NA
from striate.evaluate.predictions import Predictions
from striate.report.answers import Given, condensed, illustrated, mean_loss, with_thumbnails_first
from striate.report.calibration import calibration
from striate.report.class_table import class_table
from striate.report.pool import mean_rows
from striate.report.read import Run
from striate.report.templates import piece
from striate.report.thumbnails import EmbeddedImage

from .sections import Room, Section, Sections, Subject

TEMPLATE = "tasks/tag.html"
NUM_MISTAKES = 24
FIGURES = ("ap", "f1", "recall", "precision")


@dataclass(frozen=True)
class Mark:
    """One tag of an image: "right", "missed" or "extra", and its probability as text."""

    name: str
    how: str
    text: str


@dataclass(frozen=True)
class TaggedImage:
    """An image with how each of its tags fared."""

    image: EmbeddedImage | None
    id: str
    tags: list[Mark]


class TagSections(Sections):
    """The sections of a tagger."""

    def figures(self, run: Run) -> Sequence[str]:
        """Return the averages over tags, the loss and the calibration error."""
        return ("mean_average_precision", "macro_f1", "exact_match", "auc", "loss", "ece")

    def learned(self, run: Run) -> str:
        """Return the number of tags."""
        return f"{len(run.names)} tags"

    def condense(self, table: Predictions) -> Predictions:
        """Keep every probability, with seven digits."""
        return condensed(table, None if table.probabilities is None else table.probabilities.astype(np.float32))

    def score_code(self, run: Run) -> str:
        """Return F1 over the tags that occur, over all tags, or the share of images with every tag right."""
        last = {
            "macro_f1": "return np.mean((2 * both / total)[true.any(0)])",
            "f1": "return 2 * both.sum() / total.sum()",
            "exact_match": "return np.mean((true == predicted).all(1))",
        }.get(run.metric.key, "")
        lines = (
            "answers = run.answers(SPLIT)",
            "true, predicted = answers.truth.astype(bool), answers.values.astype(bool)  # images x tags",
            "both, total = (true & predicted).sum(0), true.sum(0) + predicted.sum(0)",
            last,
        )
        return "\n".join(lines) if last else ""

    def look_code(self) -> tuple[str, str]:
        """Return how often each tag is true, predicted, and both."""
        about = "## Tags\n\nHow often each tag is true, predicted, and both: the best variant, then the baseline."
        lines = (
            "answers = {run}.answers(SPLIT)",
            "true, predicted = answers.truth.astype(bool), answers.values.astype(bool)",
            "counts = zip(true.sum(0), predicted.sum(0), (true & predicted).sum(0))",
            "[(name, *map(int, row)) for name, row in zip(answers.names, counts)]",
        )
        return about, "\n".join(lines)

    def inside(self, subject: Subject) -> list[Section]:
        """Return the images with the worst tags, the tags and calibration."""
        rows = mean_rows(subject.scores, "per_class", (*FIGURES, "support"))
        keys = [key for key in FIGURES if key != "ap" or any("ap" in row for row in rows)]
        reliability = calibration(
            subject.scores, "Mean probability of a tag {sure}, share of tags that are present {right}"
        )
        images = piece(TEMPLATE, "mistakes", subject, _worst(subject, NUM_MISTAKES))
        tags = piece(TEMPLATE, "tags", subject, class_table(rows, keys))
        drawn = piece(
            "calibration.html", "calibration", reliability, "Tags that are present against probability", "tags"
        )
        return [
            Section("mistakes", "Mistakes", "Images with the worst tags", images),
            Section("classes", "Tags", "Tag by tag", tags),
            Section("calibration", "Calibration", f"Calibration{subject.of_whom}", drawn),
        ]

    def brief(self, subject: Subject, room: Room) -> Markup:
        """Return the images with the worst tags."""
        return piece(TEMPLATE, "tagged", _worst(subject, room.num_images))


def _worst(subject: Subject, most: int) -> list[TaggedImage]:
    """Return the images with the largest mean loss among those with a wrong tag, and how each tag fared."""
    wrong = [(id_, given) for id_, given in subject.by_image.items() if any(map(_is_wrong, given))]
    wrong.sort(key=lambda pair: (-mean_loss(pair[1]), pair[0]))
    shown = with_thumbnails_first([given for _, given in wrong], subject.thumbnails)[:most]
    return [_tagged(given, subject) for given in shown]


def _is_wrong(one: Given) -> bool:
    answers, row = one
    return bool((answers.table.truth[row] != answers.table.values[row]).any())


def _tagged(given: Sequence[Given], subject: Subject) -> TaggedImage:
    answers, row = illustrated(given, subject.thumbnails)
    id_ = answers.table.ids[row]
    return TaggedImage(subject.thumbnails.take(answers.run.folder, answers.split, id_), id_, _marks(given))


def _marks(given: Sequence[Given]) -> list[Mark]:
    """Return an image's tags; of several runs the mean probability and how many gave the tag."""
    first, row = given[0]
    truth, num = first.table.truth[row], len(given)
    times = np.sum([one.table.values[i] for one, i in given], axis=0)
    marks = []
    for k in np.flatnonzero((truth > 0) | (times > 0)).tolist():
        how = "extra" if not truth[k] else "right" if times[k] == num else "missed"
        text = _percent([one.table.probabilities[i, k] for one, i in given if one.table.probabilities is not None])
        marks.append(Mark(first.name(k), how, f"{text}, {times[k]} of {num}" if 0 < times[k] < num else text))
    return marks


def _percent(values: Sequence[Any]) -> str:
    mean = fmean(map(float, values)) if values else float("nan")
    return f"{mean:.0%}" if np.isfinite(mean) else NA
