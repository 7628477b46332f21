"""Restored images: what came in, what was made, the truth and the difference; and the simple methods beside it."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from markupsafe import Markup

from striate.base.errors import ModelError
from striate.base.numbers import number
from striate.metric import by_key
from striate.report.answers import Answers, ByImage, Given, by_image
from striate.report.read import Run, at
from striate.report.templates import piece
from striate.report.thumbnails import EmbeddedImage, ThumbnailStore

from .sections import Room, Section, Sections, Subject
from .segment import Strip

TEMPLATE = "tasks/restore.html"
NUM_EACH, NUM_OF_STUDY, NUM_COMPARED, NUM_BRIEF = 4, 3, 2, 3  # images that are best, as many median and worst
HEADS = ["input", "output", "truth", "difference x 4"]
SCORES = ("psnr", "ssim")
COMPARED = (*SCORES, "psnr_gain", "checkerboard")
AMPLIFIED = 4


class RestoreSections(Sections):
    """The sections of restoration."""

    def figures(self, run: Run) -> Sequence[str]:
        """Return the gain over the best simple method, SSIM, the grid that upsampling leaves, and the loss."""
        return ("psnr_gain", "ssim", "ssim_gain", "checkerboard", "loss")

    def learned(self, run: Run) -> str:
        """Return what the network gives back."""
        return f"to {at(run.info, 'task.name', 'restore')} images"

    def result(self, run: Run, scores: Mapping[str, Any], where: str) -> list[str]:
        """Return the score, and how far it is above that of the best simple method, with its interval."""
        said, best = super().result(run, scores, where), _baselines(scores)[:1]
        above, interval = by_key("psnr_gain").typeset(), at(scores, "intervals.psnr_gain")
        for row in best:
            words = f"{above.change(scores.get('psnr_gain'))} (95% interval {above.span(interval, is_change=True)})"
            text = by_key("psnr").typeset().text(row["psnr"])
            said.append(f"The best simple method ({row['name']}) has {text}; the network has {words}.")
        return said

    def chance(self, run: Run) -> dict[str, float]:
        """Return the score of the best simple method."""
        best = _baselines(run.scores.get(run.reported_split or "", {}))[:1]
        return {str(row["name"]): value for row in best if (value := number(row.get(run.metric.key))) is not None}

    def inside(self, subject: Subject) -> list[Section]:
        """Return images beside what they were made of, and the simple methods."""
        num = NUM_OF_STUDY if subject.name else NUM_EACH
        images = piece(TEMPLATE, "images", subject, _groups(subject, num), HEADS)
        methods = piece(TEMPLATE, "methods", subject, _methods(subject))
        return [
            Section("images", "Images", f"Best, median and worst images{subject.of_whom}", images),
            Section("methods", "Simple methods", "Against methods that learn nothing", methods),
        ]

    def hard(self, subject: Subject, others: Sequence[Answers]) -> list[Section]:
        """Return every variant's images of the same inputs."""
        tables = {subject.name: subject.answers[:1]}
        for one in others:
            tables.setdefault(one.variant, []).append(one)
        firsts = {name: by_image(found[:1]) for name, found in tables.items() if found}
        if len(firsts) < 2:
            return []
        groups = [
            (title, [strip for given in some if (strip := _beside(given, firsts, subject.thumbnails))])
            for title, some in _chosen(subject.by_image, NUM_COMPARED)
        ]
        images = piece(TEMPLATE, "images", subject, groups, ["input", "truth", *firsts])
        body = piece(TEMPLATE, "compared", *_compared(tables)) + images
        return [Section("beside", "Side by side", "The variants on the same images", body)]

    def brief(self, subject: Subject, room: Room) -> Markup:
        """Return the worst images as far as there is room."""
        num = min(NUM_BRIEF, room.num_images // len(HEADS))
        groups = [one for one in _groups(subject, num) if one[0] == "Worst"] if num else []
        return piece(TEMPLATE, "images", subject, groups, HEADS)

    def caption(self, answers: Answers, row: int) -> str:
        """Return the image's score."""
        return _text(answers, row)


def _psnr(one: Given) -> float:
    answers, row = one
    records = answers.table.records.get(by_key("psnr_gain").record_name or "quality")
    return float("nan") if records is None else float(records[row, 0])


def _text(answers: Answers, row: int) -> str:
    return f"PSNR {by_key('psnr').typeset().text(_psnr((answers, row)))}"


def _chosen(images: ByImage, num: int) -> list[tuple[str, list[Sequence[Given]]]]:
    """Return the best, the median and the worst images of those that were kept, by the mean PSNR over the runs."""
    kept = [given for given in images.values() if any(str(one.table.values[row]) for one, row in given)]
    scored = sorted(kept, key=lambda given: (-fmean(map(_psnr, given)), given[0][0].table.ids[given[0][1]]))
    if len(scored) < 3 * num:
        return [("All", scored)]
    middle = (len(scored) - num) // 2
    return [("Best", scored[:num]), ("Median", scored[middle : middle + num]), ("Worst", scored[-num:])]


def _groups(subject: Subject, num: int) -> list[tuple[str, list[Strip]]]:
    return [
        (title, [strip for given in some if (strip := _strip(given, subject.thumbnails))])
        for title, some in _chosen(subject.by_image, num)
    ]


def _parts(one: Given) -> list[Any] | None:
    """What came in, what was made, and the truth, each (H, W) or (H, W, 3); None where no file was kept."""
    answers, row = one
    if not str(answers.table.values[row]):
        return None
    try:
        return list(np.split(answers.table.opened(row), 3, axis=1))
    except (ModelError, ValueError):
        return None


def _strip(given: Sequence[Given], store: ThumbnailStore) -> Strip | None:
    """Return the images of the first run, and how far what was made is from the truth."""
    one = next((one for one in given if str(one[0].table.values[one[1]])), given[0])
    parts = _parts(one)
    if parts is None:
        return None
    difference = np.abs(parts[1].astype(np.int16) - parts[2]) * AMPLIFIED
    images = [store.add_image(np.ascontiguousarray(part)) for part in parts]
    images.append(store.add_image(difference.clip(0, 255).astype(np.uint8)))
    return Strip(one[0].table.ids[one[1]], [_text(*one)], images)


def _beside(given: Sequence[Given], firsts: Mapping[str, ByImage], store: ThumbnailStore) -> Strip | None:
    id_ = given[0][0].table.ids[given[0][1]]
    found = {name: _parts(images[id_][0]) if id_ in images else None for name, images in firsts.items()}
    known = next((parts for parts in found.values() if parts), None)
    if known is None:
        return None
    images: list[EmbeddedImage | None] = [store.add_image(np.ascontiguousarray(known[place])) for place in (0, 2)]
    images += [store.add_image(np.ascontiguousarray(parts[1])) if parts else None for parts in found.values()]
    psnr = by_key("psnr").typeset()
    says = [f"{name}: {psnr.text(_psnr(images_of[id_][0]))}" for name, images_of in firsts.items() if id_ in images_of]
    return Strip(id_, says, images)


def _compared(tables: Mapping[str, Sequence[Answers]]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Return the names of the scores that the variants have, and each variant's as means over its runs."""
    scores = {name: [one.run.scores.get(one.split, {}) for one in found] for name, found in tables.items() if found}
    keys = [
        key for key in COMPARED if any(number(row.get(key)) is not None for some in scores.values() for row in some)
    ]
    lines = []
    for name, some in scores.items():
        values = [[value for row in some if (value := number(row.get(key))) is not None] for key in keys]
        texts = [
            by_key(key).typeset().text(fmean(found) if found else None) for key, found in zip(keys, values, strict=True)
        ]
        lines.append((name, texts))
    return [by_key(key).name for key in keys], lines


def _baselines(scores: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The simple methods of a split, best first."""
    return [row for row in at(scores, "baselines", []) if isinstance(row, Mapping)]


def _methods(subject: Subject) -> list[tuple[str, list[str], bool]]:
    """Return name and scores of the network, and of each simple method, as means over the runs."""
    rows: dict[str, list[Mapping[str, Any]]] = {"the network": list(subject.scores)}
    for scores in subject.scores:
        for row in _baselines(scores):
            rows.setdefault(str(row.get("name")), []).append(row)
    lines = []
    for name, found in rows.items():
        values = [[value for row in found if (value := number(row.get(key))) is not None] for key in SCORES]
        texts = [
            by_key(key).typeset().text(fmean(some) if some else None) for key, some in zip(SCORES, values, strict=True)
        ]
        lines.append((name, texts, name == "the network"))
    return lines
