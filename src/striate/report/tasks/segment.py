"""A class for every pixel: images with truth, prediction and errors, the classes, what is confused, and where."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from striate.base.numbers import count, number
from striate.base.text import duration, plural
from striate.metric import by_key
from striate.metric.iou import image_iou
from striate.predict.overlay import colours_of
from striate.report.answers import Answers, ByImage, Given, by_image, illustrated, with_thumbnails_first
from striate.report.class_maps import Pixels, distance_names, error_image, flat_maps_of, map_image, pixels_of
from striate.report.read import Run, at
from striate.report.templates import piece
from striate.report.thumbnails import EmbeddedImage

from .sections import Room, Section, Sections, Subject

TEMPLATE = "tasks/segment.html"
IOU = "mean_iou"
NUM_EACH, NUM_OF_STUDY, NUM_COMPARED, NUM_BRIEF = 8, 4, 3, 3  # images that are best, as many median and worst
FIGURES = {"iou": "IoU", "dice": "Dice", "accuracy": "accuracy"}
COMPARED = (IOU, "boundary_iou", "interior_iou", "boundary_f1", "pixel_accuracy")
MAX_CLASSES = 30  # of a matrix on a page
MAX_PAIRS = 30


@dataclass(frozen=True)
class Strip:
    """An image with what is shown beside it, under the heads of the columns; `says` as texts below its id."""

    id: str
    says: list[str]
    images: list[EmbeddedImage | None]


class SegmentSections(Sections):
    """The sections of segmentation."""

    def curves(self, monitor: str) -> Sequence[str]:
        """Return the loss, the score that chose the epoch and the share of pixels that are right."""
        return ("loss", monitor, "pixel_accuracy")

    def figures(self, run: Run) -> Sequence[str]:
        """Return the other scores of pixels, those of boundaries, and the loss."""
        return ("pixel_accuracy", "mean_dice", "class_accuracy", "boundary_iou", "interior_iou", "boundary_f1", "loss")

    def learned(self, run: Run) -> str:
        """Return the number of classes."""
        return f"a class for every pixel ({plural(len(run.names), 'class', 'classes')})"

    def result(self, run: Run, scores: Mapping[str, Any], where: str) -> list[str]:
        """Return the score, and that of an answer that is everywhere the same."""
        constant, key = at(scores, "constant", {}), run.metric.key
        said = super().result(run, scores, where)
        if (value := number(constant.get(key))) is not None:
            said.append(f"Who answers {constant.get('class')} for every pixel has {run.metric.text(value)}.")
        return said

    def chance(self, run: Run) -> dict[str, float]:
        """Return the score of the best constant answer."""
        scores = run.scores.get(run.reported_split or "", {})
        value = number(at(scores, f"constant.{run.metric.key}"))
        return {} if value is None else {"constant answer": value}

    def confusions(self, subject: Subject) -> tuple[npt.ArrayLike, str] | None:
        """Return the pixels of each pair of classes, of all images."""
        pixels = pixels_of(subject.answers, len(subject.names), most=sum(len(one.table) for one in subject.answers))
        return None if pixels is None else (pixels.counts, "pixels")

    def score_code(self, run: Run) -> str:
        """Return the mean over classes of intersection over union."""
        lines = (
            "counts = np.array(run.confusion(SPLIT))  # pixels: true classes as rows",
            "both = np.diag(counts)",
            "either = counts.sum(0) + counts.sum(1) - both",
            "return np.mean(both[either > 0] / either[either > 0])",
        )
        return "\n".join(lines) if run.metric.key == "mean_iou" else ""

    def inside(self, subject: Subject) -> list[Section]:
        """Return images with their maps, the classes, what is confused, and the distance from boundaries."""
        pixels = pixels_of(subject.answers, len(subject.names))
        bodies = {
            "maps": piece(
                TEMPLATE,
                "maps",
                subject,
                _groups(subject, NUM_OF_STUDY if subject.name else NUM_EACH),
                _legend(subject),
                HEADS,
            ),
            "classes": piece(TEMPLATE, "classes", subject, _classes(subject), _constant(subject)),
            "confusion": piece(TEMPLATE, "confused", subject, pixels and _matrix(pixels, subject.names), pixels),
            "boundaries": piece(
                TEMPLATE,
                "boundaries",
                subject,
                _regions(subject),
                pixels and _distances({"": pixels}),
                distance_names(),
            ),
        }
        heads = {
            "maps": ("Images", f"Best, median and worst images{subject.of_whom}"),
            "classes": ("Classes", "Class by class"),
            "confusion": ("Confusions", "Which classes are taken for which"),
            "boundaries": ("Boundaries", "Near boundaries and inside"),
        }
        return [Section(id_, *heads[id_], body) for id_, body in bodies.items()]

    def hard(self, subject: Subject, others: Sequence[Answers]) -> list[Section]:
        """Return every variant's predictions of the same images, and its figures of classes and places."""
        tables = {subject.name: subject.answers}
        for one in others:
            tables.setdefault(one.variant, []).append(one)
        variants = {name: found for name, found in tables.items() if found}
        if len(variants) < 2:
            return []
        groups = _compared(subject, variants)
        pixels = {name: pixels_of(found, len(subject.names)) for name, found in variants.items()}
        known = {name: one for name, one in pixels.items() if one is not None}
        near = piece(TEMPLATE, "distances", _distances(known), distance_names(), "variant") if known else Markup()
        heads = ["image", "truth", *variants]
        return [
            Section(
                "beside",
                "Side by side",
                "The variants on the same images",
                piece(TEMPLATE, "beside", subject, groups, _legend(subject), heads),
            ),
            Section(
                "by-class",
                "Classes by variant",
                "Class by class, every variant",
                piece(TEMPLATE, "by_class", subject, list(variants), _by_class(variants, subject)) + near,
            ),
        ]

    def brief(self, subject: Subject, room: Room) -> Markup:
        """Return the classes, and the worst images as far as there is room."""
        num = min(NUM_BRIEF, room.num_images // len(HEADS))
        worst = [(title, strips) for title, strips in _groups(subject, num) if title == "Worst"] if num else []
        table = piece(TEMPLATE, "classes", subject, _classes(subject), _constant(subject))
        return table + (piece(TEMPLATE, "maps", subject, worst, _legend(subject), HEADS) if worst else Markup())


HEADS = ["image", "truth", "prediction", "errors"]


def _scored(images: ByImage) -> list[tuple[float, Sequence[Given]]]:
    """Return each image with its mean IoU over the answers, the best first, without those of no known pixel."""
    known: dict[int, Any] = {}

    def score(one: Given) -> float:
        answers, row = one
        if id(answers) not in known:
            records = answers.table.records.get(by_key(IOU).record_name)
            known[id(answers)] = np.full(len(answers.table), np.nan) if records is None else image_iou(records)
        return float(known[id(answers)][row])

    found = [(fmean(map(score, given)), given) for given in images.values()]
    return sorted(
        (one for one in found if np.isfinite(one[0])), key=lambda one: (-one[0], one[1][0][0].table.ids[one[1][0][1]])
    )


def _chosen(subject: Subject, images: ByImage, num: int) -> list[tuple[str, list[tuple[float, Sequence[Given]]]]]:
    """Return the best, the median and the worst images, of those with a thumbnail if there are any."""
    scored = _scored(images)
    shown = with_thumbnails_first([given for _, given in scored], subject.thumbnails)
    ids = {id(given) for given in shown}
    scored = [one for one in scored if id(one[1]) in ids]
    num = min(num, len(scored) // 3) or min(num, len(scored))
    middle = max(num, min((len(scored) - num) // 2, len(scored) - 2 * num))
    if len(scored) < 3 * num:
        return [("All", scored)]
    return [("Best", scored[:num]), ("Median", scored[middle : middle + num]), ("Worst", scored[-num:])]


def _groups(subject: Subject, num: int) -> list[tuple[str, list[Strip]]]:
    return [
        (title, [strip for score, given in some if (strip := _strip(subject, score, given))])
        for title, some in _chosen(subject, subject.by_image, num)
    ]


def _strip(subject: Subject, score: float, given: Sequence[Given]) -> Strip | None:
    """Return an image, its truth, the prediction of the first run and where that is wrong."""
    one = illustrated(given, subject.thumbnails)
    found, store = flat_maps_of(one), subject.thumbnails
    if found is None:
        return None
    answers, row = one
    image = store.take(answers.run.folder, answers.split, answers.table.ids[row])
    images = [image, *(map_image(labels, subject.names, store) for labels in found)]
    images.append(error_image(given, *found, store))
    return Strip(answers.table.ids[row], [f"IoU {by_key(IOU).typeset().text(score)}"], images)


def _compared(subject: Subject, variants: Mapping[str, Sequence[Answers]]) -> list[tuple[str, list[Strip]]]:
    """Return the same images with each variant's prediction by its first run, by the mean over variants and runs."""
    images = by_image([one for tables in variants.values() for one in tables])
    firsts = {name: by_image(tables[:1]) for name, tables in variants.items()}
    return [
        (title, [strip for score, given in some if (strip := _beside(subject, score, given, firsts))])
        for title, some in _chosen(subject, images, NUM_COMPARED)
    ]


def _beside(subject: Subject, score: float, given: Sequence[Given], firsts: Mapping[str, ByImage]) -> Strip | None:
    answers, row = illustrated(given, subject.thumbnails)
    id_, store = answers.table.ids[row], subject.thumbnails
    found = {name: flat_maps_of(images[id_][0]) for name, images in firsts.items() if id_ in images}
    truth = next((maps[0] for maps in found.values() if maps), None)
    if truth is None:
        return None
    images = [store.take(answers.run.folder, answers.split, id_), map_image(truth, subject.names, store)]
    images += [map_image(maps[1], subject.names, store) if (maps := found.get(name)) else None for name in firsts]
    return Strip(id_, [f"mean IoU {by_key(IOU).typeset().text(score)}"], images)


def _legend(subject: Subject) -> list[tuple[str, str]]:
    """Return the name and the colour of each class."""
    colours = colours_of(subject.names)
    return [(name, "#{:02x}{:02x}{:02x}".format(*colours[k])) for k, name in enumerate(subject.names)]


def _constant(subject: Subject) -> dict[str, str] | None:
    found = at(subject.scores[0], "constant", {})
    if not found:
        return None
    return {
        "class": str(found.get("class")),
        **{key: by_key(key).typeset().text(found.get(key)) for key in (IOU, "pixel_accuracy")},
    }


def _rows(runs: Sequence[Run], split: str, name: str, key: str) -> list[float]:
    """Return a figure of a class in each run that has it."""
    tables = (at(run.scores, f"{split}.per_class", []) for run in runs)
    found = (row.get(key) for table in tables for row in table if isinstance(row, Mapping) and row.get("name") == name)
    return [value for one in found if (value := number(one)) is not None]


def _classes(subject: Subject) -> dict[str, Any] | None:
    """Return the table of classes: means over the runs, with their spread."""
    percent, body = by_key(IOU).typeset(), list[dict[str, Any]]()
    for name in subject.names:
        figures = [_rows(subject.runs, subject.split, name, key) for key in FIGURES]
        means = [fmean(values) if values else None for values in figures]
        spreads = [f" ± {percent.spread(stdev(values))}" if len(values) > 1 else "" for values in figures]
        cells = [(percent.text(mean) + spread, mean) for mean, spread in zip(means, spreads, strict=True)]
        pixels = _rows(subject.runs, subject.split, name, "pixels")
        bar = 100 * (means[0] or 0.0)
        body.append(
            {"name": name, "cells": cells, "bar": bar, "support": count(round(fmean(pixels))) if pixels else "n/a"}
        )
    if not any(value is not None for row in body for _, value in row["cells"]):
        return None
    body.sort(key=lambda row: (row["cells"][0][1] is None, row["cells"][0][1] or 0.0))
    return {
        "head": list(FIGURES.values()),
        "body": body,
        "has_undefined": any(one is None for row in body for _, one in row["cells"]),
    }


def _matrix(pixels: Pixels, names: Sequence[str]) -> dict[str, Any]:
    """Return the shares of each true class's pixels; of many classes the pairs that are confused most often."""
    totals = pixels.counts.sum(1)
    shares: Any = pixels.counts / np.maximum(totals, 1)[:, None]
    order = np.argsort(-np.where(np.eye(len(names), dtype=bool), -1, pixels.counts), axis=None)[:MAX_PAIRS]
    pairs = [(int(k) // len(names), int(k) % len(names)) for k in order if pixels.counts.flat[k]]
    cells = [
        [(_share(share), max(1, round(10 * share**0.5)) if share > 0 else 0, i == k) for k, share in enumerate(row)]
        for i, row in enumerate(shares.tolist())
    ]
    return {
        "names": list(names),
        "rows": list(zip(names, cells, (count(int(total)) for total in totals), strict=True)),
        "pairs": [
            (names[i], names[k], count(int(pixels.counts[i, k])), f"{shares[i, k]:.1%}") for i, k in pairs if i != k
        ],
        "is_large": len(names) > MAX_CLASSES,
    }


def _share(share: float) -> str:
    return "" if share == 0 else "<1" if share < 0.01 else f"{100 * share:.0f}"


def _regions(subject: Subject) -> list[tuple[str, str, float]]:
    """Return name, text and mean over the runs of the scores near boundaries and inside."""
    found = []
    for key in ("boundary_iou", "interior_iou", "boundary_f1"):
        values = [value for scores in subject.scores if (value := number(scores.get(key))) is not None]
        if values:
            found.append((by_key(key).name, by_key(key).typeset().text(fmean(values)), 100 * fmean(values)))
    return found


def _distances(pixels: Mapping[str, Pixels]) -> list[tuple[str, list[str]]]:
    """Return for each variant the share of pixels that are right, by their distance from a true boundary."""
    accuracy = by_key("pixel_accuracy").typeset()
    return [
        (
            name,
            [accuracy.text(right / total) if total else "n/a" for right, total in zip(one.right, one.all, strict=True)],
        )
        for name, one in pixels.items()
    ]


def _by_class(variants: Mapping[str, Sequence[Answers]], subject: Subject) -> list[tuple[str, list[tuple[str, bool]]]]:
    """Return one line a figure, with each variant's mean over its runs and whether it is the best."""
    runs = {name: [one.run for one in tables] for name, tables in variants.items()}
    percent, split = by_key(IOU).typeset(), subject.split
    lines = [
        (f"IoU of {name}", [_rows(some, split, name, "iou") for some in runs.values()], percent.text, max)
        for name in subject.names
    ]
    for key in COMPARED:
        values = [[number(at(run.scores, f"{split}.{key}")) for run in some] for some in runs.values()]
        lines.append(
            (by_key(key).name, [[v for v in some if v is not None] for some in values], by_key(key).typeset().text, max)
        )
    times = [[v for run in some if (v := number(at(run.info, "result.time_s"))) is not None] for some in runs.values()]
    return [*(_line(*line) for line in lines), _line("time of a run", times, lambda value: duration(value), min)]


def _line(
    name: str, values: Sequence[Sequence[float]], text: Callable[[float], str], best: Callable[..., float]
) -> tuple[str, list[tuple[str, bool]]]:
    means = [fmean(some) if some else None for some in values]
    known = [one for one in means if one is not None]
    top = best(known) if known else None
    return name, [("n/a" if one is None else text(one), one is not None and one == top) for one in means]
